using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Rynxs.ResourceServer.CustomKinds;
using Rynxs.ResourceServer.Listing;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;
using Rynxs.ResourceServer.Watching;
using Rynxs.Resources.Identity;

namespace Rynxs.ResourceServer.Namespaces;

/// <summary>Makes the first namespaces, and empties those that are going before they are gone.</summary>
internal sealed partial class NamespaceController(ObjectPipeline pipeline, KindRegistry kinds, ResourceStoreOptions options, ILogger logger)
{
    private const int DeleteAtATime = 200;
    private static readonly KindKey Key = new("", "namespaces");
    private static readonly string[] Standard = ["default", "kube-node-lease", "kube-public", "kube-system"];

    /// <summary>The namespaces of every cluster, those of the options, and those of objects from before namespaces were objects. Once there, none is made again.</summary>
    public async Task EnsureAsync(CancellationToken cancellationToken)
    {
        if (kinds.Current.Find(Key) is not { } kind)
            return;
        bool first = await pipeline.Store.FindAsync(new DocumentKey(Key, "", "default"), cancellationToken) is null;
        if (!first)
            return;

        // "default" is the sign that this was done, so it is made last.
        IReadOnlyList<string> inUse = await pipeline.Store.NamespacesInUseAsync(cancellationToken);
        foreach (string name in Standard.Concat(options.InitialNamespaces).Concat(inUse).Where(name => name != "default").Distinct().Append("default"))
        {
            try
            {
                JsonObject made = new() { ["apiVersion"] = "v1", ["kind"] = "Namespace", ["metadata"] = new JsonObject { ["name"] = name } };
                await pipeline.CreateAsync(Request(kind, name), made, [], cancellationToken);
            }
            catch (ApiException e) when (e.Status.Reason == "AlreadyExists")
            {
                // A start that was cut off made it.
            }
        }
    }

    /// <summary>Follows the namespaces until the store closes.</summary>
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
                using ObjectWatch watch = new(pipeline.Store, kind, all, reader.ListVersion, options.TimeProvider);
                HashSet<string> pending = [.. present.Select(item => item.Key.Name)];
                while (true)
                {
                    foreach (string name in pending.ToArray())
                    {
                        if (await SettleAsync(kind, name, cancellationToken))
                            pending.Remove(name);
                    }

                    // Objects with finalizers hold their namespace: it is looked at again.
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
                // The top of the loop: what fails here is tried again from a fresh list.
                LogFailed(e);
                await Task.Delay(TimeSpan.FromSeconds(1), options.TimeProvider, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task<bool> SettleAsync(RegisteredKind kind, string name, CancellationToken cancellationToken)
    {
        StoredDocument? stored = await pipeline.Store.FindAsync(new DocumentKey(Key, "", name), cancellationToken);
        if (stored is null || new DocumentView(stored.Key, stored.Body).Field(".metadata.deletionTimestamp").Length == 0)
            return true;

        KindSet served = kinds.Current;
        IReadOnlyList<DocumentKey> left;
        while ((left = await pipeline.Store.InNamespaceAsync([.. served.Stored(namespaced: true)], name, DeleteAtATime, cancellationToken)).Count > 0)
        {
            bool removed = false;
            foreach (DocumentKey key in left)
            {
                if (served.Find(key.Kind) is { } of)
                    removed |= await CustomKindController.DeleteAsync(pipeline, kinds, of, key, cancellationToken);
            }

            if (!removed)
                return false;
        }

        try
        {
            await pipeline.ChangeAsync(Request(kind, name) with { Subresource = "finalize" }, (live, _) =>
            {
                if (live["spec"] is JsonObject spec)
                    spec["finalizers"] = new JsonArray();
                return live;
            }, cancellationToken);
            return true;
        }
        catch (ApiException e) when (e.Status.Code is 404 or 409)
        {
            return false; // changed or gone meanwhile
        }
    }

    private ObjectRequest Request(RegisteredKind kind, string name) => new()
    {
        Principal = Principal.System,
        Kinds = kinds.Current,
        Kind = kind,
        Namespace = "",
        Name = name,
        FieldManager = "rynxs",
        Unconditional = true,
    };

    [LoggerMessage(Level = LogLevel.Error, Message = "Namespaces could not be followed; trying again")]
    private partial void LogFailed(Exception exception);
}
