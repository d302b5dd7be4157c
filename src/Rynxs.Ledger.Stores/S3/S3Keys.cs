using System.Globalization;

namespace Rynxs.Ledger.Stores.S3;

/// <summary>
/// Where a chain's objects lie: <c>PREFIX/CHAIN/records/SEQ.batch</c> (20 digits, the sequence of its first record),
/// <c>PREFIX/CHAIN/blobs/SEQ-KEY.jsonl</c>, <c>PREFIX/CHAIN/head.json</c>, <c>PREFIX/CHAIN/tlog/PATH</c> (the tree).
/// </summary>
internal sealed class S3Keys(string prefix, ChainId chain)
{
    private const string BatchSuffix = ".batch";

    private readonly string _root = Root(prefix) + chain.RelativePath + "/";

    public string Records => _root + "records/";

    public string Blobs => _root + "blobs/";

    /// <summary>Where the chain's Merkle tree lies.</summary>
    public string Tree => _root + "tlog/";

    public string Head => _root + "head.json";

    public string Batch(long firstSeq) => string.Create(CultureInfo.InvariantCulture, $"{Records}{firstSeq:D20}{BatchSuffix}");

    public string BlobsOf(long firstSeq, string batchKey) => string.Create(CultureInfo.InvariantCulture, $"{Blobs}{firstSeq:D20}-{batchKey}.jsonl");

    /// <summary>The sequence that a key of <see cref="Records"/> states; null when it is not the key of a batch.</summary>
    public long? FirstSeq(string key)
    {
        int length = Records.Length;
        return key.Length == length + 20 + BatchSuffix.Length && key.EndsWith(BatchSuffix, StringComparison.Ordinal)
            && long.TryParse(key.AsSpan(length, 20), NumberStyles.None, CultureInfo.InvariantCulture, out long seq)
            ? seq
            : null;
    }

    public static string Root(string prefix) => prefix.Length == 0 ? "" : prefix + "/";
}
