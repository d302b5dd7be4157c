using Rynxs.Resources.Client;
using Rynxs.Resources.Validation;

namespace Rynxs.Resources.Tasks;

/// <summary>Rules of a Task.</summary>
internal static class TaskRules
{
    private const int MaxTextBytes = 1024 * 1024;

    public static bool IsFinal(string? phase) => phase is "Completed" or "Failed" or "Cancelled";

    public static void Check(TaskResource task, Rules rules)
    {
        TaskSpec spec = task.Spec;
        rules.Line("spec.title", spec.Title, 256);
        rules.Text("spec.description", spec.Description, MaxTextBytes, minBytes: 1);
        rules.Name("spec.assignee", spec.Assignee);
        rules.OneOf("spec.priority", spec.Priority, "low", "normal", "high", "critical");
        rules.Line("spec.zone", spec.Zone, 63);
        rules.Range("spec.maxAttempts", spec.MaxAttempts, 1, 10);
        rules.Count("spec.requiredTools", spec.RequiredTools.Count, 64);
        for (int i = 0; i < spec.RequiredTools.Count; i++)
        {
            if (spec.RequiredTools[i].Contains('*'))
                rules.Invalid($"spec.requiredTools[{i}]", spec.RequiredTools[i], "a tool's full name is due, not a wildcard");
            else
                rules.ToolPattern($"spec.requiredTools[{i}]", spec.RequiredTools[i]);
        }

        rules.Count("spec.dependencies", spec.Dependencies.Count, 256);
        rules.Unique("spec.dependencies", spec.Dependencies);
        for (int i = 0; i < spec.Dependencies.Count; i++)
        {
            if (spec.Dependencies[i] == task.Metadata.Name)
                rules.Invalid($"spec.dependencies[{i}]", spec.Dependencies[i], "a task cannot wait for itself");
            else
                rules.Name($"spec.dependencies[{i}]", spec.Dependencies[i]);
        }

        if (task.Status is { } status)
        {
            rules.OneOf("status.phase", status.Phase, "Pending", "Assigned", "InProgress", "Completed", "Failed", "Cancelled");
            rules.Name("status.assignedAgent", status.AssignedAgent);
            rules.Range("status.attempts", status.Attempts, 0, 1000);
            rules.Text("status.error", status.Error, MaxTextBytes);
            rules.Conditions("status.conditions", status.Conditions);
        }
    }

    public static void CheckTransition(TaskResource before, TaskResource after, Rules rules)
    {
        if (before.Spec.Cancel && !after.Spec.Cancel)
            rules.Add("spec.cancel", FieldErrorCodes.Forbidden, "Forbidden: a cancellation cannot be taken back");
        if (IsFinal(before.Status?.Phase) && !Transitions.Same(before, after, "status"))
            rules.Add("status", FieldErrorCodes.Forbidden, $"Forbidden: the task is {before.Status?.Phase}, which is final");
    }
}
