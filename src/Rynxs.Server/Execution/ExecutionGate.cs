using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution;

/// <summary>
/// Bounds executions: at most <see cref="MaxRunningPerAgent"/> running and <see cref="MaxQueuedPerAgent"/> waiting per agent, and a number
/// over all agents. What is beyond is refused at once; nothing waits without a bound.
/// </summary>
internal sealed class ExecutionGate(int maxRunning) : IDisposable
{
    internal const int MaxRunningPerAgent = 64;
    internal const int MaxQueuedPerAgent = 1000;

    private readonly SemaphoreSlim _all = new(maxRunning, maxRunning);
    private readonly Dictionary<string, AgentPlaces> _agents = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private int _queued;

    /// <summary>Executions that wait now.</summary>
    public int Queued => Volatile.Read(ref _queued);

    /// <summary>Waits for a place; disposing the answer gives it back.</summary>
    /// <exception cref="ProblemException">429: the agent's queue is full.</exception>
    public async Task<IDisposable> EnterAsync(string agent, CancellationToken cancellationToken)
    {
        AgentPlaces places = Join(agent);
        bool agentPlace = false;
        Interlocked.Increment(ref _queued);
        try
        {
            await places.Running.WaitAsync(cancellationToken);
            agentPlace = true;
            await _all.WaitAsync(cancellationToken);
            return new Place(this, agent, places);
        }
        catch
        {
            if (agentPlace)
            {
                places.Running.Release();
            }

            Leave(agent, places);
            throw;
        }
        finally
        {
            Interlocked.Decrement(ref _queued);
        }
    }

    public void Dispose() => _all.Dispose();

    private AgentPlaces Join(string agent)
    {
        lock (_gate)
        {
            if (!_agents.TryGetValue(agent, out AgentPlaces? places))
            {
                _agents[agent] = places = new AgentPlaces();
            }

            if (places.Present >= MaxRunningPerAgent + MaxQueuedPerAgent)
            {
                throw new ProblemException(new Problem(
                    StatusCodes.Status429TooManyRequests, "queue_full", $"{MaxRunningPerAgent} executions of this agent run and {MaxQueuedPerAgent} wait; try again later."));
            }

            places.Present++;
            return places;
        }
    }

    private void Leave(string agent, AgentPlaces places)
    {
        lock (_gate)
        {
            if (--places.Present == 0)
            {
                _agents.Remove(agent);
            }
        }
    }

    private sealed class AgentPlaces
    {
        public SemaphoreSlim Running { get; } = new(MaxRunningPerAgent, MaxRunningPerAgent);

        /// <summary>Running and waiting; changed under the gate's lock.</summary>
        public int Present { get; set; }
    }

    private sealed class Place(ExecutionGate gate, string agent, AgentPlaces places) : IDisposable
    {
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0)
            {
                gate._all.Release();
                places.Running.Release();
                gate.Leave(agent, places);
            }
        }
    }
}
