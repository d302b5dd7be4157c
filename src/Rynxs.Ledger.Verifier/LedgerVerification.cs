namespace Rynxs.Ledger.Verifier;

/// <summary>What a verification found: one report per chain. Lines and file positions count from 1, sequences from 0.</summary>
public sealed record LedgerVerification
{
    /// <summary>The chains, in the order in which they were verified (ordinal order of their names).</summary>
    public required IReadOnlyList<ChainReport> Chains { get; init; }

    /// <summary>True when every chain is valid. A torn tail does not make a chain invalid: see <see cref="ChainReport.TornTail"/>.</summary>
    public bool Valid => Chains.All(chain => chain.Valid);

    /// <summary>Valid records of all chains together.</summary>
    public long Records => Chains.Sum(chain => chain.Records);

    /// <summary>The first failure, in the order of <see cref="Chains"/>; null when valid.</summary>
    public ChainFailure? Failure => Chains.Select(chain => chain.Failure).FirstOrDefault(failure => failure is not null);
}

/// <summary>What was found in one chain.</summary>
public sealed record ChainReport
{
    /// <summary><c>control</c>, <c>agents/NS/NAME</c>, or the file's name when a single file was verified.</summary>
    public required string Chain { get; init; }

    /// <summary>Number of records that verified, from the start up to the first failure.</summary>
    public required long Records { get; init; }

    /// <summary>Sequence of the last record that verified; -1 when there is none.</summary>
    public required long HeadSeq { get; init; }

    /// <summary>Hash of that record; 64 zeros when there is none. Compare it with a head you noted elsewhere to detect a cut-off tail.</summary>
    public required string HeadHash { get; init; }

    /// <summary>
    /// First sequence that was verified: 0, except for a lone later segment file, whose first <c>prev_hash</c> is then taken on trust.
    /// </summary>
    public required long FromSeq { get; init; }

    /// <summary>The first failure; null when valid.</summary>
    public ChainFailure? Failure { get; init; }

    /// <summary>A last line without its newline: a write that never finished, or one that is going on now. A warning.</summary>
    public TornTail? TornTail { get; init; }

    /// <summary>Side blobs whose commitment was recomputed; null when blobs were not checked.</summary>
    public long? BlobsVerified { get; init; }

    /// <summary>True when no failure was found.</summary>
    public bool Valid => Failure is null;
}

/// <summary>The first thing that does not verify.</summary>
/// <param name="Chain">Name of the chain.</param>
/// <param name="File">Path of the file.</param>
/// <param name="Line">Line in that file, from 1; 0 when the failure is about the file as a whole.</param>
/// <param name="Seq">The sequence that was expected there; -1 for side blobs.</param>
/// <param name="Code">One of <see cref="FailureCodes"/>.</param>
/// <param name="Message">One sentence for people.</param>
/// <param name="Expected">What should have been there; null when that cannot be said.</param>
/// <param name="Actual">What is there; null when that cannot be said. Never longer than 128 characters.</param>
public sealed record ChainFailure(
    string Chain, string File, long Line, long Seq, string Code, string Message, string? Expected, string? Actual);

/// <summary>Bytes after the last newline of a chain.</summary>
/// <param name="File">Path of the file.</param>
/// <param name="Offset">Where they begin.</param>
/// <param name="Bytes">How many there are.</param>
public sealed record TornTail(string File, long Offset, long Bytes);

/// <summary>Stable codes of failures.</summary>
public static class FailureCodes
{
    /// <summary>The content of the record does not have the hash that the record states.</summary>
    public const string EventHashMismatch = "event_hash_mismatch";

    /// <summary>The record does not follow the one before it.</summary>
    public const string PrevHashMismatch = "prev_hash_mismatch";

    /// <summary>Records are missing before this one.</summary>
    public const string SeqGap = "seq_gap";

    /// <summary>The sequence was already used.</summary>
    public const string SeqRepeated = "seq_repeated";

    /// <summary>JSON, but not byte for byte the canonical form.</summary>
    public const string NonCanonical = "non_canonical";

    /// <summary>Not JSON.</summary>
    public const string InvalidJson = "invalid_json";

    /// <summary>A key is repeated in one object.</summary>
    public const string DuplicateKey = "duplicate_key";

    /// <summary>A field that the format does not have.</summary>
    public const string UnknownField = "unknown_field";

    /// <summary>A field that the format requires is not there.</summary>
    public const string MissingField = "missing_field";

    /// <summary>A field has the wrong type or form.</summary>
    public const string InvalidField = "invalid_field";

    /// <summary>Not UTF-8.</summary>
    public const string InvalidUtf8 = "invalid_utf8";

    /// <summary>The line is longer than 1 MiB.</summary>
    public const string TooLong = "too_long";

    /// <summary>Nested deeper than 64.</summary>
    public const string TooDeep = "too_deep";

    /// <summary>A segment that is not the last one ends without a newline.</summary>
    public const string SegmentCut = "segment_cut";

    /// <summary>A side blob is not what its commitment says.</summary>
    public const string BlobMismatch = "blob_mismatch";

    /// <summary>A line of a side-blob file is not a side blob.</summary>
    public const string BlobMalformed = "blob_malformed";

    /// <summary>There is no chain at the path.</summary>
    public const string NotALedger = "not_a_ledger";
}
