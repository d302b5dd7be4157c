using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Rynxs.Agents.Inbox;
using Rynxs.Agents.Lifecycle;
using Rynxs.Agents.Outbox;
using Rynxs.Agents.Policies;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;
using TaskStatus = Rynxs.Resources.Tasks.TaskStatus;

namespace Rynxs.Agents.Tasks;

/// <summary>
/// Assigns Tasks to agents, follows them to a final phase, and writes their status. Level-triggered: every pass looks at all Tasks as
/// they are, so nothing depends on having seen an event.
/// </summary>
public sealed partial class TaskController
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(5), Pause = TimeSpan.FromSeconds(1);
    private const int MaxErrorLength = 4096;

    private readonly AgentServices _services;
    private readonly AgentRuntimes _runtimes;
    private readonly ILogger _logger;
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly ConcurrentDictionary<string, OutboxLine> _answers = new();
    private readonly ConcurrentDictionary<string, byte> _started = new();

    // Lines that this process has put into an inbox or found answered: message id to agent.
    private readonly Dictionary<string, NamespacedName> _delivered = [];

    public TaskController(AgentServices services, AgentRuntimes runtimes)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(runtimes);
        _services = services;
        _runtimes = runtimes;
        _logger = services.LoggerFactory.CreateLogger<TaskController>();
    }

    /// <summary>Works until cancelled. Safe to start again after a crash: it continues from the objects and the agents' outboxes.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        _runtimes.Progress += OnProgress;
        using var watching = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task[] watches = [WatchAsync<TaskResource>(watching.Token), WatchAsync<AgentResource>(watching.Token)];
        try
        {
            while (true)
            {
                DateTimeOffset? next = await TryPassAsync(cancellationToken);
                await WaitAsync(next, cancellationToken);
            }
        }
        finally
        {
            _runtimes.Progress -= OnProgress;
            await watching.CancelAsync();
            await Task.WhenAll(watches).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private void OnProgress(MessageProgress progress)
    {
        if (!TaskMessageId.TryParse(progress.MessageId, out _, out _))
        {
            return;
        }

        if (progress.Answer is { } answer)
        {
            _answers[progress.MessageId] = answer;
        }
        else
        {
            _started[progress.MessageId] = 0;
        }

        _wake.Writer.TryWrite(true);
    }

    private async Task WatchAsync<T>(CancellationToken cancellationToken)
        where T : Resource
    {
        while (true)
        {
            try
            {
                ResourceList<T> now = await _services.Resources.ListAsync<T>(new ResourceQuery(), cancellationToken);
                _wake.Writer.TryWrite(true);
                await foreach (WatchEvent<T> change in _services.Resources.WatchAsync<T>(new ResourceQuery(), now.ResourceVersion, cancellationToken))
                {
                    if (change.Type != WatchEventType.Bookmark)
                    {
                        _wake.Writer.TryWrite(true);
                    }
                }
            }
            catch (ResourceException lost)
            {
                LogWatchLost(typeof(T).Name, lost.Reason);
            }

            await Task.Delay(Pause, _services.TimeProvider, cancellationToken);
        }
    }

    private async Task WaitAsync(DateTimeOffset? next, CancellationToken cancellationToken)
    {
        TimeSpan wait = next is { } due ? due - _services.TimeProvider.GetUtcNow() : LongestWait;
        wait = wait < TimeSpan.FromMilliseconds(10) ? TimeSpan.FromMilliseconds(10) : wait > LongestWait ? LongestWait : wait;
        using var timer = new CancellationTokenSource(wait, _services.TimeProvider);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timer.Token);
        try
        {
            await _wake.Reader.ReadAsync(linked.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // Time for another look.
        }
    }

    /// <summary>One look at everything. Returns when to look again at the latest; null: no particular time.</summary>
    private async Task<DateTimeOffset?> TryPassAsync(CancellationToken cancellationToken)
    {
        try
        {
            return await PassAsync(cancellationToken);
        }
        catch (ResourceException failed)
        {
            // A conflict means that somebody else wrote; the next pass sees it. An unavailable store may be back then.
            LogPassFailed(failed.Reason, failed.Message);
            return _services.TimeProvider.GetUtcNow() + (failed.Reason == ResourceErrorReason.Conflict ? TimeSpan.Zero : Pause);
        }
        catch (IOException failed)
        {
            LogDeliveryFailed(failed.Message);
            return _services.TimeProvider.GetUtcNow() + Pause;
        }
    }

    private async Task<DateTimeOffset?> PassAsync(CancellationToken cancellationToken)
    {
        ResourceList<TaskResource> tasks = await _services.Resources.ListAsync<TaskResource>(new ResourceQuery(), cancellationToken);
        ILookup<string, NamespacedName> agents = (await _services.Resources.ListAsync<AgentResource>(new ResourceQuery(), cancellationToken)).Items
            .Where(agent => agent.Metadata.DeletionTimestamp is null)
            .ToLookup(agent => agent.Id.Namespace, agent => agent.Id);
        DateTimeOffset? next = null;
        foreach (IGrouping<string, TaskResource> group in tasks.Items.GroupBy(task => task.Id.Namespace))
        {
            Dictionary<string, TaskResource> byName = group.ToDictionary(task => task.Metadata.Name);
            foreach (TaskResource task in TaskPlan.InOrder(group.Where(task => !TaskPlan.IsFinal(task))))
            {
                DateTimeOffset? due = await AdvanceAsync(task, byName, [.. agents[group.Key]], cancellationToken);
                next = due is null ? next : next is null || due < next ? due : next;
            }
        }

        InterruptDeleted(tasks.Items);
        return next;
    }

    private async Task<DateTimeOffset?> AdvanceAsync(
        TaskResource task, Dictionary<string, TaskResource> byName, IReadOnlyList<NamespacedName> agents, CancellationToken cancellationToken)
    {
        OutboxLine? answer = await EnsureDeliveredAsync(task, agents, cancellationToken);
        switch (TaskPlan.Decide(task, byName, answer, _services.TimeProvider.GetUtcNow()))
        {
            case TaskStep.Finish finish:
                byName[task.Metadata.Name] = await FinishAsync(task, finish, cancellationToken);
                return _services.TimeProvider.GetUtcNow(); // Others may depend on it.
            case TaskStep.Wait wait:
                await SetConditionAsync(task, wait.Reason, wait.Message, cancellationToken);
                return wait.Until ?? task.Spec.Deadline;
            case TaskStep.Assign:
                await AssignAsync(task, agents, cancellationToken);
                return task.Spec.Deadline;
            case TaskStep.Interrupt interrupt:
                await InterruptAsync(task, interrupt, cancellationToken);
                return null;
            case TaskStep.Retry retry:
                await RetryAsync(task, retry, cancellationToken);
                return _services.TimeProvider.GetUtcNow() + TaskPlan.RetryDelay(task.Status?.Attempts ?? 1);
            case TaskStep.Follow:
                await FollowAsync(task, agents, cancellationToken);
                return task.Spec.Deadline;
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }

    /// <summary>
    /// After a restart it is not known whether the line of an assigned Task reached the inbox: if it has no answer, it is delivered once
    /// more. The agent knows the id, so a second line changes nothing.
    /// </summary>
    private async Task<OutboxLine?> EnsureDeliveredAsync(TaskResource task, IReadOnlyList<NamespacedName> agents, CancellationToken cancellationToken)
    {
        if (!TaskPlan.IsWithAgent(task) || task.Status?.AssignedAgent is not { } name || task.Metadata.Uid is not { } uid)
        {
            return null;
        }

        string id = TaskMessageId.Of(uid, task.Status.Attempts);
        var agent = new NamespacedName(task.Id.Namespace, name);
        if (!_delivered.ContainsKey(id))
        {
            if (_runtimes.FindAnswer(agent, id) is { } found)
            {
                _answers.TryAdd(id, found);
            }
            else if (agents.Contains(agent))
            {
                await DeliverAsync(task, agent, id, cancellationToken);
            }

            _delivered[id] = agent;
        }

        return _answers.GetValueOrDefault(id);
    }

    private async Task AssignAsync(TaskResource task, IReadOnlyList<NamespacedName> agents, CancellationToken cancellationToken)
    {
        (NamespacedName? agent, string why) = Choose(task, agents);
        if (agent is not { } chosen)
        {
            await SetConditionAsync(task, "NoAgent", why, cancellationToken);
            return;
        }

        int attempt = (task.Status?.Attempts ?? 0) + 1;
        TaskResource assigned = await WriteAsync(task, (task.Status ?? new TaskStatus()) with
        {
            Phase = "Assigned",
            AssignedAgent = chosen.Name,
            Attempts = attempt,
            StartTime = task.Status?.StartTime ?? _services.TimeProvider.GetUtcNow(),
            Error = null,
            Conditions = [Condition("True", "Assigned", $"Attempt {attempt} of {task.Spec.MaxAttempts}.", task.Status)],
        }, cancellationToken);

        // The status is durable first: a crash here is mended by EnsureDeliveredAsync.
        string id = TaskMessageId.Of(task.Metadata.Uid ?? "", attempt);
        await DeliverAsync(assigned, chosen, id, cancellationToken);
        _delivered[id] = chosen;
    }

    private async Task DeliverAsync(TaskResource task, NamespacedName agent, string id, CancellationToken cancellationToken)
    {
        _ = InboxLineParser.TryReadPriority(task.Spec.Priority, out MessagePriority priority);
        try
        {
            await _runtimes.DeliverAsync(
                agent,
                new InboxMessage
                {
                    Id = id,
                    TaskId = task.Metadata.Name,
                    Title = task.Spec.Title,
                    Text = task.Spec.Description,
                    Priority = priority,
                    Deadline = task.Spec.Deadline,
                    Input = task.Spec.Input,
                },
                cancellationToken);
        }
        catch (MessageRefusedException refused)
        {
            // It cannot be a line of an inbox (with its input it is too long): no attempt will change that.
            _answers[id] = new OutboxLine
            {
                Id = id,
                T = _services.TimeProvider.GetUtcNow(),
                TaskId = task.Metadata.Name,
                Status = "failed",
                Error = new OutboxError("message_refused", refused.Message),
            };
            _wake.Writer.TryWrite(true);
        }
    }

    private (NamespacedName? Agent, string Why) Choose(TaskResource task, IReadOnlyList<NamespacedName> agents)
    {
        if (task.Spec.Assignee is { } assignee)
        {
            var named = new NamespacedName(task.Id.Namespace, assignee);
            return !agents.Contains(named) ? (null, $"There is no agent '{assignee}' in this namespace.")
                : Takes(named, task) is { } reason ? (null, $"Agent '{assignee}' {reason}.")
                : (named, "");
        }

        NamespacedName[] able = [.. agents.Where(agent => Takes(agent, task) is null)
            .OrderBy(agent => _runtimes.StatusOf(agent)?.PendingMessages ?? int.MaxValue)
            .ThenBy(agent => agent.Name, StringComparer.Ordinal)];
        return able is [var first, ..]
            ? (first, "")
            : (null, task.Spec.RequiredTools.Count == 0
                ? "No agent of this namespace runs."
                : $"No running agent of this namespace may use all of {string.Join(", ", task.Spec.RequiredTools)}.");
    }

    // Null when it does, else why not.
    private string? Takes(NamespacedName agent, TaskResource task) => _runtimes.StatusOf(agent) switch
    {
        null or { State: AgentRuntimeState.Stopped } => "does not run",
        { State: AgentRuntimeState.Suspended } => "is suspended",
        _ => _runtimes.PolicyOf(agent) is { } policy && AgentPolicy.MayUse(policy, task.Spec.RequiredTools)
            ? null
            : $"may not use all of {string.Join(", ", task.Spec.RequiredTools)}",
    };

    private async Task FollowAsync(TaskResource task, IReadOnlyList<NamespacedName> agents, CancellationToken cancellationToken)
    {
        string id = TaskMessageId.Of(task.Metadata.Uid ?? "", task.Status?.Attempts ?? 1);
        if (!agents.Contains(new NamespacedName(task.Id.Namespace, task.Status?.AssignedAgent ?? "")))
        {
            await FinishAsync(task, new TaskStep.Finish("Failed", "AgentDeleted", "The agent was deleted while it had the task."), cancellationToken);
        }
        else if (task.Status?.Phase == "Assigned" && _started.ContainsKey(id))
        {
            await WriteAsync(task, task.Status with { Phase = "InProgress" }, cancellationToken);
        }
    }

    private async Task InterruptAsync(TaskResource task, TaskStep.Interrupt interrupt, CancellationToken cancellationToken)
    {
        var agent = new NamespacedName(task.Id.Namespace, task.Status?.AssignedAgent ?? "");
        string id = TaskMessageId.Of(task.Metadata.Uid ?? "", task.Status?.Attempts ?? 1);
        if (_runtimes.StatusOf(agent) is { State: AgentRuntimeState.Running or AgentRuntimeState.Starting } && _runtimes.CancelMessage(agent, id, interrupt.Deadline))
        {
            return; // Its answer will say how it ended.
        }

        // Nobody works on it, and whoever starts later asks whether it is still wanted.
        await FinishAsync(
            task,
            interrupt.Deadline
                ? new TaskStep.Finish("Failed", "DeadlineExceeded", "The deadline passed while its agent was not running.")
                : new TaskStep.Finish("Cancelled", "Cancelled", "Cancelled while its agent was not running."),
            cancellationToken);
    }

    /// <summary>A Task that was deleted while an agent has it is cancelled there.</summary>
    private void InterruptDeleted(IReadOnlyList<TaskResource> tasks)
    {
        HashSet<string> present = [.. tasks.Where(task => !TaskPlan.IsFinal(task)).Select(task => task.Metadata.Uid ?? "")];
        foreach ((string id, NamespacedName agent) in _delivered
            .Where(pair => TaskMessageId.TryParse(pair.Key, out string uid, out _) && !present.Contains(uid)).ToList())
        {
            if (!_answers.ContainsKey(id))
            {
                _runtimes.CancelMessage(agent, id, deadline: false);
            }

            _delivered.Remove(id);
            _answers.TryRemove(id, out _);
            _started.TryRemove(id, out _);
        }
    }

    private async Task RetryAsync(TaskResource task, TaskStep.Retry retry, CancellationToken cancellationToken)
    {
        TaskStatus status = task.Status ?? new TaskStatus();
        await WriteAsync(task, status with
        {
            Phase = "Pending",
            AssignedAgent = null,
            Error = Bounded($"{retry.Reason}: {retry.Message}"),
            Conditions = [Condition("False", TaskPlan.RetryingReason, Bounded($"Attempt {status.Attempts} failed ({retry.Reason}); another one follows."), null)],
        }, cancellationToken);
    }

    private async Task<TaskResource> FinishAsync(TaskResource task, TaskStep.Finish finish, CancellationToken cancellationToken)
    {
        TaskStatus status = task.Status ?? new TaskStatus();
        return await WriteAsync(task, status with
        {
            Phase = finish.Phase,
            CompletionTime = _services.TimeProvider.GetUtcNow(),
            Result = ResultOf(finish.Answer) ?? status.Result,
            Error = finish.Phase == "Completed" ? null : Bounded(finish.Message.Length > 0 ? $"{finish.Reason}: {finish.Message}" : finish.Reason),
            Conditions =
            [
                .. status.Conditions.Where(condition => condition.Type != "Finished"),
                Condition("True", PascalCase(finish.Reason), Bounded(finish.Message), null) with { Type = "Finished" },
            ],
        }, cancellationToken);
    }

    private async Task SetConditionAsync(TaskResource task, string reason, string message, CancellationToken cancellationToken)
    {
        TaskStatus status = task.Status ?? new TaskStatus();
        if (status.Conditions.Any(condition => condition.Type == TaskPlan.AssignedCondition && condition.Reason == reason && condition.Message == message))
        {
            return;
        }

        await WriteAsync(task, status with { Phase = "Pending", Conditions = [Condition("False", reason, message, status)] }, cancellationToken);
    }

    private async Task<TaskResource> WriteAsync(TaskResource task, TaskStatus status, CancellationToken cancellationToken) =>
        await _services.Resources.UpdateStatusAsync(task with { Status = status }, cancellationToken);

    private Condition Condition(string status, string reason, string message, TaskStatus? before)
    {
        Condition? old = before?.Conditions.FirstOrDefault(condition => condition.Type == TaskPlan.AssignedCondition);
        return new Condition
        {
            Type = TaskPlan.AssignedCondition,
            Status = status,
            Reason = reason,
            Message = message,
            LastTransitionTime = old?.Status == status ? old.LastTransitionTime : _services.TimeProvider.GetUtcNow(),
        };
    }

    private static JsonElement? ResultOf(OutboxLine? answer)
    {
        if (answer is null)
        {
            return null;
        }

        var result = new JsonObject { ["text"] = answer.Output?.Text ?? "" };
        if (answer.Result is { } completed)
        {
            result["result"] = JsonNode.Parse(completed.GetRawText());
        }

        using JsonDocument document = JsonDocument.Parse(result.ToJsonString());
        return document.RootElement.Clone();
    }

    // Reasons of conditions are CamelCase by Kubernetes' convention; ours come from codes such as tool_denied.
    private static string PascalCase(string code) =>
        string.Concat(code.Split('_', StringSplitOptions.RemoveEmptyEntries).Select(part => char.ToUpperInvariant(part[0]) + part[1..])) is { Length: > 0 } name ? name : "Failed";

    private static string Bounded(string text) => text.Length <= MaxErrorLength ? text : string.Concat(text.AsSpan(0, MaxErrorLength - 1), "…");

    [LoggerMessage(Level = LogLevel.Information, Message = "The watch on {Kind} ended ({Reason}); it starts over")]
    private partial void LogWatchLost(string kind, ResourceErrorReason reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A pass over the tasks ended early: {Reason}, {Detail}")]
    private partial void LogPassFailed(ResourceErrorReason reason, string detail);

    [LoggerMessage(Level = LogLevel.Warning, Message = "A task cannot be delivered: {Detail}")]
    private partial void LogDeliveryFailed(string detail);
}
