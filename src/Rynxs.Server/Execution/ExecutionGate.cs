using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution;

/// <summary>
/// Bounds executions: at most <see cref="MaxRunningPerAgent"/> running and <see cref="MaxQueuedPerAgent"/> waiting per agent, and a number of each
/// over all agents. What is beyond is refused at once, with the time after which a place can be expected; nothing waits without a bound.
/// </summary>
internal sealed class ExecutionGate(int maxRunning, int maxQueued = ExecutionGate.DefaultQueued, TimeProvider? time = null) : IDisposable
{
    /// <summary>Waiting at once over all agents.</summary>
    internal const int DefaultQueued = 4000;
    internal const int MaxRunningPerAgent = 64;
    internal const int MaxQueuedPerAgent = 1000;

    private readonly SemaphoreSlim _all = new(maxRunning, maxRunning);
    private readonly Dictionary<string, AgentPlaces> _agents = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private int _queued;

    /// <summary>How long a place is held, in seconds, as a moving average; the first guess is one second.</summary>
    private double _held = 1;

    /// <summary>Executions that wait now.</summary>
    public int Queued => Volatile.Read(ref _queued);

    /// <summary>Waits for a place; disposing the answer gives it back.</summary>
    /// <exception cref="ProblemException">429: the agent's queue, or that of all agents, is full.</exception>
    public async Task<IDisposable> EnterAsync(string agent, CancellationToken cancellationToken)
    {
        AgentPlaces places = Join(agent);
        bool agentPlace = false;
        int waiting = Interlocked.Increment(ref _queued);
        try
        {
            if (waiting > maxQueued && (places.Running.CurrentCount == 0 || _all.CurrentCount == 0))
            {
                throw Full("queue_full", $"{maxQueued} executions wait already; try again later.");
            }

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
                throw Full("queue_full", $"{MaxRunningPerAgent} executions of this agent run and {MaxQueuedPerAgent} wait; try again later.");
            }

            places.Present++;
            return places;
        }
    }

    /// <summary>After about as long as the queue takes to empty by half, bounded to what a client still waits for.</summary>
    private ProblemException Full(string code, string detail)
    {
        int seconds = (int)Math.Clamp(Math.Ceiling(Volatile.Read(ref _held) * Queued / maxRunning / 2), 1, 120);
        return new ProblemException(new Problem(StatusCodes.Status429TooManyRequests, code, detail) { RetryAfterSeconds = seconds });
    }

    private void Held(TimeSpan elapsed)
    {
        const double weight = 0.1;
        lock (_gate)
        {
            _held += (elapsed.TotalSeconds - _held) * weight;
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
        private readonly long _entered = gate._time.GetTimestamp();
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 0)
            {
                gate.Held(gate._time.GetElapsedTime(_entered));
                gate._all.Release();
                places.Running.Release();
                gate.Leave(agent, places);
            }
        }
    }
}
