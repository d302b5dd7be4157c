using Rynxs.Agents.Loop;
using Rynxs.Agents.Outbox;
using Rynxs.Resources.Tasks;

namespace Rynxs.Agents.Tasks;

/// <summary>What should happen next to one Task. A closed family.</summary>
internal abstract record TaskStep
{
    private TaskStep()
    {
    }

    /// <summary>Final.</summary>
    public sealed record Finish(string Phase, string Reason, string Message, OutboxLine? Answer = null) : TaskStep;

    /// <summary>It cannot be assigned yet.</summary>
    /// <param name="Reason">Reason of the condition.</param>
    /// <param name="Message">For people.</param>
    /// <param name="Until">When to look again; null: when something changes.</param>
    public sealed record Wait(string Reason, string Message, DateTimeOffset? Until = null) : TaskStep;

    /// <summary>Find an agent.</summary>
    public sealed record Assign : TaskStep;

    /// <summary>Stop the agent's work on it.</summary>
    public sealed record Interrupt(bool Deadline) : TaskStep;

    /// <summary>The attempt failed; another one follows.</summary>
    public sealed record Retry(string Reason, string Message) : TaskStep;

    /// <summary>The agent has it.</summary>
    public sealed record Follow : TaskStep;
}

/// <summary>Pure rules of a Task's life.</summary>
internal static class TaskPlan
{
    /// <summary>Type of the condition that says why a Task is not assigned.</summary>
    public const string AssignedCondition = "Assigned";

    /// <summary>Reason of <see cref="AssignedCondition"/> while a retry waits.</summary>
    public const string RetryingReason = "Retrying";

    private static readonly TimeSpan FirstRetry = TimeSpan.FromSeconds(1), LastRetry = TimeSpan.FromMinutes(5);

    public static bool IsFinal(TaskResource task) => task.Status?.Phase is "Completed" or "Failed" or "Cancelled";

    public static bool IsWithAgent(TaskResource task) => task.Status?.Phase is "Assigned" or "InProgress";

    /// <summary>Decides about a Task that is not final.</summary>
    /// <param name="task">The Task.</param>
    /// <param name="byName">All Tasks of its namespace.</param>
    /// <param name="answer">The agent's answer to the current attempt, when there is one.</param>
    /// <param name="now">The moment.</param>
    public static TaskStep Decide(TaskResource task, IReadOnlyDictionary<string, TaskResource> byName, OutboxLine? answer, DateTimeOffset now)
    {
        bool late = task.Spec.Deadline is { } deadline && deadline <= now;
        if (IsWithAgent(task))
        {
            if (answer is not null)
            {
                return AfterAnswer(task, answer, late);
            }

            return task.Spec.Cancel || late ? new TaskStep.Interrupt(Deadline: !task.Spec.Cancel) : new TaskStep.Follow();
        }

        if (task.Spec.Cancel)
        {
            return new TaskStep.Finish("Cancelled", "Cancelled", "Cancelled before an agent began.");
        }

        if (late)
        {
            return new TaskStep.Finish("Failed", "DeadlineExceeded", "The deadline passed before an agent began.");
        }

        TaskStep? wait = Dependencies(task, byName) ?? Backoff(task, now);
        return wait ?? new TaskStep.Assign();
    }

    /// <summary>How long after the failure of an attempt the next one begins: 1 s, doubling, at most 5 min.</summary>
    public static TimeSpan RetryDelay(int attempts) =>
        TimeSpan.FromTicks(Math.Min(LastRetry.Ticks, FirstRetry.Ticks << Math.Clamp(attempts - 1, 0, 20)));

    /// <summary>Most urgent first, then oldest, then by name.</summary>
    public static IEnumerable<TaskResource> InOrder(IEnumerable<TaskResource> tasks) => tasks
        .OrderByDescending(task => task.Spec.Priority switch { "critical" => 3, "high" => 2, "low" => 0, _ => 1 })
        .ThenBy(task => task.Metadata.CreationTimestamp)
        .ThenBy(task => task.Metadata.Name, StringComparer.Ordinal);

    private static TaskStep AfterAnswer(TaskResource task, OutboxLine answer, bool late)
    {
        string code = answer.Error?.Code ?? "";
        string message = answer.Error?.Message ?? "";
        switch (answer.Status)
        {
            case "completed":
                return new TaskStep.Finish("Completed", "Completed", "", answer);
            case "cancelled" when !task.Spec.Cancel && late:
                return new TaskStep.Finish("Failed", "DeadlineExceeded", "The deadline passed.", answer);
            case "cancelled":
                return new TaskStep.Finish("Cancelled", "Cancelled", message, answer);
        }

        if (code == "deadline_exceeded")
        {
            return new TaskStep.Finish("Failed", "DeadlineExceeded", message, answer);
        }

        // What may have happened already is never done again by itself.
        bool repeatable = code is not (RecoveryPlan.OutcomeUnknown or RecoveryPlan.ProgressLost);
        int attempts = task.Status?.Attempts ?? 1;
        return repeatable && attempts < task.Spec.MaxAttempts && !task.Spec.Cancel && !late
            ? new TaskStep.Retry(code, message)
            : new TaskStep.Finish("Failed", code, message, answer);
    }

    private static TaskStep? Dependencies(TaskResource task, IReadOnlyDictionary<string, TaskResource> byName)
    {
        if (FindCycle(task, byName) is { } cycle)
        {
            return new TaskStep.Finish("Failed", "DependencyCycle", $"The dependencies form a cycle: {cycle}.");
        }

        foreach (string name in task.Spec.Dependencies)
        {
            string? phase = byName.TryGetValue(name, out TaskResource? other) ? other.Status?.Phase ?? "Pending" : null;
            switch (phase)
            {
                case "Completed":
                    continue;
                case "Failed" or "Cancelled":
                    return new TaskStep.Finish("Failed", "DependencyFailed", $"Task '{name}', on which this one depends, is {phase}.");
                case null:
                    return new TaskStep.Wait("DependencyMissing", $"Task '{name}', on which this one depends, does not exist.");
                default:
                    return new TaskStep.Wait("DependencyPending", $"Task '{name}', on which this one depends, is {phase}.");
            }
        }

        return null;
    }

    /// <summary>A cycle that the Task is part of, as text; null when there is none. Iterative: chains of dependencies can be long.</summary>
    private static string? FindCycle(TaskResource task, IReadOnlyDictionary<string, TaskResource> byName)
    {
        string start = task.Metadata.Name;
        var cameFrom = new Dictionary<string, string>();
        var open = new Stack<string>([start]);
        while (open.TryPop(out string? name))
        {
            foreach (string next in byName.TryGetValue(name, out TaskResource? at) ? at.Spec.Dependencies : [])
            {
                if (next == start)
                {
                    return Path(start, name, cameFrom);
                }

                if (cameFrom.TryAdd(next, name))
                {
                    open.Push(next);
                }
            }
        }

        return null;
    }

    private static string Path(string start, string last, Dictionary<string, string> cameFrom)
    {
        var path = new List<string> { start };
        for (string? at = last; at is not null && at != start; at = cameFrom.GetValueOrDefault(at))
        {
            path.Insert(0, at);
        }

        path.Insert(0, start);
        return string.Join(" → ", path.Count <= 12 ? path : [.. path.Take(6), "…", .. path.TakeLast(5)]);
    }

    private static TaskStep.Wait? Backoff(TaskResource task, DateTimeOffset now)
    {
        if (task.Status?.Conditions.FirstOrDefault(condition => condition is { Type: AssignedCondition, Reason: RetryingReason }) is not { LastTransitionTime: { } since } retrying)
        {
            return null;
        }

        DateTimeOffset due = since + RetryDelay(task.Status.Attempts);
        return now < due ? new TaskStep.Wait(RetryingReason, retrying.Message, due) : null;
    }
}
