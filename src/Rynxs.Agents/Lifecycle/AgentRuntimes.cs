using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using Rynxs.Agents.Inbox;
using Rynxs.Agents.Loop;
using Rynxs.Agents.Outbox;
using Rynxs.Ledger;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Sandbox;

namespace Rynxs.Agents.Lifecycle;

/// <summary>Owns one loop per agent: starts, restarts on a changed spec, stops, drains.</summary>
public sealed partial class AgentRuntimes : IAsyncDisposable
{
    private readonly AgentServices _services;
    private readonly AgentRuntimesOptions _options;
    private readonly AgentAssembly _assembly;
    private readonly ILogger _logger;
    private readonly ConcurrentDictionary<NamespacedName, Slot> _slots = new();
    private readonly Counter<long>? _answered;
    private volatile bool _disposed;

    public AgentRuntimes(AgentServices services, AgentRuntimesOptions options)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(options);
        _services = services;
        _options = options;
        _assembly = new AgentAssembly(services, options, OnProgress);
        _logger = services.LoggerFactory.CreateLogger<AgentRuntimes>();
        Meter? meter = services.MeterFactory?.Create("Rynxs.Agents");
        _answered = meter?.CreateCounter<long>("rynxs_agent_messages_answered_total", "{message}", "Messages answered, by status.");
        meter?.CreateObservableGauge("rynxs_agents_running", () => List().Count(status => status.State != AgentRuntimeState.Stopped), "{agent}", "Agent loops that run.");
        meter?.CreateObservableGauge("rynxs_agent_messages_pending", () => List().Sum(status => status.PendingMessages), "{message}", "Messages accepted and not answered.");
    }

    /// <summary>Raised from the loops' tasks when work on a message begins and when its answer is durable. Handlers must not block or throw.</summary>
    public event Action<MessageProgress>? Progress;

    /// <summary>
    /// Starts the agent's loop, or restarts it when the spec's generation changed; idempotent. Creates the workspace's directories.
    /// </summary>
    /// <exception cref="AgentStartException">The agent cannot run (its provider, its runtime, its universe); the code says why.</exception>
    public async Task<AgentImage> EnsureRunningAsync(AgentResource agent, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(agent);
        ObjectDisposedException.ThrowIf(_disposed, this);
        Slot slot = SlotOf(agent.Id);
        await slot.OneAtATime.WaitAsync(cancellationToken);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (slot.Running is { } running)
            {
                if (running.IsOf(agent))
                {
                    return running.Image;
                }

                slot.Running = null;
                await running.DisposeAsync();
            }

            RunningAgent next = await _assembly.BuildAsync(agent, slot.Gate, cancellationToken);
            slot.Running = next;
            next.Loop.Start();
            LogStarted(agent.Id.ToString(), agent.Metadata.Generation);
            return next.Image;
        }
        finally
        {
            slot.OneAtATime.Release();
        }
    }

    /// <summary>Stops the loop (bounded drain) and ends its sandbox. Files stay. No loop: nothing happens.</summary>
    public async Task StopAsync(NamespacedName agent, CancellationToken cancellationToken)
    {
        if (!_slots.TryGetValue(agent, out Slot? slot))
        {
            return;
        }

        await slot.OneAtATime.WaitAsync(cancellationToken);
        try
        {
            if (slot.Running is { } running)
            {
                slot.Running = null;
                await running.DisposeAsync();
                LogStopped(agent.ToString());
            }
        }
        finally
        {
            slot.OneAtATime.Release();
        }
    }

    /// <summary>
    /// Runs one program in the agent's own sandbox, with intent and outcome in its audit chain under the caller's name. Waits while a
    /// tool call runs there. The agent's tool policy is not asked: whether the principal may do this is decided by its roles, before.
    /// </summary>
    /// <exception cref="AgentNotRunningException">No loop of that agent runs.</exception>
    /// <exception cref="SandboxRefusedException">The sandbox cannot be brought up.</exception>
    /// <exception cref="SandboxStartException">The program never started.</exception>
    /// <exception cref="LedgerUnavailableException">The intent cannot be recorded, so nothing ran.</exception>
    public async Task<ExecutionResult> ExecuteInAgentSandboxAsync(
        NamespacedName agent, ExecutionRequest request, Principal principal, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(principal);
        RunningAgent running = Running(agent) ?? throw new AgentNotRunningException(agent);
        try
        {
            return await running.ExecuteAsync(request, principal, cancellationToken);
        }
        catch (ObjectDisposedException)
        {
            // Stopped in between.
            throw new AgentNotRunningException(agent);
        }
    }

    /// <summary>Appends a message to the agent's inbox (durable when this returns); the loop need not be running.</summary>
    /// <returns>Id of the message: its line in the outbox carries it.</returns>
    /// <exception cref="MessageRefusedException">Text is empty, too long (1 MiB as a JSON line) or holds control characters.</exception>
    /// <exception cref="IOException">The inbox cannot be written.</exception>
    public async Task<string> SendAsync(NamespacedName agent, string text, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(text);
        var message = new InboxMessage { Id = $"msg-{Guid.NewGuid():N}", Text = text };
        await DeliverAsync(agent, message, cancellationToken);
        return message.Id;
    }

    /// <summary>Every loop as it is now.</summary>
    public IReadOnlyList<AgentRuntimeStatus> List() => [.. _slots.Values.Select(slot => slot.Running?.Loop.Status).OfType<AgentRuntimeStatus>()];

    /// <summary>Stops all loops side by side within <see cref="AgentRuntimesOptions.DrainTimeout"/>.</summary>
    public async ValueTask DisposeAsync()
    {
        _disposed = true;
        await Task.WhenAll(_slots.Keys.Select(agent => StopAsync(agent, CancellationToken.None)));
        foreach (Slot slot in _slots.Values)
        {
            slot.Dispose();
        }
    }

    /// <summary>Appends a message with an id of the caller's choice; the same id twice is one message.</summary>
    internal async Task DeliverAsync(NamespacedName agent, InboxMessage message, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        PathsOf(agent).Create();
        await SlotOf(agent).Inbox.AppendAsync(message, cancellationToken);
        Running(agent)?.Loop.Wake();
    }

    /// <summary>False when no loop of that agent runs.</summary>
    internal bool CancelMessage(NamespacedName agent, string messageId, bool deadline)
    {
        if (Running(agent) is not { } running)
        {
            return false;
        }

        running.Loop.Cancel(messageId, deadline);
        running.Loop.Wake();
        return true;
    }

    internal AgentRuntimeStatus? StatusOf(NamespacedName agent) => Running(agent)?.Loop.Status;

    /// <summary>The policy in force; null when no loop runs.</summary>
    internal Policy.ToolPolicyModel? PolicyOf(NamespacedName agent) => Running(agent) is null ? null : SlotOf(agent).Gate.Model;

    /// <summary>Looks an answer up in the outbox; reads the whole file, so only for start-up.</summary>
    internal OutboxLine? FindAnswer(NamespacedName agent, string messageId) =>
        new OutboxFile(PathsOf(agent).Outbox).Find(new HashSet<string> { messageId }).GetValueOrDefault(messageId);

    private RunningAgent? Running(NamespacedName agent) => _slots.TryGetValue(agent, out Slot? slot) ? slot.Running : null;

    private Slot SlotOf(NamespacedName agent) => _slots.GetOrAdd(agent, id => new Slot(PathsOf(id).Inbox, _services.TimeProvider));

    private AgentPaths PathsOf(NamespacedName agent) => AgentPaths.Of(_services.WorkspacesDirectory, _services.AgentStateDirectory, agent);

    private void OnProgress(MessageProgress progress)
    {
        if (progress.Answer is { } answer)
        {
            _answered?.Add(1, new KeyValuePair<string, object?>("status", answer.Status));
        }

        Progress?.Invoke(progress);
    }

    /// <summary>What outlives the loops of one agent.</summary>
    private sealed class Slot(string inboxPath, TimeProvider timeProvider) : IDisposable
    {
        private volatile RunningAgent? _running;

        public SemaphoreSlim OneAtATime { get; } = new(1, 1);

        public InboxAppender Inbox { get; } = new(inboxPath);

        public PolicyGate Gate { get; } = new(timeProvider);

        public RunningAgent? Running
        {
            get => _running;
            set => _running = value;
        }

        public void Dispose()
        {
            OneAtATime.Dispose();
            Inbox.Dispose();
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Agent {Agent} runs, generation {Generation}")]
    private partial void LogStarted(string agent, long generation);

    [LoggerMessage(Level = LogLevel.Information, Message = "Agent {Agent} stopped")]
    private partial void LogStopped(string agent);
}
