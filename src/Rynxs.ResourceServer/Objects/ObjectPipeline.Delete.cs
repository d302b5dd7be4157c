using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Objects;

internal sealed partial class ObjectPipeline
{
    private const string OrphanFinalizer = "orphan";
    private const string ForegroundFinalizer = "foregroundDeletion";
    internal const string CleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

    private static readonly string[] LastingNamespaces = ["default", "kube-system", "kube-public"];

    /// <summary>Deletes, or marks for deletion while something holds the object.</summary>
    public Task<WriteResult> DeleteAsync(ObjectRequest request, DeleteOptions how, CancellationToken cancellationToken)
    {
        request = request with { DryRun = request.DryRun || how.DryRun };
        if (request.Kind.IsNamespace && LastingNamespaces.Contains(request.Name))
            throw ApiErrors.Forbidden(request.Kind.Kind, request.Name, "this namespace may not be deleted");
        return ChangeAsync(request, request.Name, "delete", (live, stored) =>
        {
            if (live is null || stored is null)
                throw ApiErrors.NotFound(request.Kind.Kind, request.Name);
            CheckPreconditions(request, how, live, stored);
            return Delete(request, how, live);
        }, cancellationToken);
    }

    private Decision Delete(ObjectRequest request, DeleteOptions how, JsonObject live)
    {
        JsonObject next = (JsonObject)live.DeepClone();
        JsonObject metadata = Metadata(next);
        List<string> finalizers = [.. Finalizers(next)];
        if (how.Propagation is { } policy)
        {
            finalizers.RemoveAll(name => name is OrphanFinalizer or ForegroundFinalizer);
            if (policy == Propagation.Orphan)
                finalizers.Add(OrphanFinalizer);
            else if (policy == Propagation.Foreground)
                finalizers.Add(ForegroundFinalizer);
        }

        bool definition = request.Kind.Key == new KindKey("apiextensions.k8s.io", "customresourcedefinitions");
        if (definition && !IsDeleting(next))
            finalizers.Add(CleanupFinalizer);
        metadata.Remove("finalizers");
        if (finalizers.Count > 0)
            metadata["finalizers"] = new JsonArray([.. finalizers.Distinct().Select(name => (JsonNode)name)]);

        long grace = Grace(request, how, live);
        if (finalizers.Count == 0 && grace == 0 && !HoldsItself(request, next))
            return new Decision.Remove(next);
        if (!IsDeleting(live))
            Mark(request, next, grace);
        return JsonNode.DeepEquals(next, live) ? new Decision.Keep() : new Decision.Put(next);
    }

    /// <summary>The marks of an object that is going.</summary>
    private void Mark(ObjectRequest request, JsonObject next, long grace)
    {
        JsonObject metadata = Metadata(next);
        metadata["deletionTimestamp"] = Now().AddSeconds(grace).ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);
        // A namespace says nothing of grace: its storage marks it without the generic steps.
        if (!HoldsItself(request, next))
        {
            metadata["deletionGracePeriodSeconds"] = grace;
            if (Generation(next) > 0)
                metadata["generation"] = Generation(next) + 1;
            return;
        }

        if (next["status"] is not JsonObject status)
            next["status"] = status = [];
        status["phase"] = "Terminating";
    }

    /// <summary>Only a pod that runs on a node is given time: its kubelet ends it. All else goes at once.</summary>
    private static long Grace(ObjectRequest request, DeleteOptions how, JsonObject live)
    {
        if (request.Kind.Key != new KindKey("", "pods") || live["spec"] is not JsonObject spec || Text(spec, "nodeName").Length == 0)
            return 0;
        return how.GracePeriodSeconds ?? (spec["terminationGracePeriodSeconds"] is JsonValue own && own.TryGetValue(out long seconds) ? seconds : 30);
    }

    private static void CheckPreconditions(ObjectRequest request, DeleteOptions how, JsonObject live, StoredDocument stored)
    {
        string uid = Text(Metadata(live), "uid");
        if (how.Uid is { } wanted && wanted != uid)
        {
            throw ApiErrors.DeletePrecondition(request.Kind.Kind, request.Name,
                $"the UID in the precondition ({wanted}) does not match the UID in record ({uid}). The object might have been deleted and then recreated");
        }

        if (how.ResourceVersion is { } version && version != stored.Version.ToString(System.Globalization.CultureInfo.InvariantCulture))
        {
            throw ApiErrors.DeletePrecondition(request.Kind.Kind, request.Name,
                $"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({stored.Version}). The object might have been modified");
        }
    }
}
