using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Listing;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;
using Rynxs.ResourceServer.Watching;
using Rynxs.Resources.Identity;

namespace Rynxs.ResourceServer.CustomKinds;

/// <summary>Serves the kinds of CustomResourceDefinitions, writes their status, and removes their objects before they go.</summary>
internal sealed partial class CustomKindController(ObjectPipeline pipeline, KindRegistry kinds, TimeProvider timeProvider, ILogger logger) : IDisposable
{
    private const int DeleteAtATime = 200;
    private static readonly KindKey Key = new("apiextensions.k8s.io", "customresourcedefinitions");
    private readonly SemaphoreSlim _settling = new(1);

    /// <summary>Serves what was served before the store was closed.</summary>
    public static async Task LoadAsync(DocumentStore store, KindRegistry kinds, CancellationToken cancellationToken)
    {
        string? after = null;
        DocumentPage page;
        do
        {
            page = await store.PageAsync(new DocumentQuery { Kind = Key, AfterName = after }, cancellationToken);
            foreach (StoredDocument item in page.Items)
            {
                JsonObject definition = DocumentText.Parse(item.Body);
                if (IsEstablished(definition) && CustomResourceDefinitions.TryRead(definition, out IReadOnlyList<ServedKind>? read, out _))
                    kinds.SetCustom(item.Key.Name, read);
                after = item.Key.Name;
            }
        }
        while (page.More);
    }

    /// <summary>Follows the definitions until the store closes.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await Task.Yield();
        if (kinds.Current.Find(Key) is not { } kind)
            return;
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                ObjectSelection all = new(Principal.System, kind, null, null, null);
                ListReader reader = new(pipeline.Store, kind, all, new ListOptions());
                IReadOnlyList<StoredDocument> present = await reader.AllAsync(cancellationToken);
                using ObjectWatch watch = new(pipeline.Store, kind, all, reader.ListVersion, timeProvider);
                HashSet<string> pending = [.. present.Select(item => item.Key.Name)];
                while (true)
                {
                    foreach (string name in pending.ToArray())
                    {
                        if (await SettleAsync(name, cancellationToken))
                            pending.Remove(name);
                    }

                    // What still has objects with finalizers is looked at again.
                    foreach (WatchedChange change in await watch.NextAsync(pending.Count > 0 ? TimeSpan.FromMilliseconds(200) : TimeSpan.FromMinutes(1), cancellationToken))
                        pending.Add(change.Change.Key.Name);
                }
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // The top of the loop: what fails here, a full disk above all, is tried again from a fresh list.
                LogFailed(e);
                await Task.Delay(TimeSpan.FromSeconds(1), timeProvider, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <summary>Brings what is served in line with a definition; true when nothing is left to do.</summary>
    public async Task<bool> SettleAsync(string name, CancellationToken cancellationToken)
    {
        await _settling.WaitAsync(cancellationToken);
        try
        {
            if (kinds.Current.Find(Key) is not { } kind)
                return true;
            StoredDocument? stored = await pipeline.Store.FindAsync(new DocumentKey(Key, "", name), cancellationToken);
            if (stored is null)
            {
                kinds.SetCustom(name, []);
                return true;
            }

            JsonObject definition = DocumentText.Parse(stored.Body);
            if (ObjectPipeline.Metadata(definition)["deletionTimestamp"] is not null)
                return await EmptyAsync(kind, name, definition, cancellationToken);

            JsonObject status = CustomResourceDefinitions.Status(definition, kinds.Others(name), timeProvider.GetUtcNow());
            if (!JsonNode.DeepEquals(status, definition["status"]))
            {
                await pipeline.ChangeAsync(Request(kind, name) with { Subresource = "status", FieldManager = "kube-apiserver" }, (live, _) =>
                {
                    live["status"] = status.DeepClone();
                    return live;
                }, cancellationToken);
                definition["status"] = status;
            }

            kinds.SetCustom(name, IsEstablished(definition) && CustomResourceDefinitions.TryRead(definition, out IReadOnlyList<ServedKind>? read, out _) ? read : []);
            return true;
        }
        catch (ApiException e) when (e.Status.Code is 404 or 409)
        {
            return false; // changed or gone meanwhile: the next look sees what it is
        }
        finally
        {
            _settling.Release();
        }
    }

    /// <summary>Deletes every object of the definition's kind, then lets the definition go.</summary>
    private async Task<bool> EmptyAsync(RegisteredKind kind, string name, JsonObject definition, CancellationToken cancellationToken)
    {
        KindKey custom = new((string?)definition["spec"]?["group"] ?? "", (string?)definition["spec"]?["names"]?["plural"] ?? "");
        if (kinds.Current.Find(custom) is { } served)
        {
            IReadOnlyList<DocumentKey> left;
            while ((left = await pipeline.Store.OfKindAsync(custom, DeleteAtATime, cancellationToken)).Count > 0)
            {
                bool removed = false;
                foreach (DocumentKey key in left)
                    removed |= await DeleteAsync(pipeline, kinds, served, key, cancellationToken);
                if (!removed)
                    return false;
            }
        }

        kinds.SetCustom(name, []);
        await pipeline.ChangeAsync(Request(kind, name), (live, _) =>
        {
            JsonObject metadata = ObjectPipeline.Metadata(live);
            string[] others = [.. (metadata["finalizers"] as JsonArray ?? []).Select(node => (string?)node ?? "").Where(text => text != ObjectPipeline.CleanupFinalizer)];
            metadata.Remove("finalizers");
            if (others.Length > 0)
                metadata["finalizers"] = new JsonArray([.. others.Select(text => (JsonNode)text)]);
            return live;
        }, cancellationToken);
        return true;
    }

    /// <summary>Deletes one object as the system; true when it is gone.</summary>
    internal static async Task<bool> DeleteAsync(ObjectPipeline pipeline, KindRegistry kinds, RegisteredKind kind, DocumentKey key, CancellationToken cancellationToken)
    {
        ObjectRequest request = new()
        {
            Principal = Principal.System,
            Kinds = kinds.Current,
            Kind = kind,
            Namespace = key.Namespace,
            Name = key.Name,
            FieldManager = "rynxs",
            Unconditional = true,
        };
        try
        {
            return (await pipeline.DeleteAsync(request, new DeleteOptions { GracePeriodSeconds = 0 }, cancellationToken)).Removed;
        }
        catch (ApiException e) when (e.Status.Code == 404)
        {
            return true;
        }
    }

    public void Dispose() => _settling.Dispose();

    private ObjectRequest Request(RegisteredKind kind, string name) => new()
    {
        Principal = Principal.System,
        Kinds = kinds.Current,
        Kind = kind,
        Namespace = "",
        Name = name,
        Unconditional = true,
    };

    private static bool IsEstablished(JsonObject definition) =>
        (definition["status"]?["conditions"] as JsonArray ?? []).Any(condition => (string?)condition?["type"] == "Established" && (string?)condition?["status"] == "True");

    [LoggerMessage(Level = LogLevel.Error, Message = "Custom resource definitions could not be followed; trying again")]
    private partial void LogFailed(Exception exception);
}
