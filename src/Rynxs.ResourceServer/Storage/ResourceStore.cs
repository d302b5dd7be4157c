using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.ResourceServer.CustomKinds;
using Rynxs.ResourceServer.Namespaces;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Owners;
using Rynxs.ResourceServer.Secrets;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Manifests;
using Rynxs.Resources.Meta;

namespace Rynxs.ResourceServer.Storage;

/// <summary>
/// The objects of a standalone control plane, in one SQLite file. A version is the sequence number of a commit; it grows over restarts and is
/// never given twice. Reads see the last commit; nothing is acknowledged before it is durable.
/// </summary>
public sealed class ResourceStore : IAsyncDisposable
{
    private readonly ResourceStoreOptions _options;
    private readonly CancellationTokenSource _closing = new();
    private readonly Task _background;
    private bool _disposed;

    private ResourceStore(ResourceStoreOptions options, DocumentStore documents, KindRegistry kinds, ILogger logger)
    {
        _options = options;
        Documents = documents;
        Kinds = kinds;
        Pipeline = new ObjectPipeline(documents, options);
        Limits = new ManifestLimits { MaxDocumentBytes = options.MaxObjectBytes, MaxStreamBytes = options.MaxObjectBytes };
        Definitions = new CustomKindController(Pipeline, kinds, options.TimeProvider, logger);
        Namespaces = new NamespaceController(Pipeline, kinds, options, logger);
        Collector = new GarbageCollector(Pipeline, kinds, options.TimeProvider, logger);
        SecretKeys = new SecretKeyRotation(documents, options.TimeProvider, logger);
        _background = RunControllersAsync();
    }

    /// <summary>Version of the last commit.</summary>
    public long CurrentVersion => Documents.Sequence;

    internal ResourceStoreOptions Options => _options;

    internal DocumentStore Documents { get; }

    internal KindRegistry Kinds { get; }

    internal ObjectPipeline Pipeline { get; }

    internal ManifestLimits Limits { get; }

    internal CustomKindController Definitions { get; }

    internal NamespaceController Namespaces { get; }

    internal GarbageCollector Collector { get; }

    private SecretKeyRotation SecretKeys { get; }

    /// <summary>Ends when the store closes.</summary>
    internal CancellationToken Closing => _closing.Token;

    /// <summary>Opens the store, or creates it. It is this process's alone until disposed.</summary>
    /// <exception cref="ResourceStoreOpenException">It cannot be opened; the message says why.</exception>
    public static async Task<ResourceStore> OpenAsync(ResourceStoreOptions options, CancellationToken cancellationToken, ILogger? logger = null)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.HistoryWindow, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.HistoryWindow, 1_000_000);

        DocumentStore documents = await DocumentStore.OpenAsync(options, cancellationToken);
        try
        {
            KindRegistry kinds = new(options.AllKinds);
            await CustomKindController.LoadAsync(documents, kinds, cancellationToken);
            ResourceStore store = new(options, documents, kinds, logger ?? NullLogger.Instance);
            return store;
        }
        catch (ResourceException e)
        {
            await documents.DisposeAsync();
            throw new ResourceStoreOpenException(ResourceStoreOpenError.Corrupt, $"{options.Path} is damaged: {e.Message}. Restore it from a backup.", e);
        }
        catch
        {
            await documents.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// Makes the namespaces that a new store starts with, and those that objects of an older version of Rynxs are in. Called once, after
    /// <see cref="BurnVersionsThroughAsync"/>, by whoever set <see cref="ResourceStoreOptions.RequireNamespaces"/>.
    /// </summary>
    public Task EnsureNamespacesAsync(CancellationToken cancellationToken) => Namespaces.EnsureAsync(cancellationToken);

    /// <summary>An object of any kind as it is stored, for the server's own questions: nobody's rights are asked. Null when it does not exist.</summary>
    /// <param name="group">API group; empty for the core group.</param>
    /// <param name="plural">Such as <c>serviceaccounts</c>.</param>
    /// <param name="id">Where it is.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    public async Task<JsonObject?> FindDocumentAsync(string group, string plural, NamespacedName id, CancellationToken cancellationToken) =>
        await Documents.FindAsync(new DocumentKey(new KindKey(group, plural), id.Namespace, id.Name), cancellationToken) is { } stored
            ? JsonNode.Parse(stored.Body) as JsonObject
            : null;

    /// <summary>Whether a kind lives in namespaces; null when it is not served.</summary>
    public bool? IsNamespaced(string group, string plural) => Kinds.Current.Find(new KindKey(group, plural))?.Kind.Namespaced;

    /// <summary>A client that acts for <paramref name="principal"/>.</summary>
    public IResourceClient For(Principal principal) => new StoreClient(this, principal);

    /// <summary>
    /// Makes later versions greater than <paramref name="version"/>. The server calls it at start with the highest version in the ledger, so that
    /// a version that was recorded and never committed is not given again.
    /// </summary>
    public Task BurnVersionsThroughAsync(long version, CancellationToken cancellationToken) => Documents.BurnThroughAsync(version, cancellationToken);

    /// <summary>Commits a transaction that changes nothing: whether the store can be written at this moment.</summary>
    /// <exception cref="ResourceException"><c>StoreUnavailable</c>: the reason in words.</exception>
    public Task CheckWritableAsync(CancellationToken cancellationToken) => Documents.CheckWritableAsync(cancellationToken);

    /// <summary>
    /// Seals Secrets with a new key from now on, and seals what the key before sealed again beside the requests. When that has ended, the key file holds the new
    /// key alone. Nothing is lost at whatever moment the process dies; the next start goes on.
    /// </summary>
    /// <exception cref="ResourceException"><c>Conflict</c>: the last exchange has not ended. <c>StoreUnavailable</c>: nothing has changed.</exception>
    public Task<SecretKeyStatus> RotateSecretKeyAsync(CancellationToken cancellationToken) => SecretKeys.BeginAsync(cancellationToken);

    /// <summary>Where the keys of the Secrets stand.</summary>
    public Task<SecretKeyStatus> SecretKeyStatusAsync(CancellationToken cancellationToken) => SecretKeys.StatusAsync(cancellationToken);

    /// <summary>Ends the watches and the controllers, finishes the mutations that were taken, closes the file.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_disposed)
            return;
        _disposed = true;
        await _closing.CancelAsync();
        await _background;
        await Documents.DisposeAsync();
        Definitions.Dispose();
        SecretKeys.Dispose();
        _closing.Dispose();
    }

    internal static string Text(long version) => version.ToString(CultureInfo.InvariantCulture);

    private async Task RunControllersAsync() =>
        await Task.WhenAll(Definitions.RunAsync(Closing), Namespaces.RunAsync(Closing), Collector.RunAsync(Closing), SecretKeys.RunAsync(Closing));
}
