using Rynxs.Kubernetes.Requests;

namespace Rynxs.Kubernetes.Queues;

/// <summary>Settings of a <see cref="WorkQueue{TKey}"/>.</summary>
public sealed record WorkQueueOptions
{
    /// <summary>Waits of a key that fails again and again. Default: 500 ms doubling to 5 min.</summary>
    public Backoff Backoff { get; init; } = new(TimeSpan.FromMilliseconds(500), TimeSpan.FromMinutes(5));

    /// <summary>Keys handed out per second over a long time, 0 for no limit. Default 0.</summary>
    public double PerSecond { get; init; }

    /// <summary>Keys that may be handed out at once before <see cref="PerSecond"/> counts. Default 100.</summary>
    public int Burst { get; init; } = 100;

    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    public Random Random { get; init; } = Random.Shared;
}

/// <summary>
/// Keys to be worked on. A key is in work at most once at a time; added while it is in work, it comes again afterwards, once however often it was added
/// (level, not edge: the worker reads the current object). Keys come in the order in which they became ready. Safe for concurrent use.
/// </summary>
/// <remarks>
/// Every key taken must be given back with <see cref="Done"/>. <see cref="Close"/> ends <see cref="TakeAsync"/> for all takers; keys that wait for their time are forgotten.
/// </remarks>
public sealed class WorkQueue<TKey> : IDisposable
    where TKey : notnull
{
    private readonly WorkQueueOptions _options;
    private readonly Lock _lock = new();
    private readonly Queue<TKey> _ready = new();
    private readonly HashSet<TKey> _waiting = []; // in _ready, or in work and to come again
    private readonly HashSet<TKey> _working = [];
    private readonly Dictionary<TKey, int> _failures = [];
    private readonly PriorityQueue<TKey, long> _delayed = new();
    private readonly Dictionary<TKey, long> _due = []; // the earliest time of a delayed key; entries of _delayed that disagree are stale
    private readonly SemaphoreSlim _available = new(0);
    private readonly ITimer _timer;
    private double _tokens;
    private long _refilledAt;
    private bool _closed;

    /// <summary>An empty queue.</summary>
    public WorkQueue(WorkQueueOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _tokens = options.Burst;
        _refilledAt = options.TimeProvider.GetTimestamp();
        _timer = options.TimeProvider.CreateTimer(_ => Ripen(), state: null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>Keys that are ready and not in work.</summary>
    public int Length
    {
        get
        {
            lock (_lock)
                return _ready.Count;
        }
    }

    /// <summary>Adds a key; one that is there already is not added twice.</summary>
    public void Add(TKey key)
    {
        lock (_lock)
            Add_NeedsLock(key);
    }

    /// <summary>Adds a key after a while; of several the earliest counts.</summary>
    public void AddAfter(TKey key, TimeSpan delay)
    {
        lock (_lock)
        {
            if (_closed)
                return;
            if (delay <= TimeSpan.Zero)
            {
                Add_NeedsLock(key);
                return;
            }

            long due = Now() + delay.Ticks;
            if (_due.TryGetValue(key, out long known) && known <= due)
                return;
            _due[key] = due;
            _delayed.Enqueue(key, due);
            Arm_NeedsLock();
        }
    }

    /// <summary>Adds a key that has failed once more, after its backoff; returns that.</summary>
    public TimeSpan AddFailed(TKey key)
    {
        TimeSpan delay;
        lock (_lock)
        {
            int failures = _failures.GetValueOrDefault(key) + 1;
            _failures[key] = failures;
            delay = _options.Backoff.After(failures, _options.Random);
        }

        AddAfter(key, delay);
        return delay;
    }

    /// <summary>A key has succeeded: its next failure is a first one.</summary>
    public void Forget(TKey key)
    {
        lock (_lock)
            _failures.Remove(key);
    }

    /// <summary>Failures in a row of a key.</summary>
    public int Failures(TKey key)
    {
        lock (_lock)
            return _failures.GetValueOrDefault(key);
    }

    /// <summary>The next key, now in work; false when the queue was closed.</summary>
    public async ValueTask<(bool Taken, TKey Key)> TakeAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            await _available.WaitAsync(cancellationToken);
            TimeSpan wait;
            lock (_lock)
            {
                if (_closed)
                {
                    _available.Release(); // for the next taker
                    return (false, default!);
                }

                wait = Admission_NeedsLock();
                if (wait == TimeSpan.Zero)
                {
                    TKey key = _ready.Dequeue();
                    _waiting.Remove(key);
                    _working.Add(key);
                    return (true, key);
                }

                _available.Release();
            }

            await Task.Delay(wait, _options.TimeProvider, cancellationToken);
        }
    }

    /// <summary>A key is no longer in work. If it was added meanwhile, it is ready again.</summary>
    public void Done(TKey key)
    {
        lock (_lock)
        {
            if (!_working.Remove(key))
                throw new InvalidOperationException("The key is not in work.");
            if (_waiting.Contains(key) && !_closed)
            {
                _ready.Enqueue(key);
                _available.Release();
            }
        }
    }

    /// <summary>Hands out nothing more.</summary>
    public void Close()
    {
        lock (_lock)
        {
            if (_closed)
                return;
            _closed = true;
            _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            _available.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Close();
        _timer.Dispose();
        _available.Dispose();
    }

    private void Add_NeedsLock(TKey key)
    {
        // A key that is due now needs no look later: who works on it says when to come again.
        _due.Remove(key);
        if (_closed || !_waiting.Add(key) || _working.Contains(key))
            return;
        _ready.Enqueue(key);
        _available.Release();
    }

    private void Ripen()
    {
        lock (_lock)
        {
            if (_closed)
                return;
            long now = Now();
            while (_delayed.TryPeek(out TKey? key, out long due) && due <= now)
            {
                _delayed.Dequeue();
                if (_due.TryGetValue(key, out long current) && current == due)
                    Add_NeedsLock(key);
            }

            Arm_NeedsLock();
        }
    }

    private void Arm_NeedsLock()
    {
        if (_delayed.TryPeek(out _, out long due))
        {
            // A millisecond more: timers may fire a little early, and an early one would find nothing due and be armed again.
            TimeSpan until = TimeSpan.FromTicks(Math.Max(0, due - Now())) + TimeSpan.FromMilliseconds(1);
            _timer.Change(until < TimeSpan.FromDays(1) ? until : TimeSpan.FromDays(1), Timeout.InfiniteTimeSpan);
        }
    }

    private TimeSpan Admission_NeedsLock()
    {
        if (_options.PerSecond <= 0)
            return TimeSpan.Zero;
        long now = _options.TimeProvider.GetTimestamp();
        _tokens = Math.Min(_options.Burst, _tokens + (_options.TimeProvider.GetElapsedTime(_refilledAt, now).TotalSeconds * _options.PerSecond));
        _refilledAt = now;
        if (_tokens >= 1)
        {
            _tokens--;
            return TimeSpan.Zero;
        }

        return TimeSpan.FromSeconds((1 - _tokens) / _options.PerSecond) + TimeSpan.FromMilliseconds(1);
    }

    // Monotonic, in ticks of TimeSpan.
    private long Now() => _options.TimeProvider.GetElapsedTime(0, _options.TimeProvider.GetTimestamp()).Ticks;
}
