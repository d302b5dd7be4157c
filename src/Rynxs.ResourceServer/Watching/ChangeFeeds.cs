using System.Collections.Concurrent;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Watching;

/// <summary>
/// The latest changes of each kind in memory, so that a commit is handed to a thousand watchers without a query each. A watcher holds nothing here but its
/// version: one that falls behind what is kept reads the history on disk, and one that falls behind that is told so. Nothing is queued for anyone.
/// </summary>
internal sealed class ChangeFeeds(long sequence, TimeProvider timeProvider)
{
    private readonly ConcurrentDictionary<KindKey, ChangeFeed> _feeds = new();
    private long _sequence = sequence;

    /// <summary>Every change up to this commit is in its feed, or was before the feed began.</summary>
    public long Sequence => Interlocked.Read(ref _sequence);

    /// <summary>Told of every change by the writer, before its commit is answered; it must not wait. Set once, before the first commit.</summary>
    public Action<StoredChange>? Observer { get; set; }

    public ChangeFeed Of(KindKey kind) => _feeds.GetOrAdd(kind, _ => new ChangeFeed(this, timeProvider));

    /// <summary>Called by the writer for each commit, in order, and by nobody else.</summary>
    public void Publish(IReadOnlyList<StoredChange> changes, long sequence)
    {
        HashSet<ChangeFeed> touched = [];
        foreach (StoredChange change in changes)
        {
            ChangeFeed feed = Of(change.Key.Kind);
            feed.Append(change);
            touched.Add(feed);
            Observer?.Invoke(change);
        }

        // The order matters: a reader that sees this sequence finds everything up to it in the feeds.
        Interlocked.Exchange(ref _sequence, sequence);
        foreach (ChangeFeed feed in touched)
            feed.Announce();
    }
}
