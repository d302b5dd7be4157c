using Rynxs.ResourceServer.Listing;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Client;

namespace Rynxs.ResourceServer.Watching;

/// <summary>
/// One watcher's way through the changes of a kind: from memory while it keeps up, from the history on disk when it fell behind, and an end when it fell
/// behind that. It holds a version and one batch; whoever reads slowly delays nobody and costs no memory.
/// </summary>
internal sealed class ObjectWatch(DocumentStore store, RegisteredKind kind, ObjectSelection selection, long from, TimeProvider timeProvider) : IDisposable
{
    private const int BatchLength = 256;

    private readonly ChangeFeed _feed = store.Feeds.Of(kind.Key);
    private readonly IDisposable _membership = store.Feeds.Of(kind.Key).Join();
    private readonly List<StoredChange> _changes = new(16);

    /// <summary>Everything up to this version was delivered, or was not selected.</summary>
    public long Cursor { get; private set; } = from;

    /// <summary>Waits for changes; an empty batch when <paramref name="patience"/> is over.</summary>
    /// <exception cref="ResourceException"><c>Gone</c>: the history does not reach back to the cursor.</exception>
    public async Task<IReadOnlyList<WatchedChange>> NextAsync(TimeSpan patience, CancellationToken cancellationToken)
    {
        long end = timeProvider.GetTimestamp() + (long)(patience.TotalSeconds * timeProvider.TimestampFrequency);
        while (true)
        {
            Task news = _feed.News;
            IReadOnlyList<StoredChange> changes = await ReadAsync(cancellationToken);
            List<WatchedChange> seen = [];
            foreach (StoredChange change in changes)
            {
                if (selection.Translate(change) is { } type)
                    seen.Add(new WatchedChange(type, change));
            }

            if (seen.Count > 0)
                return seen;
            if (changes.Count > 0)
                continue;

            // An empty read reaches the last commit, and the bell was taken before it.
            TimeSpan left = timeProvider.GetElapsedTime(timeProvider.GetTimestamp(), end);
            if (left <= TimeSpan.Zero)
                return [];
            try
            {
                await news.WaitAsync(left, timeProvider, cancellationToken);
            }
            catch (TimeoutException)
            {
                return [];
            }
        }
    }

    public void Dispose() => _membership.Dispose();

    private async Task<IReadOnlyList<StoredChange>> ReadAsync(CancellationToken cancellationToken)
    {
        _changes.Clear();
        if (_feed.TryRead(Cursor, BatchLength, _changes, out long through))
        {
            Cursor = Math.Max(Cursor, through);
            return _changes;
        }

        ChangePage page = await store.ChangesAsync(kind.Key, Cursor, cancellationToken);
        Cursor = page.Through;
        return page.Changes;
    }
}

/// <summary>A change as one watcher sees it.</summary>
internal readonly record struct WatchedChange(WatchEventType Type, StoredChange Change)
{
    /// <summary>
    /// The object to show. A watcher whose selection it left sees what it was, at the version of the change, as the real server has it: what it became may be
    /// nothing that this watcher asked for.
    /// </summary>
    public byte[] Body => Type == WatchEventType.Deleted && Change is { Type: not WatchEventType.Deleted, Previous: { } previous }
        ? DocumentText.WithVersion(previous, Change.Version)
        : Change.Body;
}
