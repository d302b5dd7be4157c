using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Applying;
using Rynxs.ResourceServer.Http;
using Rynxs.ResourceServer.Schemas;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Objects;

internal sealed partial class ObjectPipeline
{
    /// <summary>Replaces an object, or the part of it that the subresource is. The document is the pipeline's to change.</summary>
    public async Task<WriteResult> UpdateAsync(ObjectRequest request, JsonObject given, IReadOnlyList<string> duplicates, CancellationToken cancellationToken)
    {
        Address(request, given);
        string name = Text(Metadata(given), "name");
        if (name.Length == 0)
            Metadata(given)["name"] = request.Name;
        else if (name != request.Name)
            throw ApiErrors.BadRequest($"the name of the object ({name}) does not match the name on the URL ({request.Name})");

        Prune(request, given, duplicates);
        return await ChangeAsync(request, request.Name, Verb(request, "update"), (live, stored) =>
        {
            if (live is null || stored is null)
                throw ApiErrors.NotFound(request.Kind.Kind, request.Name);
            return Replace(request, (JsonObject)given.DeepClone(), live, stored);
        }, cancellationToken);
    }

    /// <summary>Changes an object by a function of it, for parts of the server itself and for calls in process.</summary>
    public async Task<WriteResult> ChangeAsync(ObjectRequest request, Func<JsonObject, long, JsonObject> change, CancellationToken cancellationToken) =>
        await ChangeAsync(request, request.Name, Verb(request, "update"), (live, stored) =>
        {
            if (live is null || stored is null)
                throw ApiErrors.NotFound(request.Kind.Kind, request.Name);
            return Replace(request, change((JsonObject)live.DeepClone(), stored.Version), live, stored);
        }, cancellationToken);

    /// <summary>Writes the scale subresource: the Scale of the object before, and what the request makes of it.</summary>
    public async Task<WriteResult> ScaleAsync(ObjectRequest request, Func<JsonObject, JsonObject> change, CancellationToken cancellationToken) =>
        await ChangeAsync(request, request.Name, "update", (live, stored) =>
        {
            if (live is null || stored is null)
                throw ApiErrors.NotFound(request.Kind.Kind, request.Name);
            JsonObject scale = ScaleDocument.Of(request.Kind, live);
            if (ScaleManagers.ToScale(live, ReplicasPath) is { } managers)
                Metadata(scale)["managedFields"] = managers;
            JsonObject wanted = change(scale);
            JsonObject given = ScaleDocument.Write(request, (JsonObject)live.DeepClone(), wanted);
            JsonArray? owners = ScaleManagers.ToParent(live, Metadata(wanted)["managedFields"], request.Kind.Kind.ApiVersion, ReplicasPath);
            Metadata(given).Remove("managedFields");
            if (owners is not null)
                Metadata(given)["managedFields"] = owners;
            return Replace(request, given, live, stored, tracks: false);

            string? ReplicasPath(string version) =>
                request.Kinds.All.FirstOrDefault(kind => kind.Key == request.Kind.Key && kind.Kind.ApiVersion == version)?.Kind.Scale?.SpecReplicas;
        }, cancellationToken);

    /// <summary>Ownership of a Scale that is updated and not applied.</summary>
    public void TrackScale(ObjectRequest request, JsonObject before, JsonObject wanted) => ManagedFields.Track(before, wanted, StructuralSchema.Anything, ScaleUpdate(request));

    /// <summary>Server-side apply of a Scale.</summary>
    public JsonObject ApplyScale(ObjectRequest request, JsonObject before, PatchDocument.Apply apply) =>
        ServerSideApply.Apply(before, apply.Configuration, StructuralSchema.Anything,
            new ApplyRequest { Manager = request.FieldManager, ApiVersion = ScaleManagers.ScaleVersion, Subresource = "scale", Force = apply.Force, Now = Now() });

    private UpdateRequest ScaleUpdate(ObjectRequest request) =>
        new() { Manager = request.FieldManager, ApiVersion = ScaleManagers.ScaleVersion, Subresource = "scale", Now = Now() };

    /// <summary>From what a request wants to what it gets.</summary>
    /// <param name="request">The request.</param>
    /// <param name="given">The document as it is wanted, pruned; changed here.</param>
    /// <param name="live">As it is.</param>
    /// <param name="stored">The same.</param>
    /// <param name="tracks">False after an apply, which has told owners apart already.</param>
    private Decision Replace(ObjectRequest request, JsonObject given, JsonObject live, StoredDocument stored, bool tracks = true)
    {
        CheckPreconditions(request, given, stored, live);
        JsonNode? holders = Copy(given["spec"]?["finalizers"]);
        Default(request, given);
        // No finalizers is here what was asked for, and nothing to be filled in.
        if (request.Subresource == "finalize")
            given["spec"] = holders is JsonArray { Count: > 0 } ? new JsonObject { ["finalizers"] = holders } : new JsonObject();
        JsonObject next = Merged(request, given, live);
        IReadOnlyList<StatusCause> restored = NewFinalizers(live, next);
        if (!JsonNode.DeepEquals(WithoutManagers(next), WithoutManagers(live)))
        {
            if (request.Kind.Kind.HasGeneration && SpecDiffers(request, next, live))
                Metadata(next)["generation"] = Generation(live) + 1;
            Validate(request, next, live, restored);
            _universe.Update(request, next, live);
        }

        if (tracks)
        {
            ManagedFields.Track(live, given, request.Kind.Kind.Schema, Tracked(request));
            Move(given, next, "managedFields");
        }

        // A client that read without managedFields, or whose change was none, must not make a version.
        ManagedFields.KeepTimesIfUnchanged(live, next);
        bool same = JsonNode.DeepEquals(next, live);
        bool released = IsDeleting(next) && Finalizers(next).Count == 0 && !HoldsItself(request, next);
        return released ? new Decision.Remove(next) : same ? new Decision.Keep() : new Decision.Put(next);
    }

    /// <summary>Which parts of the document the request may write; all else stays.</summary>
    private static JsonObject Merged(ObjectRequest request, JsonObject given, JsonObject live)
    {
        JsonObject next;
        if (request.Subresource == "status")
        {
            next = (JsonObject)live.DeepClone();
            if (given["status"] is { } status)
                next["status"] = Copy(status);
            else
                next.Remove("status");
            return next;
        }

        next = (JsonObject)given.DeepClone();
        if (request.Kind.Kind.HasStatus)
        {
            if (live["status"] is { } status)
                next["status"] = Copy(status);
            else
                next.Remove("status");
        }

        // What holds a namespace is let go of through its own subresource alone, so that no ordinary update ends a namespace that still has content.
        if (request.Kind.IsNamespace && request.Subresource != "finalize")
            next["spec"] = Copy(live["spec"]) ?? new JsonObject();

        JsonObject metadata = Metadata(next);
        JsonObject old = Metadata(live);
        foreach (string field in (ReadOnlySpan<string>)["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "resourceVersion", "selfLink"])
        {
            if (old[field] is { } value)
                metadata[field] = Copy(value);
            else
                metadata.Remove(field);
        }

        return next;
    }

    /// <summary>uid and resourceVersion of what was sent say which object and which version was meant.</summary>
    private static void CheckPreconditions(ObjectRequest request, JsonObject given, StoredDocument stored, JsonObject live)
    {
        JsonObject metadata = Metadata(given);
        string uid = Text(metadata, "uid");
        string actual = Text(Metadata(live), "uid");
        if (uid.Length > 0 && uid != actual)
        {
            string path = $"/registry/{(request.Kind.Custom && request.Kind.Kind.Group.Length > 0 ? request.Kind.Kind.Group + "/" : "")}{request.Kind.Kind.Plural}/{(stored.Key.Namespace.Length > 0 ? stored.Key.Namespace + "/" : "")}{stored.Key.Name}";
            throw ApiErrors.Conflict(request.Kind.Kind, request.Name,
                $"StorageError: invalid object, Code: 4, Key: {path}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {actual}");
        }

        string version = Text(metadata, "resourceVersion");
        if (version is "" or "0")
        {
            if (!request.Unconditional && !request.Kind.UnconditionalUpdate)
            {
                throw ApiErrors.Invalid(request.Kind.Kind.Group, request.Kind.Kind.Plural, request.Name,
                    [new StatusCause(CauseReasons.Invalid, "Invalid value: 0: must be specified for an update", "metadata.resourceVersion")]);
            }
        }
        else if (version != stored.Version.ToString(System.Globalization.CultureInfo.InvariantCulture))
        {
            throw ApiErrors.Modified(request.Kind.Kind, request.Name);
        }
    }

    /// <summary>A finalizer cannot be added to what is going. The real server says it twice, because its generic part and its kind's part both look: this is the second.</summary>
    private static IReadOnlyList<StatusCause> NewFinalizers(JsonObject live, JsonObject next)
    {
        if (!IsDeleting(live))
            return [];
        string[] added = [.. Finalizers(next).Except(Finalizers(live))];
        if (added.Length == 0)
            return [];
        StatusCause cause = new(CauseReasons.Forbidden,
            $"Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{{{string.Join(", ", added.Select(ApiErrors.Quote))}}}", "metadata.finalizers");
        return [cause];
    }

    private static bool SpecDiffers(ObjectRequest request, JsonObject next, JsonObject live)
    {
        return !JsonNode.DeepEquals(Rest(next), Rest(live));

        JsonObject Rest(JsonObject document)
        {
            JsonObject rest = (JsonObject)document.DeepClone();
            rest.Remove("metadata");
            if (request.Kind.Kind.HasStatus)
                rest.Remove("status");
            return rest;
        }
    }

    private static JsonObject WithoutManagers(JsonObject document)
    {
        JsonObject copy = (JsonObject)document.DeepClone();
        Metadata(copy).Remove("managedFields");
        return copy;
    }

    /// <summary>A namespace is not gone before its content is: its own list of finalizers holds it.</summary>
    private static bool HoldsItself(ObjectRequest request, JsonObject document) =>
        request.Kind.IsNamespace && document["spec"]?["finalizers"] is JsonArray { Count: > 0 };

    private static long Generation(JsonObject document) => Metadata(document)["generation"] is JsonValue value && value.TryGetValue(out long generation) ? generation : 0;

    private static void Move(JsonObject from, JsonObject to, string field)
    {
        JsonNode? value = Metadata(from)[field];
        Metadata(from).Remove(field);
        if (value is null)
            Metadata(to).Remove(field);
        else
            Metadata(to)[field] = value;
    }

    private static string Verb(ObjectRequest request, string verb) => request.Subresource == "status" ? "update-status" : verb;
}
