using System.Globalization;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Meta;

namespace Rynxs.Operator.Agents;

/// <summary>What a pass found, as an Agent's status.</summary>
internal sealed record AgentStatusReport(string Phase, string ReadyStatus, string Reason, string Message)
{
    private const int MaxMessage = 1024;

    public static AgentStatusReport Ready { get; } = new("Running", "True", "Running", "");

    /// <summary>All is decided and done, and the rest is up to the cluster.</summary>
    public static AgentStatusReport Waiting(string reason) => new("Pending", "False", reason, "");

    public static AgentStatusReport NotReady(ActionResult.Failed failed, int failures) => new(
        failures < 3 ? "Pending" : "Failed", "False", failed.Error.Code,
        string.Create(CultureInfo.InvariantCulture, $"{Cut(failed.Message)} (attempt {failures}; it will be tried again)"));

    /// <summary>The status with this report in it. A condition keeps its transition time while its status stays.</summary>
    public AgentStatus ApplyTo(AgentResource agent, ResolvedImage? image, DateTimeOffset now)
    {
        AgentStatus before = agent.Status ?? new AgentStatus();
        var conditions = new List<Condition>(before.Conditions);
        Set(conditions, new Condition
        {
            Type = "Ready", Status = ReadyStatus, Reason = agent.Spec.Suspended && ReadyStatus == "True" ? "Suspended" : Reason, Message = Message,
            LastTransitionTime = now, ObservedGeneration = agent.Metadata.Generation,
        });
        if (image is not null)
        {
            Set(conditions, new Condition
            {
                Type = "ImageResolved", Status = image.Substituted ? "False" : "True", Reason = image.Substituted ? "Substituted" : "Resolved",
                Message = Cut(image.Message), LastTransitionTime = now, ObservedGeneration = agent.Metadata.Generation,
            });
        }

        return before with
        {
            Phase = Phase,
            ObservedGeneration = agent.Metadata.Generation,
            Conditions = conditions,
            ImageDigest = image?.Digest ?? before.ImageDigest,
        };
    }

    /// <summary>Whether two statuses say the same: records compare lists by reference.</summary>
    public static bool Same(AgentStatus? left, AgentStatus right) =>
        left is not null && left.Phase == right.Phase && left.ObservedGeneration == right.ObservedGeneration
        && left.ImageDigest == right.ImageDigest && left.Conditions.SequenceEqual(right.Conditions);

    private static void Set(List<Condition> conditions, Condition condition)
    {
        int index = conditions.FindIndex(existing => existing.Type == condition.Type);
        if (index < 0)
        {
            conditions.Add(condition);
        }
        else
        {
            conditions[index] = conditions[index].Status == condition.Status
                ? condition with { LastTransitionTime = conditions[index].LastTransitionTime }
                : condition;
        }
    }

    private static string Cut(string message) => message.Length <= MaxMessage ? message : message[..MaxMessage];
}
