namespace Rynxs.Ledger.Forensics;

/// <summary>Counts records per span of time in bounded memory: when there are too many spans they are joined in pairs.</summary>
internal sealed class ActivityHistogram
{
    private const int MaxBuckets = 512;

    private readonly Dictionary<long, long> _counts = [];
    private long _ticks = TimeSpan.TicksPerSecond;

    public void Add(DateTimeOffset time)
    {
        long bucket = time.UtcTicks / _ticks;
        _counts[bucket] = _counts.GetValueOrDefault(bucket) + 1;
        while (_counts.Count > MaxBuckets)
        {
            _ticks *= 2;
            KeyValuePair<long, long>[] old = [.. _counts];
            _counts.Clear();
            foreach ((long key, long count) in old)
            {
                _counts[key / 2] = _counts.GetValueOrDefault(key / 2) + count;
            }
        }
    }

    public IReadOnlyList<ActivityBucket> ToBuckets() =>
        [.. _counts.OrderBy(pair => pair.Key).Select(pair => new ActivityBucket(new DateTimeOffset(pair.Key * _ticks, TimeSpan.Zero), TimeSpan.FromTicks(_ticks), pair.Value))];
}
