using System.Globalization;

namespace Rynxs.Ledger.Verifier;

/// <summary>
/// Verifies ledgers. Shares no code with the writer (Rynxs.Ledger), takes no lock and changes nothing; of a live directory it reads up to the
/// last complete line. Memory is bounded whatever the size of the chains.
/// </summary>
/// <remarks>
/// A chain proves order and content up to its head. That its tail was not cut off, nor the whole of it replaced, shows only against
/// something outside the writer's reach: pin the log's key (<see cref="VerificationOptions.Keys"/>), keep checkpoints
/// (<see cref="VerificationOptions.Checkpoints"/>), ask for witnesses (<see cref="VerificationOptions.Policy"/>).
/// </remarks>
public static class ChainVerifier
{
    private const string Control = "control";

    /// <summary>Verifies with the default options.</summary>
    /// <inheritdoc cref="VerifyPath(string, VerificationOptions, CancellationToken)"/>
    public static LedgerVerification VerifyPath(string path, CancellationToken cancellationToken) =>
        VerifyPath(path, new VerificationOptions(), cancellationToken);

    /// <summary>
    /// Verifies a JSONL log (v1, v2 or mixed), a chain's directory, a ledger's directory, or a state directory with a <c>ledger</c> in it.
    /// </summary>
    /// <exception cref="FileNotFoundException">There is nothing at the path.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">A file may not be read.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static LedgerVerification VerifyPath(string path, VerificationOptions options, CancellationToken cancellationToken)
    {
        var source = new FileLedgerSource(path);

        // On the pool, so that no caller's synchronisation context is waited on by its own thread.
        return Task.Run(() => VerifyAsync(source, options, cancellationToken), CancellationToken.None).GetAwaiter().GetResult();
    }

    /// <summary>Verifies a ledger of any store.</summary>
    /// <exception cref="IOException">The source cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The source may not be read.</exception>
    /// <exception cref="PlatformNotSupportedException">Signatures are to be verified, and libcrypto.so.3 is not installed.</exception>
    /// <exception cref="OperationCanceledException">The token was cancelled.</exception>
    public static async Task<LedgerVerification> VerifyAsync(LedgerSource source, VerificationOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Parallelism, 1, nameof(options));
        cancellationToken.ThrowIfCancellationRequested();
        IReadOnlyList<ChainSource> chains = await source.ListChainsAsync(cancellationToken);
        if (chains.Count == 0)
        {
            return new LedgerVerification { Chains = [NotALedger(source.Name)] };
        }

        // The control chain first: it says what the others must be.
        var anchors = new AnchorCollector();
        var reports = new List<ChainReport>();
        foreach (ChainSource chain in chains.OrderBy(chain => chain.Chain == Control ? 0 : 1))
        {
            reports.Add(await VerifyChainAsync(chain, options, anchors, chains.Count == 1, cancellationToken));
        }

        HashSet<string> present = [.. chains.Select(chain => chain.Chain)];
        reports.AddRange(anchors.Chains.Where(chain => chains.Count > 1 && !present.Contains(chain)).Select(chain => Missing(chain, anchors)));
        return new LedgerVerification { Chains = [.. reports.OrderBy(report => report.Chain, StringComparer.Ordinal)], AnchorsSeen = anchors.Seen };
    }

    private static async Task<ChainReport> VerifyChainAsync(
        ChainSource chain, VerificationOptions options, AnchorCollector anchors, bool alone, CancellationToken cancellationToken)
    {
        // Before the records, so that a live chain is at least as long as what was said of it.
        (CheckpointReport? checkpoint, Mark? stored, ChainFailure? failure) = options.CheckTree
            ? await StoredCheckpoint.ReadAsync(chain, options, isControl: chain.Chain == Control || alone, cancellationToken)
            : (null, null, null);
        List<Mark> marks = [.. anchors.Of(chain.Chain).Select(anchor => MarkOf(anchor, options.CheckTree)), .. Kept(chain.Chain, options, alone)];
        int outside = marks.Count;
        if (stored is not null)
        {
            marks.Add(stored);
        }

        TreeCheck? tree = await TreeCheck.CreateAsync(chain, marks, options.CheckTree ? stored?.Size ?? 0 : 0, cancellationToken);
        IReadOnlyList<SegmentSource> segments = await chain.ListSegmentsAsync(cancellationToken);
        PrunedBeginning? pruned = await chain.ReadPrunedAsync(cancellationToken);
        ChainReport report = await new ChainWalk(chain.Chain, options, tree, chain.Chain == Control ? anchors : null, pruned)
            .VerifyAsync(segments, cancellationToken);
        bool isFile = segments is [{ } only] && only.Name == chain.Location;
        if (report.FromSeq > 0 && !isFile && report.FromSeq != pruned?.BeforeSeq)
        {
            // In its own directory a later segment alone means that the earlier ones are gone.
            report = report with
            {
                Records = 0,
                HeadSeq = -1,
                HeadHash = new string('0', 64),
                Failure = new ChainFailure(
                    chain.Chain, chain.Location, 0, 0, FailureCodes.SeqGap, "The chain does not begin with sequence 0: earlier segments are missing.",
                    "0", report.FromSeq.ToString(CultureInfo.InvariantCulture)),
            };
        }

        report = report with { Failure = report.Failure ?? failure, MarksChecked = outside };
        report = report with { Checkpoint = report.Failure is null ? checkpoint : null };
        if (!options.CheckBlobs)
        {
            return report;
        }

        (long verified, ChainFailure? blob) = await BlobVerifier.VerifyAsync(chain.Chain, await chain.ListBlobFilesAsync(cancellationToken), cancellationToken);
        return report with { BlobsVerified = verified, Failure = report.Failure ?? blob };
    }

    private static Mark MarkOf(StatedAnchor anchor, bool withRoot) => new(
        anchor.Size, withRoot ? anchor.Root : null, anchor.HeadHash, MarkKind.Anchor,
        string.Create(CultureInfo.InvariantCulture, $"the anchor in record {anchor.Seq} of the control chain"));

    /// <summary>The kept checkpoints that are about a chain: the origin of an agent's ends with its name.</summary>
    private static IEnumerable<Mark> Kept(string chain, VerificationOptions options, bool alone) => options.Checkpoints
        .Where(kept => alone || ChainOf(kept.Checkpoint.Origin) == chain)
        .Select(kept => new Mark(kept.Checkpoint.Size, kept.Checkpoint.RootHash, null, MarkKind.Kept, $"the kept checkpoint {kept.Name}"));

    private static string ChainOf(string origin)
    {
        int at = origin.LastIndexOf("/agents/", StringComparison.Ordinal);
        return at < 0 ? Control : origin[(at + 1)..];
    }

    private static ChainReport Missing(string chain, AnchorCollector anchors)
    {
        StatedAnchor last = anchors.Of(chain)[^1];
        return Empty(chain, new ChainFailure(
            chain, chain, 0, 0, FailureCodes.ChainMissing,
            string.Create(CultureInfo.InvariantCulture, $"Record {last.Seq} of the control chain anchors {last.Size} records of this chain, but it is not there."),
            last.Size.ToString(CultureInfo.InvariantCulture), "0"));
    }

    private static ChainReport NotALedger(string path)
    {
        string name = Path.GetFileName(Path.GetFullPath(path));
        return Empty(name, new ChainFailure(
            name, path, 0, -1, FailureCodes.NotALedger,
            "There is no chain here: neither segments, nor control/ or agents/, nor a ledger/ that holds them.", null, null));
    }

    private static ChainReport Empty(string chain, ChainFailure failure) => new()
    {
        Chain = chain,
        Records = 0,
        FromSeq = 0,
        HeadSeq = -1,
        HeadHash = new string('0', 64),
        Failure = failure,
    };
}
