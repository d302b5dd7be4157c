using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;

namespace Rynxs.Ledger.Anchors;

/// <summary>The chain is not the one that was signed: it is shorter than its checkpoint, or its records give another root.</summary>
public sealed class ChainRolledBackException(ChainId chain, string message) : Exception(message)
{
    /// <summary>Which chain.</summary>
    public ChainId Chain { get; } = chain;
}

/// <summary>The tree of one chain, kept up with its records, with its signed checkpoint.</summary>
/// <remarks>One caller at a time.</remarks>
internal sealed class ChainTree
{
    private readonly ITreeStore _store;
    private readonly TreeWriter _writer;

    private ChainTree(string origin, ITreeStore store, TreeWriter writer, TreeCheckpoint? published, SignedNote? note) =>
        (Origin, _store, _writer, Published, Note) = (origin, store, writer, published, note);

    /// <summary>Origin line of its checkpoints.</summary>
    public string Origin { get; }

    /// <summary>The last published checkpoint; null before the first.</summary>
    public TreeCheckpoint? Published { get; private set; }

    /// <summary>The same with its signatures.</summary>
    public SignedNote? Note { get; private set; }

    /// <summary>The tree as far as records were read.</summary>
    public TreeCheckpoint Current => new(Origin, _writer.Size, _writer.Frontier.Root());

    public ITreeStore Store => _store;

    /// <summary>Origin of a chain of a log: the log's for its control chain, else with the chain's path behind it.</summary>
    public static string OriginOf(string log, ChainId chain) => chain == ChainId.Control ? log : $"{log}/{chain.RelativePath}";

    /// <summary>Continues the tree where its checkpoint left it, or builds it from the chain; either way the chain must still be the one that was signed.</summary>
    /// <exception cref="ChainRolledBackException">It is not.</exception>
    public static async Task<ChainTree> OpenAsync(
        string log, ILedgerChain chain, ITreeStore store, IReadOnlyList<VerifierKey> keys, CancellationToken cancellationToken)
    {
        string origin = OriginOf(log, chain.Id);
        (TreeCheckpoint Checkpoint, SignedNote Note)? stored = await ReadPublishedAsync(origin, chain.Id, store, keys, cancellationToken).ConfigureAwait(false);
        if (stored is not { } published)
        {
            return new ChainTree(origin, store, TreeWriter.Begin(store), null, null);
        }

        if (chain.Head.Seq + 1 < published.Checkpoint.Size)
        {
            throw new ChainRolledBackException(
                chain.Id, $"The chain {chain.Id} has {chain.Head.Seq + 1} records, but a checkpoint over {published.Checkpoint.Size} was signed: its end was cut off, or an older copy was put in its place.");
        }

        TreeWriter? writer = await TreeWriter.TryContinueAsync(store, published.Checkpoint.Size, published.Checkpoint.Root, cancellationToken).ConfigureAwait(false);
        if (writer is null || !await HeadMatchesAsync(chain, store, published.Checkpoint.Size, cancellationToken).ConfigureAwait(false))
        {
            writer = TreeWriter.Begin(store);
            await ReadAsync(chain, writer, published.Checkpoint.Size, cancellationToken).ConfigureAwait(false);
            if (writer.Frontier.Root() != published.Checkpoint.Root)
            {
                throw new ChainRolledBackException(
                    chain.Id, $"The first {published.Checkpoint.Size} records of the chain {chain.Id} are not those that a checkpoint was signed over: they were changed.");
            }
        }

        return new ChainTree(origin, store, writer, published.Checkpoint, published.Note);
    }

    /// <summary>Reads the records up to the head.</summary>
    public Task CatchUpAsync(ILedgerChain chain, CancellationToken cancellationToken) =>
        ReadAsync(chain, _writer, chain.Head.Seq + 1, cancellationToken);

    /// <summary>Makes the tiles of <see cref="Current"/> durable.</summary>
    public Task FlushAsync(CancellationToken cancellationToken) => _writer.FlushAsync(cancellationToken);

    /// <summary>Signs what is current. The tiles must be durable.</summary>
    public SignedNote Sign(IReadOnlyList<SigningKey> keys)
    {
        string text = Current.ToText();
        return new SignedNote(text, [.. keys.Select(key => key.Sign(text))]);
    }

    /// <summary>Publishes a note over what is current.</summary>
    public async Task PublishAsync(SignedNote note, CancellationToken cancellationToken)
    {
        await _store.WriteAsync([new TreeBlob(TilePath.Checkpoint, note.ToBytes())], cancellationToken).ConfigureAwait(false);
        (Published, Note) = (Current, note);
        await _writer.DropPartialsAsync(cancellationToken).ConfigureAwait(false);
    }

    private static async Task ReadAsync(ILedgerChain chain, TreeWriter writer, long size, CancellationToken cancellationToken)
    {
        if (writer.Size >= size)
        {
            return;
        }

        await foreach (LedgerRecord record in chain.ReadAsync(writer.Size, cancellationToken).ConfigureAwait(false))
        {
            await writer.AppendAsync(record.EventHash, cancellationToken).ConfigureAwait(false);
            if (writer.Size >= size)
            {
                return;
            }
        }
    }

    /// <summary>
    /// The last record under the checkpoint must be the one in the tree: its hash covers all before it, and the chain was verified when it was
    /// opened. So a chain that was written anew shows without reading it again.
    /// </summary>
    private static async Task<bool> HeadMatchesAsync(ILedgerChain chain, ITreeStore store, long size, CancellationToken cancellationToken)
    {
        if (size == 0)
        {
            return true;
        }

        TreeHash leaf = await new TileReader(store, size).LeafAsync(size - 1, cancellationToken).ConfigureAwait(false);
        await foreach (LedgerRecord record in chain.ReadAsync(size - 1, cancellationToken).ConfigureAwait(false))
        {
            return TreeHash.OfEntry(Convert.FromHexString(record.EventHash)) == leaf;
        }

        return false;
    }

    private static async Task<(TreeCheckpoint Checkpoint, SignedNote Note)?> ReadPublishedAsync(
        string origin, ChainId chain, ITreeStore store, IReadOnlyList<VerifierKey> keys, CancellationToken cancellationToken)
    {
        byte[]? bytes = await store.TryReadAsync(TilePath.Checkpoint, SignedNote.MaxBytes, cancellationToken).ConfigureAwait(false);
        if (bytes is null)
        {
            return null;
        }

        try
        {
            SignedNote note = SignedNote.Parse(bytes);
            TreeCheckpoint checkpoint = TreeCheckpoint.Parse(note.Text);
            return note.VerifyBy(keys).Count > 0 && checkpoint.Origin == origin
                ? (checkpoint, note)
                : throw new ChainRolledBackException(
                    chain, $"The checkpoint of the chain {chain} is not signed by a key of {origin}. Put the right keys back; only if they are lost, move the chain's tlog directory away and give the log a new name.");
        }
        catch (FormatException exception)
        {
            throw new ChainRolledBackException(chain, $"The checkpoint of the chain {chain} was damaged: {exception.Message}");
        }
    }
}
