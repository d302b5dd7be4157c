using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Watching;

/// <summary>The latest changes of one kind, and the bell that tells of new ones.</summary>
internal sealed class ChangeFeed(ChangeFeeds feeds, TimeProvider timeProvider)
{
    private const int MaxChanges = 1024;
    private const int MaxBytes = 4 * 1024 * 1024;

    /// <summary>Up to this many watchers hear of each commit at once.</summary>
    private const int Few = 64;

    /// <summary>
    /// With more, commits that come closer together than this are told of together: a thousand answers to each of a hundred commits a second would cost more in
    /// system calls than everything else.
    /// </summary>
    private static readonly TimeSpan Pace = TimeSpan.FromMilliseconds(50);

    private readonly Lock _lock = new();

    /// <summary>A ring: the oldest at <see cref="_oldest"/>, <see cref="_count"/> of them, versions growing.</summary>
    private readonly StoredChange?[] _ring = new StoredChange?[MaxChanges];
    private int _oldest;
    private int _count;
    private volatile TaskCompletionSource _news = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _complete = feeds.Sequence;
    private long _bytes;
    private int _watchers;
    private long _lastAnnounced;
    private ITimer? _due;

    /// <summary>Completes when there may be news. Take it before reading.</summary>
    public Task News => _news.Task;

    /// <summary>Counts a watcher; changes are kept while there is one. Dispose to leave.</summary>
    public IDisposable Join()
    {
        lock (_lock)
            _watchers++;
        return new Membership(this);
    }

    /// <summary>Adds what came after a version, at most <paramref name="max"/> changes; false when the feed does not reach back so far.</summary>
    /// <param name="after">Version that the reader has.</param>
    /// <param name="max">Changes to add.</param>
    /// <param name="into">Filled in order.</param>
    /// <param name="through">Version up to which the reader then is complete.</param>
    public bool TryRead(long after, int max, List<StoredChange> into, out long through)
    {
        // Before the lock: what is committed meanwhile is found next time, or now.
        through = feeds.Sequence;
        lock (_lock)
        {
            if (after < _complete)
                return false;
            for (int i = FirstAfter(after); i < _count; i++)
            {
                if (into.Count == max)
                {
                    through = into[^1].Version;
                    return true;
                }

                into.Add(At(i));
            }
        }

        if (into.Count > 0)
            through = Math.Max(through, into[^1].Version);
        return after <= through;
    }

    internal void Append(StoredChange change)
    {
        lock (_lock)
        {
            if (_watchers == 0)
            {
                Array.Clear(_ring);
                (_oldest, _count, _bytes) = (0, 0, 0);
                _complete = change.Version;
                return;
            }

            while (_count == MaxChanges || (_count > 0 && _bytes + Size(change) > MaxBytes))
                DropOldest_NeedsLock();
            _ring[(_oldest + _count++) % MaxChanges] = change;
            _bytes += Size(change);
        }
    }

    internal void Announce()
    {
        lock (_lock)
        {
            if (_watchers > Few)
            {
                TimeSpan since = timeProvider.GetElapsedTime(_lastAnnounced);
                if (_lastAnnounced != 0 && since < Pace)
                {
                    _due ??= timeProvider.CreateTimer(_ => Ring(), null, Pace - since, Timeout.InfiniteTimeSpan);
                    return;
                }
            }
        }

        Ring();
    }

    private void Ring()
    {
        lock (_lock)
        {
            _lastAnnounced = timeProvider.GetTimestamp();
            _due?.Dispose();
            _due = null;
        }

        Interlocked.Exchange(ref _news, new(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
    }

    private StoredChange At(int index) => _ring[(_oldest + index) % MaxChanges] ?? throw new System.Diagnostics.UnreachableException("the ring holds its count");

    private void DropOldest_NeedsLock()
    {
        StoredChange oldest = At(0);
        _ring[_oldest] = null;
        _oldest = (_oldest + 1) % MaxChanges;
        _count--;
        _bytes -= Size(oldest);
        _complete = oldest.Version;
    }

    private int FirstAfter(long version)
    {
        int low = 0;
        int high = _count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (At(middle).Version <= version)
                low = middle + 1;
            else
                high = middle;
        }

        return low;
    }

    private static int Size(StoredChange change) => change.Body.Length + (change.Previous?.Length ?? 0);

    private sealed class Membership(ChangeFeed feed) : IDisposable
    {
        private int _left;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _left, 1) == 1)
                return;
            lock (feed._lock)
                feed._watchers--;
        }
    }
}
