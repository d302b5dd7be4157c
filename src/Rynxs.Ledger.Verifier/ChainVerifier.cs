using System.Globalization;

namespace Rynxs.Ledger.Verifier;

/// <summary>
/// Verifies hash chains. Shares no code with the writer (Rynxs.Ledger), takes no lock and changes nothing; of a live directory it reads
/// up to the last complete line. Memory is bounded whatever the size of the chain.
/// </summary>
/// <remarks>
/// A chain proves order and content up to its head. It cannot show that its own tail was cut off, nor that the whole of it was replaced:
/// for that, compare <see cref="ChainReport.HeadHash"/> with a head that was noted elsewhere.
/// </remarks>
public static class ChainVerifier
{
    private const string SegmentPrefix = "records-";
    private const string SegmentSuffix = ".jsonl";

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
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Parallelism, 1, nameof(options));
        if (File.Exists(path))
        {
            string name = Path.GetFileName(path);
            return new LedgerVerification { Chains = [new ChainWalk(name, options).Verify([(FirstSeq(path), path)], cancellationToken)] };
        }

        if (!Directory.Exists(path))
        {
            throw new FileNotFoundException($"There is no file or directory {path}.", path);
        }

        if (Segments(path).Count > 0)
        {
            return new LedgerVerification { Chains = [VerifyChain(Path.GetFileName(Path.GetFullPath(path)), path, options, cancellationToken)] };
        }

        string ledger = Directory.Exists(Path.Combine(path, "ledger")) ? Path.Combine(path, "ledger") : path;
        var chains = new List<ChainReport>();
        foreach ((string chain, string directory) in ChainDirectories(ledger))
        {
            chains.Add(VerifyChain(chain, directory, options, cancellationToken));
        }

        return new LedgerVerification { Chains = chains.Count > 0 ? chains : [NotALedger(path)] };
    }

    private static ChainReport VerifyChain(string chain, string directory, VerificationOptions options, CancellationToken cancellationToken)
    {
        ChainReport report = new ChainWalk(chain, options).Verify(Segments(directory), cancellationToken);
        if (report.FromSeq > 0)
        {
            // In its own directory a later segment alone means that the earlier ones are gone.
            report = report with
            {
                Records = 0,
                HeadSeq = -1,
                HeadHash = new string('0', 64),
                Failure = new ChainFailure(
                    chain, directory, 0, 0, FailureCodes.SeqGap, "The chain does not begin with sequence 0: earlier segments are missing.",
                    "0", report.FromSeq.ToString(CultureInfo.InvariantCulture)),
            };
        }

        if (!options.CheckBlobs)
        {
            return report;
        }

        (long verified, ChainFailure? failure) = BlobVerifier.Verify(chain, directory, cancellationToken);
        return report with { BlobsVerified = verified, Failure = report.Failure ?? failure };
    }

    private static IEnumerable<(string Chain, string Directory)> ChainDirectories(string ledger)
    {
        string agents = Path.Combine(ledger, "agents");
        IEnumerable<string> found = Directory.Exists(agents)
            ? Directory.EnumerateDirectories(agents).SelectMany(Directory.EnumerateDirectories)
            : [];
        return found.Append(Path.Combine(ledger, "control"))
            .Where(Directory.Exists)
            .Select(directory => (Path.GetRelativePath(ledger, directory), directory))
            .OrderBy(chain => chain.Item1, StringComparer.Ordinal);
    }

    private static List<(long? FirstSeq, string Path)> Segments(string directory) =>
    [
        .. Directory.EnumerateFiles(directory, SegmentPrefix + "*" + SegmentSuffix)
            .Select(path => (FirstSeq: FirstSeq(path), Path: path))
            .Where(segment => segment.FirstSeq is not null)
            .OrderBy(segment => segment.FirstSeq),
    ];

    /// <summary>The sequence that a segment's name states; null for a file that is not named like a segment.</summary>
    private static long? FirstSeq(string path)
    {
        string name = Path.GetFileName(path);
        return name.Length == SegmentPrefix.Length + 20 + SegmentSuffix.Length
            && name.StartsWith(SegmentPrefix, StringComparison.Ordinal) && name.EndsWith(SegmentSuffix, StringComparison.Ordinal)
            && long.TryParse(name.AsSpan(SegmentPrefix.Length, 20), NumberStyles.None, CultureInfo.InvariantCulture, out long firstSeq)
            ? firstSeq
            : null;
    }

    private static ChainReport NotALedger(string path) => new()
    {
        Chain = Path.GetFileName(Path.GetFullPath(path)),
        Records = 0,
        FromSeq = 0,
        HeadSeq = -1,
        HeadHash = new string('0', 64),
        Failure = new ChainFailure(
            Path.GetFileName(Path.GetFullPath(path)), path, 0, -1, FailureCodes.NotALedger,
            "There is no chain here: neither segments, nor control/ or agents/, nor a ledger/ that holds them.", null, null),
    };
}
