using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;
using Rynxs.Resources.Identity;

namespace Rynxs.ResourceServer.Objects;

/// <summary>
/// What no schema of our own kinds can say because it depends on the principal and the clock: above all who may ask and who may decide (E5). It holds for every
/// way of writing.
/// </summary>
internal sealed class UniverseAdmission(TimeProvider timeProvider)
{
    /// <summary>A task is pending from the beginning: who lists by phase finds it before a controller has seen it.</summary>
    public static void Begin(ObjectRequest request, JsonObject next)
    {
        if (request.Kind.Kind is { Group: "universe.ai", Kind: "Task" })
            next["status"] = new JsonObject { ["phase"] = "Pending", ["attempts"] = 0 };
    }

    /// <summary>Otherwise an administrator could ask in another's name and then say yes.</summary>
    public static void Create(ObjectRequest request, JsonObject next)
    {
        if (request.Kind.Kind is not { Group: "universe.ai", Kind: "Approval" or "EgressApproval" } || IsSystem(request.Principal))
            return;
        if (At(next, "spec", "requester") != request.Principal.Name)
            throw Refused(request, next, "spec.requester", $"Forbidden: only {request.Principal.Name} can be the requester of this request");
    }

    /// <summary>A decision is made in the decider's own name, by our clock, before the expiry, and once.</summary>
    public void Update(ObjectRequest request, JsonObject next, JsonObject live)
    {
        if (!Applies(request) || At(next, "status", "decision") is not { Length: > 0 } decision)
            return;
        if (At(live, "status", "decision") is { Length: > 0 })
            return; // written once: the transition rules refuse a change

        DateTimeOffset now = timeProvider.GetUtcNow();
        if (decision == "Approved" && (!DateTimeOffset.TryParse(At(next, "spec", "expires"), System.Globalization.CultureInfo.InvariantCulture, out DateTimeOffset expires) || now >= expires))
            throw Refused(request, next, "status.decision", "Forbidden: the approval has expired, which counts as rejected");
        if (IsSystem(request.Principal))
            return;
        if (request.Principal.Roles.Contains(Role.Agent) || At(next, "status", "approver") != request.Principal.Name)
            throw Refused(request, next, "status.approver", "Forbidden: one decides in one's own name");
        if (decision == "Expired")
            throw Refused(request, next, "status.decision", "Forbidden: only the server finds an approval expired");
        ((JsonObject)next["status"]!)["decidedAt"] = Rfc3339(now); // the decision was read from it
    }

    private static bool Applies(ObjectRequest request) => request.Kind.Kind is { Group: "universe.ai", Kind: "Approval" };

    private static bool IsSystem(Principal principal) => principal.Name == Principal.System.Name && principal.Roles.Contains(Role.Admin);

    private static string? At(JsonObject document, string part, string field) => document[part] is JsonObject inner ? ObjectPipeline.Text(inner, field) : null;

    private static string Rfc3339(DateTimeOffset time) =>
        time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", System.Globalization.CultureInfo.InvariantCulture);

    private static ApiException Refused(ObjectRequest request, JsonObject document, string field, string message) =>
        ApiErrors.Invalid(request.Kind.Kind, ObjectPipeline.Text(ObjectPipeline.Metadata(document), "name"), [new StatusCause(CauseReasons.Forbidden, message, field)]);
}
