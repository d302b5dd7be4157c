namespace Rynxs.Gateway.Inference;

/// <summary>
/// A bounded number of places, given out in turns among those who wait: one that asks a thousand times gets no more turns than one that asks once. Each has
/// a bound of its own on places and on waiting.
/// </summary>
internal sealed class FairGate(int capacity)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Holder> _holders = new(StringComparer.Ordinal);
    private readonly LinkedList<Holder> _turns = [];
    private int _active;

    /// <summary>Who waits now.</summary>
    public int Waiting
    {
        get
        {
            lock (_lock)
            {
                return _turns.Sum(holder => holder.Queue.Count);
            }
        }
    }

    /// <summary>Waits for a place; null when the holder's queue is full or the wait was too long.</summary>
    /// <param name="key">Whose.</param>
    /// <param name="places">Most places of the holder.</param>
    /// <param name="queue">Most requests of the holder that wait.</param>
    /// <param name="longest">Longest wait.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public async ValueTask<IDisposable?> EnterAsync(string key, int places, int queue, TimeSpan longest, CancellationToken cancellationToken)
    {
        Waiter waiter;
        lock (_lock)
        {
            if (!_holders.TryGetValue(key, out Holder? holder))
            {
                _holders.Add(key, holder = new Holder(key));
            }

            holder.Places = places;
            if (_active < capacity && holder.Active < places && holder.Queue.Count == 0)
            {
                _active++;
                holder.Active++;
                return new Place(this, holder);
            }

            if (holder.Queue.Count >= queue)
            {
                Forget_NeedsLock(holder);
                return null;
            }

            waiter = new Waiter(holder);
            holder.Queue.AddLast(waiter);
            if (holder.Queue.Count == 1)
            {
                _turns.AddLast(holder);
            }
        }

        try
        {
            return await waiter.Task.WaitAsync(longest, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            if (!Leave(waiter))
            {
                // A place was given in the same moment.
                (await waiter.Task.ConfigureAwait(false)).Dispose();
            }

            if (e is OperationCanceledException)
            {
                throw;
            }

            return null;
        }
    }

    private bool Leave(Waiter waiter)
    {
        lock (_lock)
        {
            bool waited = waiter.Holder.Queue.Remove(waiter);
            if (waiter.Holder.Queue.Count == 0)
            {
                _turns.Remove(waiter.Holder);
            }

            Forget_NeedsLock(waiter.Holder);
            return waited;
        }
    }

    private void Release(Holder holder)
    {
        lock (_lock)
        {
            _active--;
            holder.Active--;
            for (LinkedListNode<Holder>? node = _turns.First; node is not null && _active < capacity;)
            {
                Holder next = node.Value;
                LinkedListNode<Holder>? following = node.Next;
                if (next.Active < next.Places && next.Queue.First is { } first)
                {
                    next.Queue.RemoveFirst();
                    _turns.Remove(node);
                    if (next.Queue.Count > 0)
                    {
                        _turns.AddLast(next);
                    }

                    _active++;
                    next.Active++;
                    first.Value.Source.SetResult(new Place(this, next));
                }

                node = following;
            }

            Forget_NeedsLock(holder);
        }
    }

    private void Forget_NeedsLock(Holder holder)
    {
        if (holder.Active == 0 && holder.Queue.Count == 0)
        {
            _holders.Remove(holder.Key);
        }
    }

    private sealed class Holder(string key)
    {
        public string Key { get; } = key;

        public int Places { get; set; }

        public int Active { get; set; }

        public LinkedList<Waiter> Queue { get; } = [];
    }

    private sealed class Waiter(Holder holder)
    {
        public Holder Holder { get; } = holder;

        public TaskCompletionSource<IDisposable> Source { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<IDisposable> Task => Source.Task;
    }

    private sealed class Place(FairGate gate, Holder holder) : IDisposable
    {
        private int _released;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _released, 1) == 0)
            {
                gate.Release(holder);
            }
        }
    }
}
