using Rynxs.Ledger.Blobs;

namespace Rynxs.Ledger.Chains;

/// <summary>One commit in the making: gives each entry of a batch its place, or the reason why it has none.</summary>
/// <remarks>One caller at a time: the committer.</remarks>
internal sealed class CommitPlan(ChainId id, TimeProvider time)
{
    private readonly CommitBuffer _buffer = new();
    private readonly List<BlobLine> _blobs = [];
    private readonly List<(string Key, string Content, AppendedRecord Record)> _addedKeys = [];
    private readonly Dictionary<string, int> _addedKeyAt = new(StringComparer.Ordinal);
    private IdempotencyWindow? _keys;

    /// <summary>What the store is to make durable; without records when every entry was refused or is known. Valid until the next one is built.</summary>
    /// <param name="batch">Not empty.</param>
    /// <param name="head">What is committed.</param>
    /// <param name="epoch">Its epoch.</param>
    /// <param name="keys">The keys that are known; null while no entry ever had one.</param>
    public ChainCommit Build(List<PendingAppend> batch, ChainHead head, long epoch, IdempotencyWindow? keys)
    {
        long epochBefore = epoch;
        _keys = keys;
        _blobs.Clear();
        _addedKeys.Clear();
        _addedKeyAt.Clear();
        _buffer.Begin(head, time.GetUtcNow());
        foreach (PendingAppend pending in batch)
        {
            if (pending.IsClaim)
            {
                pending.LostClaim = pending.Epoch != epoch + 1;
                epoch = pending.LostClaim ? epoch : epoch + 1;
            }
            else if (pending.Epoch is { } named && named != epoch)
            {
                pending.Refusal = new LedgerFencedException($"The chain {id} is in epoch {epoch}; the entry is of epoch {named}.");
            }
            else
            {
                pending.Refusal = Conflict(pending);
            }

            if (!pending.LostClaim && pending.Refusal is null)
            {
                Add(pending, epoch);
            }
        }

        return new ChainCommit
        {
            Before = head, Head = _buffer.Head, EpochBefore = epochBefore, Epoch = epoch, Lines = _buffer.Lines, Blobs = _blobs,
        };
    }

    /// <summary>Once the commit is durable: its keys are known from now on.</summary>
    public void RememberKeys()
    {
        foreach ((string key, string content, AppendedRecord record) in _addedKeys)
        {
            _keys?.Add(key, content, record);
        }
    }

    /// <summary>Asked before anything of a group is added: it is recorded as a whole.</summary>
    private IdempotencyConflictException? Conflict(PendingAppend pending)
    {
        foreach (PreparedEntry entry in pending.Entries)
        {
            if (entry.Key is { } key && Known(key) is { } known && known.Content != entry.Content)
            {
                return new IdempotencyConflictException(key, known.Record.Seq);
            }
        }

        return null;
    }

    private void Add(PendingAppend pending, long epoch)
    {
        foreach (PreparedEntry entry in pending.Entries)
        {
            if (entry.Key is { } repeated && Known(repeated) is { } known)
            {
                entry.Place = known.Record;
                continue;
            }

            entry.Place = _buffer.Add(entry, epoch);
            if (entry.Blobs.Count > 0)
            {
                _blobs.AddRange(entry.Blobs);
            }

            if (entry.Key is { } key)
            {
                _addedKeyAt.Add(key, _addedKeys.Count);
                _addedKeys.Add((key, entry.Content, entry.Place));
            }
        }
    }

    private (string Content, AppendedRecord Record)? Known(string key) =>
        _addedKeyAt.TryGetValue(key, out int at) ? (_addedKeys[at].Content, _addedKeys[at].Record) : _keys?.Find(key);
}
