using System.Diagnostics;
using System.Text.Json;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Manifests;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;
using Rynxs.Resources.Tasks;
using Rynxs.Resources.Universes;
using Rynxs.Resources.Validation;
using TaskStatus = Rynxs.Resources.Tasks.TaskStatus;

namespace Rynxs.ResourceServer.Storage;

/// <summary>
/// From a request and the current object to the next one: which parts a request may touch, what only the server writes, what is refused.
/// Pure but for the clock and new uids.
/// </summary>
internal sealed class ObjectRules(Principal principal, TimeProvider timeProvider, ManifestLimits limits)
{
    public ObjectChange Create(ResourceType type, Resource given, Resource? current)
    {
        if (!string.IsNullOrEmpty(given.Metadata.ResourceVersion))
            throw new ResourceException(ResourceErrorReason.BadRequest, "resourceVersion should not be set on objects to be created");

        Resource next = given with
        {
            Metadata = given.Metadata with
            {
                Uid = Guid.NewGuid().ToString(),
                Generation = 1,
                CreationTimestamp = Now(),
                DeletionTimestamp = null,
                ResourceVersion = null,
            },
        };
        next = Normalise(type, WithStatus(next, InitialStatus(next)));
        if (current is not null)
            throw ResourceErrors.AlreadyExists(type, given.Metadata.Name);

        // Otherwise an administrator could ask in another's name and then say yes (E5).
        if (next is ApprovalResource approval && !IsSystem && approval.Spec.Requester != principal.Name)
            throw Refused(type, next, "spec.requester", $"Forbidden: only {principal.Name} can be the requester of this request");
        return new ObjectChange.Put(next);
    }

    public ObjectChange Update(ResourceType type, Resource given, Resource? current)
    {
        Resource before = Existing(type, given.Metadata.Name, current);
        CheckPreconditions(type, before, given.Metadata.ResourceVersion, given.Metadata.Uid);
        Resource next = WithStatus(given, before) with
        {
            Metadata = before.Metadata with
            {
                Labels = given.Metadata.Labels,
                Annotations = given.Metadata.Annotations,
                Finalizers = given.Metadata.Finalizers,
            },
        };
        return Replace(type, before, Normalise(type, next));
    }

    public ObjectChange UpdateStatus(ResourceType type, Resource given, Resource? current)
    {
        Resource before = Existing(type, given.Metadata.Name, current);
        CheckPreconditions(type, before, given.Metadata.ResourceVersion, given.Metadata.Uid);
        return Replace(type, before, Normalise(type, Decided(type, before, WithStatus(before, given))));
    }

    public ObjectChange Patch(ResourceType type, NamespacedName id, JsonElement patch, bool status, bool ignoreUnknown, Resource? current)
    {
        Resource before = Existing(type, id.Name, current);
        if (patch.ValueKind != JsonValueKind.Object)
            throw new ResourceException(ResourceErrorReason.BadRequest, "a merge patch is a JSON object");

        byte[] merged = JsonSerializer.SerializeToUtf8Bytes(MergePatch.Apply(ResourceJson.ToElement(before), patch));
        Resource given = ManifestReader.ReadOne(merged, type, id.Namespace, limits, ignoreUnknown);
        if (given.Id != before.Id)
            throw Refused(type, before, given.Metadata.Name != before.Metadata.Name ? "metadata.name" : "metadata.namespace", "Forbidden: field is immutable");
        return status ? UpdateStatus(type, given, current) : Update(type, given, current);
    }

    public ObjectChange Delete(ResourceType type, NamespacedName id, string? resourceVersion, string? uid, Resource? current)
    {
        Resource before = Existing(type, id.Name, current);
        CheckPreconditions(type, before, resourceVersion, uid);
        if (before.Metadata.Finalizers.Count == 0)
            return new ObjectChange.Remove(before);
        return before.Metadata.DeletionTimestamp is not null
            ? new ObjectChange.Keep(before)
            : new ObjectChange.Put(before with { Metadata = before.Metadata with { DeletionTimestamp = Now() } });
    }

    private bool IsSystem => principal.Name == Principal.System.Name && principal.Roles.Contains(Role.Admin);

    private static ObjectChange Replace(ResourceType type, Resource before, Resource next)
    {
        JsonElement a = ResourceJson.ToElement(before);
        JsonElement b = ResourceJson.ToElement(next);
        if (JsonElement.DeepEquals(a, b))
            return new ObjectChange.Keep(before);

        IReadOnlyList<FieldError> errors = ResourceValidation.ValidateTransition(before, next);
        if (before.Metadata.DeletionTimestamp is not null && next.Metadata.Finalizers.Except(before.Metadata.Finalizers).Any())
            errors = [.. errors, new FieldError("metadata.finalizers", FieldErrorCodes.Forbidden, "Forbidden: no new finalizers can be added if the object is being deleted")];
        if (errors.Count > 0)
            throw ResourceErrors.Invalid(type, before.Metadata.Name, errors);

        if (!JsonElement.DeepEquals(a.GetProperty("spec"), b.GetProperty("spec")))
            next = next with { Metadata = next.Metadata with { Generation = before.Metadata.Generation + 1 } };
        return next.Metadata is { DeletionTimestamp: not null, Finalizers.Count: 0 } ? new ObjectChange.Remove(next) : new ObjectChange.Put(next);
    }

    /// <summary>The rules of a decision, whatever path it takes here: in the decider's own name, by our clock, before the expiry (E5).</summary>
    private Resource Decided(ResourceType type, Resource before, Resource next)
    {
        if (before is not ApprovalResource { Status: var old } || next is not ApprovalResource { Status: { Decision: { } decision } status } approval)
            return next;
        if (old?.Decision is not null)
            return next; // written once: the transition rules refuse a change

        DateTimeOffset now = timeProvider.GetUtcNow();
        if (decision == "Approved" && now >= approval.Spec.Expires)
            throw Refused(type, before, "status.decision", "Forbidden: the approval has expired, which counts as rejected");
        if (IsSystem)
            return next;
        if (principal.Roles.Contains(Role.Agent) || status.Approver != principal.Name)
            throw Refused(type, before, "status.approver", "Forbidden: one decides in one's own name");
        if (decision == "Expired")
            throw Refused(type, before, "status.decision", "Forbidden: only the server finds an approval expired");
        return approval with { Status = status with { DecidedAt = now } };
    }

    /// <summary>Through text and back: the one way in which defaults and rules apply, whoever made the object.</summary>
    private Resource Normalise(ResourceType type, Resource resource) =>
        ManifestReader.ReadOne(ResourceJson.Serialize(resource), type, resource.Metadata.Namespace, limits);

    /// <summary>Kubernetes times have whole seconds.</summary>
    private DateTimeOffset Now() => DateTimeOffset.FromUnixTimeSeconds(timeProvider.GetUtcNow().ToUnixTimeSeconds());

    private static Resource Existing(ResourceType type, string name, Resource? current) => current ?? throw ResourceErrors.NotFound(type, name);

    private static void CheckPreconditions(ResourceType type, Resource before, string? resourceVersion, string? uid)
    {
        if (!string.IsNullOrEmpty(uid) && uid != before.Metadata.Uid)
            throw ResourceErrors.Conflict(type, before.Metadata.Name, "the UID in the request does not match the UID in record. The object might have been deleted and then recreated");
        if (!string.IsNullOrEmpty(resourceVersion) && resourceVersion != before.Metadata.ResourceVersion)
            throw ResourceErrors.Conflict(type, before.Metadata.Name, "the object has been modified; please apply your changes to the latest version and try again");
    }

    private static ResourceException Refused(ResourceType type, Resource resource, string field, string message) =>
        ResourceErrors.Invalid(type, resource.Metadata.Name, [new FieldError(field, FieldErrorCodes.Forbidden, message)]);

    private static Resource InitialStatus(Resource resource) => resource switch
    {
        AgentResource agent => agent with { Status = null },
        ApprovalResource approval => approval with { Status = null },
        TaskResource task => task with { Status = new TaskStatus() },
        UniverseResource universe => universe with { Status = null },
        _ => throw new UnreachableException(),
    };

    private static Resource WithStatus(Resource target, Resource source) => (target, source) switch
    {
        (AgentResource a, AgentResource b) => a with { Status = b.Status },
        (ApprovalResource a, ApprovalResource b) => a with { Status = b.Status },
        (TaskResource a, TaskResource b) => a with { Status = b.Status },
        (UniverseResource a, UniverseResource b) => a with { Status = b.Status },
        _ => throw new ArgumentException("The objects are of different kinds.", nameof(source)),
    };
}
