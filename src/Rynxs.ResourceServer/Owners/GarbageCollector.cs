using System.Text.Json.Nodes;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using Rynxs.ResourceServer.CustomKinds;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;

namespace Rynxs.ResourceServer.Owners;

/// <summary>
/// Keeps the promises of <c>metadata.ownerReferences</c>: dependents go after their last owner (background), before it (foreground), or stay and lose it
/// (orphan). It hears of every commit; what it missed because the process died is found at the next start.
/// </summary>
internal sealed partial class GarbageCollector
{
    private const int MaxWaiting = 65_536;

    private readonly ObjectPipeline _pipeline;
    private readonly KindRegistry _kinds;
    private readonly TimeProvider _timeProvider;
    private readonly ILogger _logger;
    private readonly Channel<Owner> _owners = Channel.CreateBounded<Owner>(new BoundedChannelOptions(MaxWaiting) { FullMode = BoundedChannelFullMode.DropWrite });
    private volatile bool _rescan = true;

    public GarbageCollector(ObjectPipeline pipeline, KindRegistry kinds, TimeProvider timeProvider, ILogger logger)
    {
        _pipeline = pipeline;
        _kinds = kinds;
        _timeProvider = timeProvider;
        _logger = logger;
        pipeline.Store.Feeds.Observer = Observe;
    }

    /// <summary>An object that dependents name.</summary>
    /// <param name="Uid">How they name it.</param>
    /// <param name="Key">Where it is or was; null when only its uid is known.</param>
    private sealed record Owner(string Uid, DocumentKey? Key);

    /// <summary>Collects until the store closes.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        await Task.Yield();
        while (!cancellationToken.IsCancellationRequested)
        {
            try
            {
                if (_rescan)
                {
                    _rescan = false;
                    foreach (Owner owner in await ScanAsync(cancellationToken))
                        await CollectAsync(owner, cancellationToken);
                }

                Owner next = await _owners.Reader.ReadAsync(cancellationToken);
                await CollectAsync(next, cancellationToken);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                // The top of the loop: what could not be done now is found again by the scan.
                LogFailed(e);
                _rescan = true;
                await Task.Delay(TimeSpan.FromSeconds(1), _timeProvider, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    /// <summary>Called by the writer for each change: cheap, and never waits.</summary>
    private void Observe(StoredChange change)
    {
        if (change.Type == WatchEventType.Added)
            return;
        JsonObject? metadata = change.Type == WatchEventType.Deleted || Mentions(change.Body, "\"deletionTimestamp\""u8) ? DocumentText.Parse(change.Body)["metadata"] as JsonObject : null;
        if (metadata is null)
            return;
        bool due = change.Type == WatchEventType.Deleted || HasFinalizer(metadata, "foregroundDeletion") || HasFinalizer(metadata, "orphan");
        if (due)
            Enqueue(new Owner(ObjectPipeline.Text(metadata, "uid"), change.Key));
        if (change.Type != WatchEventType.Deleted)
            return;
        // An owner that waits for its dependents waits for this one less.
        foreach (JsonNode? reference in metadata["ownerReferences"] as JsonArray ?? [])
        {
            if (reference is JsonObject one && OwnerKey(one, change.Key.Namespace) is { } key)
                Enqueue(new Owner(ObjectPipeline.Text(one, "uid"), key));
        }
    }

    private void Enqueue(Owner owner)
    {
        // A full channel drops what is written; the scan finds it.
        if (_owners.Reader.Count >= MaxWaiting - 1)
            _rescan = true;
        _owners.Writer.TryWrite(owner);
    }

    private async Task<IReadOnlyList<Owner>> ScanAsync(CancellationToken cancellationToken)
    {
        List<Owner> owners = [.. (await _pipeline.Store.LostOwnersAsync(cancellationToken)).Select(uid => new Owner(uid, null))];
        foreach (StoredDocument document in await _pipeline.Store.DeletingAsync(cancellationToken))
        {
            JsonObject metadata = ObjectPipeline.Metadata(DocumentText.Parse(document.Body));
            owners.Add(new Owner(ObjectPipeline.Text(metadata, "uid"), document.Key));
        }

        return owners;
    }

    private async Task CollectAsync(Owner owner, CancellationToken cancellationToken)
    {
        if (owner.Uid.Length == 0)
            return;
        StoredDocument? stored = owner.Key is { } key ? await _pipeline.Store.FindAsync(key, cancellationToken) : null;
        JsonObject? live = stored is null ? null : DocumentText.Parse(stored.Body);
        if (live is not null && ObjectPipeline.Text(ObjectPipeline.Metadata(live), "uid") != owner.Uid)
            live = null; // another object of that name
        if (live is not null && ObjectPipeline.Metadata(live)["deletionTimestamp"] is null)
            return;

        JsonObject? metadata = live is null ? null : ObjectPipeline.Metadata(live);
        bool orphans = metadata is not null && HasFinalizer(metadata, "orphan");
        bool foreground = metadata is not null && HasFinalizer(metadata, "foregroundDeletion");
        if (metadata is not null && !orphans && !foreground)
            return;

        int blocking = 0;
        foreach (DocumentKey dependent in await _pipeline.Store.DependentsAsync(owner.Uid, cancellationToken))
            blocking += await SettleAsync(dependent, owner, orphans, foreground, cancellationToken) ? 1 : 0;
        if (owner.Key is { } at && metadata is not null && blocking == 0)
            await ReleaseAsync(at, orphans ? "orphan" : "foregroundDeletion", cancellationToken);
    }

    /// <summary>Deletes a dependent or takes the owner from it; true when the owner has to wait for it.</summary>
    private async Task<bool> SettleAsync(DocumentKey key, Owner owner, bool orphans, bool foreground, CancellationToken cancellationToken)
    {
        StoredDocument? stored = await _pipeline.Store.FindAsync(key, cancellationToken);
        if (stored is null || _kinds.Current.Find(key.Kind) is not { } kind)
            return false;
        JsonObject metadata = ObjectPipeline.Metadata(DocumentText.Parse(stored.Body));
        JsonObject[] references = [.. (metadata["ownerReferences"] as JsonArray ?? []).OfType<JsonObject>()];
        bool others = !foreground && !orphans && await AnyExistsAsync(references.Where(reference => ObjectPipeline.Text(reference, "uid") != owner.Uid), key.Namespace, cancellationToken);
        if (orphans || others)
        {
            await ChangeAsync(kind, key, live =>
            {
                JsonNode[] kept = [.. (live["ownerReferences"] as JsonArray ?? []).Where(reference => (string?)reference?["uid"] != owner.Uid).Select(reference => reference!.DeepClone())]; // references are objects
                live.Remove("ownerReferences");
                if (kept.Length > 0)
                    live["ownerReferences"] = new JsonArray(kept);
            }, cancellationToken);
            return false;
        }

        bool blocks = references.Any(reference => ObjectPipeline.Text(reference, "uid") == owner.Uid
            && reference["blockOwnerDeletion"] is JsonValue flag && flag.TryGetValue(out bool value) && value);
        bool gone = await CustomKindController.DeleteAsync(_pipeline, _kinds, kind, key, cancellationToken);
        return blocks && !gone;
    }

    private async Task<bool> AnyExistsAsync(IEnumerable<JsonObject> references, string inNamespace, CancellationToken cancellationToken)
    {
        foreach (JsonObject reference in references)
        {
            if (OwnerKey(reference, inNamespace) is { } key && await _pipeline.Store.FindAsync(key, cancellationToken) is { } found
                && new DocumentView(found.Key, found.Body).Field(".metadata.uid") == ObjectPipeline.Text(reference, "uid"))
            {
                return true;
            }
        }

        return false;
    }

    private Task ReleaseAsync(DocumentKey key, string finalizer, CancellationToken cancellationToken) =>
        _kinds.Current.Find(key.Kind) is not { } kind ? Task.CompletedTask : ChangeAsync(kind, key, metadata =>
        {
            string[] kept = [.. (metadata["finalizers"] as JsonArray ?? []).Select(node => (string?)node ?? "").Where(name => name != finalizer)];
            metadata.Remove("finalizers");
            if (kept.Length > 0)
                metadata["finalizers"] = new JsonArray([.. kept.Select(name => (JsonNode)name)]);
        }, cancellationToken);

    private async Task ChangeAsync(RegisteredKind kind, DocumentKey key, Action<JsonObject> change, CancellationToken cancellationToken)
    {
        ObjectRequest request = new()
        {
            Principal = Principal.System,
            Kinds = _kinds.Current,
            Kind = kind,
            Namespace = key.Namespace,
            Name = key.Name,
            FieldManager = "rynxs",
            Unconditional = true,
        };
        try
        {
            await _pipeline.ChangeAsync(request, (live, _) =>
            {
                change(ObjectPipeline.Metadata(live));
                return live;
            }, cancellationToken);
        }
        catch (ApiException e) when (e.Status.Code == 404)
        {
            // Gone meanwhile: that is what was wanted.
        }
    }

    private DocumentKey? OwnerKey(JsonObject reference, string inNamespace) =>
        _kinds.Current.FindKind(ObjectPipeline.Text(reference, "apiVersion"), ObjectPipeline.Text(reference, "kind")) is { } kind
            ? new DocumentKey(kind.Key, kind.Kind.Namespaced ? inNamespace : "", ObjectPipeline.Text(reference, "name"))
            : null;

    private static bool HasFinalizer(JsonObject metadata, string name) => (metadata["finalizers"] as JsonArray ?? []).Any(node => (string?)node == name);

    private static bool Mentions(ReadOnlySpan<byte> body, ReadOnlySpan<byte> text) => body.IndexOf(text) >= 0;

    [LoggerMessage(Level = LogLevel.Error, Message = "Dependents could not be collected; trying again")]
    private partial void LogFailed(Exception exception);
}
