using Rynxs.Ledger.Events;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Witnessing;

namespace Rynxs.Ledger.Anchors;

/// <summary>Settings of a <see cref="TransparencyLog"/>.</summary>
public sealed record TransparencyLogOptions
{
    /// <summary>The ledger whose opened chains are anchored.</summary>
    public required AnchoredLedger Ledger { get; init; }

    /// <summary>The control chain, opened through <see cref="Ledger"/>.</summary>
    public required ILedgerChain Control { get; init; }

    /// <summary>Where the tree of a chain lies.</summary>
    public required Func<ChainId, ITreeStore> Trees { get; init; }

    /// <summary>The log's keys, of type 1; their name is the log's origin.</summary>
    public required KeyDirectory Keys { get; init; }

    /// <summary>Witnesses that are asked for cosignatures of the control chain's checkpoints.</summary>
    public IReadOnlyList<WitnessClient> Witnesses { get; init; } = [];

    /// <summary>Says whether these cosignatures, each verified, are enough. Null: none are needed.</summary>
    public Func<IReadOnlyCollection<NoteSignature>, bool>? Quorum { get; init; }

    /// <summary>Clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}

/// <summary>What was published last, and what is wrong.</summary>
/// <param name="Checkpoint">Null before the first.</param>
/// <param name="PublishedAt">When.</param>
/// <param name="Witnesses">How asking each witness ended.</param>
/// <param name="QuorumMet">False when fewer cosigned than are required.</param>
/// <param name="Alarms">Chains that are no longer what was signed of them. They are not anchored any more; only a restart after repair clears one.</param>
public sealed record TransparencyStatus(
    TreeCheckpoint? Checkpoint, DateTimeOffset? PublishedAt, IReadOnlyList<WitnessReply> Witnesses, bool QuorumMet, IReadOnlyList<string> Alarms);

/// <summary>
/// Publishes what a ledger holds: keeps a Merkle tree per chain, anchors agents' chains on the control chain, signs checkpoints and asks
/// witnesses.
/// </summary>
/// <remarks>
/// Nothing is signed before the records and the tiles under it are durable. Each tree continues from its own last checkpoint: a chain that is
/// shorter, or other, than what was signed is never signed again. <see cref="PublishAsync"/> has one caller at a time; <see cref="Status"/>
/// and reading have any number.
/// </remarks>
public sealed class TransparencyLog
{
    private readonly TransparencyLogOptions _options;
    private readonly ChainTree _control;
    private readonly Dictionary<ChainId, ChainTree> _agents = [];
    private readonly Dictionary<ChainId, string> _alarms = [];
    private IReadOnlyList<WitnessClient> _witnesses;
    private Func<IReadOnlyCollection<NoteSignature>, bool>? _quorum;
    private volatile TransparencyStatus _status;

    private TransparencyLog(TransparencyLogOptions options, ChainTree control)
    {
        (_options, _control, _witnesses, _quorum) = (options, control, options.Witnesses, options.Quorum);
        _status = new TransparencyStatus(control.Published, null, [], options.Quorum is null, []);
    }

    /// <summary>Origin of the control chain's checkpoints.</summary>
    public string Origin => _control.Origin;

    /// <summary>What was published last.</summary>
    public TransparencyStatus Status => _status;

    /// <summary>Records of opened chains that no checkpoint covers yet.</summary>
    public long Uncovered => _options.Ledger.Opened.Sum(chain =>
        Math.Max(0, chain.Head.Seq + 1 - (chain.Id == ChainId.Control ? _control.Published?.Size ?? 0 : AnchoredSize(chain.Id))));

    /// <summary>Opens the control chain's tree.</summary>
    /// <exception cref="ChainRolledBackException">The control chain is not the one that was signed: nothing may be signed over it.</exception>
    /// <exception cref="LedgerUnavailableException">The tree cannot be read or written.</exception>
    public static async Task<TransparencyLog> OpenAsync(TransparencyLogOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        ChainTree control = await OpenTreeAsync(options, options.Control, cancellationToken).ConfigureAwait(false);
        return new TransparencyLog(options, control);
    }

    /// <summary>
    /// From the next checkpoint on these witnesses are asked, and this is enough; with a quorum the checkpoint that stands is completed by them, too.
    /// Called by whoever calls <see cref="PublishAsync"/>.
    /// </summary>
    public void UseWitnesses(IReadOnlyList<WitnessClient> witnesses, Func<IReadOnlyCollection<NoteSignature>, bool>? quorum)
    {
        ArgumentNullException.ThrowIfNull(witnesses);
        (_witnesses, _quorum) = (witnesses, quorum);
        _status = _status with { QuorumMet = quorum is null, Witnesses = [] };
    }

    /// <summary>Anchors the agents' chains that grew, and publishes a checkpoint when the control chain grew or cosignatures were missing.</summary>
    /// <exception cref="LedgerUnavailableException">The ledger or a tree cannot be written; to be tried again.</exception>
    public async Task<TransparencyStatus> PublishAsync(CancellationToken cancellationToken)
    {
        foreach (ILedgerChain chain in _options.Ledger.Opened.Where(chain => chain.Id != ChainId.Control))
        {
            await AnchorAsync(chain, cancellationToken).ConfigureAwait(false);
        }

        await _control.CatchUpAsync(_options.Control, cancellationToken).ConfigureAwait(false);
        DateTimeOffset now = _options.TimeProvider.GetUtcNow();
        IReadOnlyList<SigningKey> keys = _options.Keys.SigningAt(now);
        bool current = _control.Current.Size > 0 && _control.Published == _control.Current && _status.QuorumMet && IsSignedBy(_control.Note, keys);
        if (current || _control.Current.Size == 0)
        {
            return _status = _status with { Alarms = [.. _alarms.Values] };
        }

        await _control.FlushAsync(cancellationToken).ConfigureAwait(false);
        SignedNote note = _control.Sign(keys);
        IReadOnlyList<WitnessReply> replies = await AskAsync(_control.Current, note, cancellationToken).ConfigureAwait(false);
        NoteSignature[] cosignatures = [.. replies.Select(reply => reply.Signature).OfType<NoteSignature>()];
        await _control.PublishAsync(note with { Signatures = [.. note.Signatures, .. cosignatures] }, cancellationToken).ConfigureAwait(false);
        bool quorum = _quorum is null || _quorum(cosignatures);
        return _status = new TransparencyStatus(_control.Published, now, replies, quorum, [.. _alarms.Values]);
    }

    private static Task<ChainTree> OpenTreeAsync(TransparencyLogOptions options, ILedgerChain chain, CancellationToken cancellationToken) =>
        ChainTree.OpenAsync(
            options.Keys.Name, chain, options.Trees(chain.Id), [.. options.Keys.Keys.Select(key => key.PublicKey)], cancellationToken);

    private static bool IsSignedBy(SignedNote? note, IReadOnlyList<SigningKey> keys) =>
        note is not null && keys.All(key => note.Signatures.Any(signature => signature.Name == key.PublicKey.Name && signature.Id == key.PublicKey.Id));

    private async Task AnchorAsync(ILedgerChain chain, CancellationToken cancellationToken)
    {
        if (_alarms.ContainsKey(chain.Id))
        {
            return;
        }

        try
        {
            if (!_agents.TryGetValue(chain.Id, out ChainTree? tree))
            {
                tree = await OpenTreeAsync(_options, chain, cancellationToken).ConfigureAwait(false);
                lock (_agents)
                {
                    _agents.Add(chain.Id, tree);
                }
            }

            await tree.CatchUpAsync(chain, cancellationToken).ConfigureAwait(false);
            IReadOnlyList<SigningKey> keys = _options.Keys.SigningAt(_options.TimeProvider.GetUtcNow());
            bool grew = tree.Published?.Size != tree.Current.Size;
            if (tree.Current.Size == 0 || (!grew && IsSignedBy(tree.Note, keys)))
            {
                return;
            }

            if (grew)
            {
                await tree.FlushAsync(cancellationToken).ConfigureAwait(false);
                await AppendAnchorAsync(chain, tree.Current, cancellationToken).ConfigureAwait(false);
            }

            await tree.PublishAsync(tree.Sign(keys), cancellationToken).ConfigureAwait(false);
        }
        catch (ChainRolledBackException exception)
        {
            // One agent's chain must not keep the others from being anchored; the alarm is for people, and stays.
            Alarm(chain.Id, exception.Message);
        }
        catch (LedgerCorruptException exception)
        {
            Alarm(chain.Id, $"The chain {chain.Id} does not verify: {exception.Message}");
        }
    }

    private void Alarm(ChainId chain, string message)
    {
        lock (_agents)
        {
            _alarms.Add(chain, message);
        }
    }

    private async Task AppendAnchorAsync(ILedgerChain chain, TreeCheckpoint current, CancellationToken cancellationToken)
    {
        string headHash = "";
        await foreach (LedgerRecord record in chain.ReadAsync(current.Size - 1, cancellationToken).ConfigureAwait(false))
        {
            headHash = record.EventHash;
            break;
        }

        await _options.Control.AppendAsync(
            new LedgerEntry
            {
                Payload = new ChainAnchored
                {
                    Chain = chain.Id.RelativePath,
                    Size = current.Size,
                    HeadHash = headHash,
                    TreeRoot = Convert.ToHexStringLower(current.Root.ToArray()),
                },
                AggregateId = $"{chain.Id.AgentNamespace}/{chain.Id.AgentName}",
                Principal = "system:ledger",
            },
            cancellationToken).ConfigureAwait(false);
    }

    private async Task<IReadOnlyList<WitnessReply>> AskAsync(TreeCheckpoint checkpoint, SignedNote note, CancellationToken cancellationToken)
    {
        // Each witness reads tiles with a reader of its own: they are asked side by side.
        return await Task.WhenAll(_witnesses.Select(witness => witness.AskAsync(
            checkpoint, note, (oldSize, token) => new TileReader(_control.Store, checkpoint.Size).ConsistencyAsync(oldSize, token), cancellationToken)))
            .ConfigureAwait(false);
    }

    /// <summary>Of a chain with an alarm nothing will be covered: it does not count.</summary>
    private long AnchoredSize(ChainId id)
    {
        lock (_agents)
        {
            return _alarms.ContainsKey(id) ? long.MaxValue : _agents.TryGetValue(id, out ChainTree? tree) ? tree.Published?.Size ?? 0 : 0;
        }
    }
}
