using System.Diagnostics;
using System.Threading.Channels;
using Microsoft.Data.Sqlite;
using Rynxs.Resources.Client;

namespace Rynxs.ResourceServer.Storage;

/// <summary>
/// The one writer. Mutations that wait together are committed together, so that one sync of the disk serves them all; each is checked against what
/// those before it wrote. Nothing is answered before it is durable.
/// </summary>
internal sealed class CommitQueue : IAsyncDisposable
{
    /// <summary>Secrets are sealed, whatever version of their kind is served; nothing else is.</summary>
    public static readonly KindKey SealedKind = new("", "secrets");

    private const int MaxBatch = 128;
    private const int MaxWaiting = 4096;

    private readonly StoreDatabase _database;
    private readonly ResourceStoreOptions _options;
    private readonly Action<IReadOnlyList<StoredChange>, long> _committed;
    private readonly Channel<Waiting> _waiting = Channel.CreateBounded<Waiting>(new BoundedChannelOptions(MaxWaiting) { SingleReader = true });
    private readonly Task _loop;
    private long _sequence;
    private long _compacted;
    private long _lastGiven;

    /// <param name="database">Its writer is this queue's alone.</param>
    /// <param name="options">The store's.</param>
    /// <param name="committed">Told of every commit, in order, before it is answered.</param>
    public CommitQueue(StoreDatabase database, ResourceStoreOptions options, Action<IReadOnlyList<StoredChange>, long> committed)
    {
        _database = database;
        _options = options;
        _committed = committed;
        _sequence = database.Writer.Number("SELECT sequence FROM state");
        _compacted = database.Writer.Number("SELECT compacted FROM state");
        _lastGiven = _sequence;
        _loop = Task.Run(RunAsync, CancellationToken.None);
    }

    /// <summary>Version of the last commit.</summary>
    public long Sequence => Interlocked.Read(ref _sequence);

    /// <summary>Commits, or says why not. Cancellation counts until the mutation's turn comes; then its outcome is waited for.</summary>
    /// <exception cref="ResourceException"><c>StoreUnavailable</c> or <c>TooLarge</c>.</exception>
    public async Task<CommitOutcome> CommitAsync(Mutation mutation, CancellationToken cancellationToken)
    {
        if (mutation.Next.Bytes.Length + 20 > _options.MaxObjectBytes)
            throw new ResourceException(ResourceErrorReason.TooLarge, $"the object is {mutation.Next.Bytes.Length} bytes, at most {_options.MaxObjectBytes} are allowed");
        Waiting waiting = new(new Work.Change(mutation), cancellationToken);
        await EnqueueAsync(waiting, cancellationToken);
        return await waiting.Outcome.Task ?? throw new UnreachableException("a mutation has an outcome");
    }

    /// <summary>Later versions are greater than <paramref name="version"/>.</summary>
    public async Task BurnThroughAsync(long version, CancellationToken cancellationToken)
    {
        Waiting waiting = new(new Work.Burn(version), cancellationToken);
        await EnqueueAsync(waiting, cancellationToken);
        await waiting.Outcome.Task;
    }

    /// <summary>Work of the store on itself. It makes no version; <paramref name="committed"/> runs on the writer before anything else is committed.</summary>
    /// <returns>What the work returned.</returns>
    public async Task<long> UpkeepAsync(Func<StoreConnection, long> work, Action? committed, CancellationToken cancellationToken)
    {
        Work.Upkeep upkeep = new(work, committed);
        Waiting waiting = new(upkeep, cancellationToken);
        await EnqueueAsync(waiting, cancellationToken);
        await waiting.Outcome.Task;
        return upkeep.Result;
    }

    /// <summary>Commits a transaction that changes nothing.</summary>
    public Task CheckWritableAsync(CancellationToken cancellationToken) => BurnThroughAsync(-1, cancellationToken);

    /// <summary>Takes nothing more, and finishes what was taken.</summary>
    public async ValueTask DisposeAsync()
    {
        _waiting.Writer.TryComplete();
        await _loop;
    }

    private async Task EnqueueAsync(Waiting waiting, CancellationToken cancellationToken)
    {
        try
        {
            await _waiting.Writer.WriteAsync(waiting, cancellationToken);
        }
        catch (ChannelClosedException)
        {
            throw StoreDatabase.Closed();
        }
    }

    private async Task RunAsync()
    {
        List<Waiting> batch = [];
        while (await _waiting.Reader.WaitToReadAsync())
        {
            batch.Clear();
            while (batch.Count < MaxBatch && _waiting.Reader.TryRead(out Waiting? next))
            {
                if (next.CancellationToken.IsCancellationRequested)
                    next.Outcome.TrySetCanceled(next.CancellationToken);
                else
                    batch.Add(next);
            }

            if (batch.Count > 0)
                await CommitAsync(batch);
        }
    }

    private async Task CommitAsync(List<Waiting> batch)
    {
        List<StoredChange> changes = [];
        try
        {
            if (_database.Damaged)
                throw new ResourceException(ResourceErrorReason.StoreUnavailable, "the store is damaged; stop the server and restore it from a backup");

            _database.Writer.Run("BEGIN IMMEDIATE");
            foreach (Waiting waiting in batch)
                waiting.Decided = Decide(waiting.Work, changes);

            long cut = 0;
            if (changes.Count > 0)
            {
                _database.Writer.Run("UPDATE state SET sequence = $1", changes[^1].Version);
                cut = Compact(changes[^1].Version);
                await RecordAsync(batch);
            }

            _database.Writer.Run("COMMIT");
            foreach (Waiting waiting in batch)
            {
                if (waiting.Work is Work.Upkeep upkeep)
                    upkeep.Committed?.Invoke();
            }

            if (changes.Count > 0)
            {
                _compacted = Math.Max(_compacted, cut);
                Interlocked.Exchange(ref _sequence, changes[^1].Version);
                _committed(changes, changes[^1].Version);
            }
        }
        catch (Exception e)
        {
            // The top of the writer: whatever refused the batch, its transaction must not stay open, and every one who waits is told.
            RollBack();
            ResourceException refusal = e switch
            {
                ResourceException known => known,
                SqliteException sqlite => StoreDatabase.Unavailable(sqlite),
                _ => new ResourceException(ResourceErrorReason.StoreUnavailable, $"the store failed: {e.GetType().Name}"),
            };
            foreach (Waiting waiting in batch)
                waiting.Outcome.TrySetException(refusal);
            return;
        }

        foreach (Waiting waiting in batch)
            waiting.Outcome.TrySetResult(waiting.Decided);
    }

    private CommitOutcome? Decide(Work work, List<StoredChange> changes)
    {
        switch (work)
        {
            case Work.Change change:
                return Apply(change.Mutation, changes);
            case Work.Burn burn:
                return Burn(burn.Through);
            case Work.Upkeep upkeep:
                upkeep.Result = upkeep.Do(_database.Writer);
                return null;
            default:
                throw new UnreachableException();
        }
    }

    private CommitOutcome? Burn(long through)
    {
        if (through < 0)
            _database.Writer.Run("UPDATE state SET sequence = sequence");
        _lastGiven = Math.Max(_lastGiven, through);
        return null;
    }

    private CommitOutcome Apply(Mutation mutation, List<StoredChange> changes)
    {
        StoreConnection writer = _database.Writer;
        DocumentKey key = mutation.Key;
        long current = 0;
        long owned = 0;
        long previousSeal = 0;
        byte[]? previous = null;
        SqliteCommand find = writer.Prepare("SELECT version, owned, sealed, body FROM documents WHERE grp = $1 AND plural = $2 AND namespace = $3 AND name = $4",
            key.Kind.Group, key.Kind.Plural, key.Namespace, key.Name);
        using (SqliteDataReader reader = find.ExecuteReader())
        {
            if (reader.Read())
            {
                current = reader.GetInt64(0);
                owned = reader.GetInt64(1);
                previousSeal = reader.GetInt64(2);
                previous = reader.GetFieldValue<byte[]>(3);
            }
        }

        if (current != mutation.Expected)
            return new CommitOutcome.Stale();
        if (mutation.NeedsNamespace && Namespace(key.Namespace) is { } refusal)
            return refusal;

        // Given once, even when the commit fails: a record that has it then stands for nothing else.
        long version = ++_lastGiven;
        byte[] body = mutation.Next.WithVersion(version);
        (long seal, byte[] stored) = key.Kind == SealedKind ? _database.Keys.Seal(key, version, body) : (0, body);
        byte[]? plainPrevious = previous is not null && previousSeal > 0 ? _database.Keys.Open(key, current, previousSeal, previous) : previous;
        // A row of the history has one key for both of its documents.
        if (plainPrevious is not null && previousSeal != seal)
            previous = seal > 0 ? _database.Keys.Seal(key, current, plainPrevious).Bytes : plainPrevious;
        WatchEventType type = mutation.Removes ? WatchEventType.Deleted : previous is null ? WatchEventType.Added : WatchEventType.Modified;
        writer.Run("INSERT INTO history VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            version, key.Kind.Group, key.Kind.Plural, key.Namespace, key.Name, (int)type, seal, stored, previous, current);
        if (owned > 0)
            writer.Run("DELETE FROM owners WHERE grp = $1 AND plural = $2 AND namespace = $3 AND name = $4", key.Kind.Group, key.Kind.Plural, key.Namespace, key.Name);
        if (mutation.Removes)
        {
            writer.Run("DELETE FROM documents WHERE grp = $1 AND plural = $2 AND namespace = $3 AND name = $4", key.Kind.Group, key.Kind.Plural, key.Namespace, key.Name);
        }
        else
        {
            writer.Run("INSERT OR REPLACE INTO documents VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
                key.Kind.Group, key.Kind.Plural, key.Namespace, key.Name, version, mutation.Uid, mutation.Deleting ? 1 : 0, mutation.Owners.Count, seal, stored);
            foreach (string owner in mutation.Owners)
                writer.Run("INSERT OR IGNORE INTO owners VALUES ($1, $2, $3, $4, $5)", owner, key.Kind.Group, key.Kind.Plural, key.Namespace, key.Name);
        }

        changes.Add(new StoredChange(version, type, key, body, plainPrevious));
        return new CommitOutcome.Committed(new StoredDocument(key, version, body));
    }

    private CommitOutcome? Namespace(string name)
    {
        object? deleting = _database.Writer.Prepare("SELECT deleting FROM documents WHERE grp = '' AND plural = 'namespaces' AND namespace = '' AND name = $1", name).ExecuteScalar();
        return deleting switch
        {
            null => new CommitOutcome.NamespaceMissing(),
            0L => null,
            _ => new CommitOutcome.NamespaceTerminating(),
        };
    }

    /// <summary>
    /// Every committed mutation of the batch, started in commit order. One that cannot be recorded refuses the whole batch: what came after it may have been
    /// decided on what it wrote.
    /// </summary>
    private async Task RecordAsync(List<Waiting> batch)
    {
        if (_options.MutationLog is not { } log)
            return;
        try
        {
            List<Task> records = [];
            foreach (Waiting waiting in batch)
            {
                if (waiting is { Work: Work.Change { Mutation: { } mutation }, Decided: CommitOutcome.Committed { Document: { } document } })
                    records.Add(log.RecordAsync(Record(mutation, document), CancellationToken.None).AsTask()); // a commit step: no one's wish to leave may cut it
            }

            await Task.WhenAll(records);
        }
        catch (Exception e)
        {
            // The log is another assembly's code and any failure of it means the same here: no record, no mutation.
            throw new ResourceException(ResourceErrorReason.StoreUnavailable, $"the mutation could not be recorded: {e.Message}");
        }
    }

    private static MutationRecord Record(Mutation mutation, StoredDocument document) => new()
    {
        Principal = mutation.Principal,
        Verb = mutation.Verb,
        Kind = mutation.KindName,
        Namespace = mutation.Key.Namespace,
        Name = mutation.Key.Name,
        Uid = mutation.Uid,
        ResourceVersion = document.Version,
        Removes = mutation.Removes,
        ObjectJson = document.Body,
    };

    /// <summary>Cuts the history to its window once a tenth has gathered beyond it: part of the same transaction, so the two never disagree.</summary>
    private long Compact(long version)
    {
        long cut = version - _options.HistoryWindow;
        if (cut - Math.Max(0, _compacted) < Math.Max(1, _options.HistoryWindow / 10))
            return 0;
        _database.Writer.Run("DELETE FROM history WHERE version <= $1", cut);
        _database.Writer.Run("UPDATE state SET compacted = $1", cut);
        return cut;
    }

    private void RollBack()
    {
        try
        {
            _database.Writer.Run("ROLLBACK");
        }
        catch (SqliteException)
        {
            // A full disk or an I/O error has rolled back already, and then there is no transaction: that is the state we want.
        }
    }

    private sealed record Waiting(Work Work, CancellationToken CancellationToken)
    {
        public CommitOutcome? Decided { get; set; }

        public TaskCompletionSource<CommitOutcome?> Outcome { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>What waits for its commit.</summary>
    private abstract record Work
    {
        private Work()
        {
        }

        public sealed record Change(Mutation Mutation) : Work;

        public sealed record Burn(long Through) : Work;

        public sealed record Upkeep(Func<StoreConnection, long> Do, Action? Committed) : Work
        {
            public long Result { get; set; }
        }
    }
}
