using System.Globalization;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Forensics;

/// <summary>What the control chain says of the other chains, and whether they are that.</summary>
/// <remarks>Keeps the last 64 anchors of each chain: the newest ones bind all records before them.</remarks>
internal sealed class AnchorIndex
{
    private const int MaxPerChain = 64;

    private readonly Dictionary<string, List<Anchor>> _anchors = new(StringComparer.Ordinal);

    public void Observe(LogRecord record)
    {
        if (record.Type != nameof(ChainAnchored) || record.PayloadText("chain"u8) is not { } chain
            || RawJson.Integer(RawJson.Get(record.PayloadUtf8, "size"u8)) is not { } size || record.PayloadText("head_hash"u8) is not { } hash)
        {
            return;
        }

        if (!_anchors.TryGetValue(chain, out List<Anchor>? anchors))
        {
            _anchors[chain] = anchors = [];
        }

        anchors.Add(new Anchor(record.Seq, size, hash));
        if (anchors.Count > MaxPerChain)
        {
            anchors.RemoveAt(0);
        }
    }

    /// <summary>What a chain must be; null when nothing says so.</summary>
    public AnchoredChain? Of(string chain) => _anchors.TryGetValue(chain, out List<Anchor>? anchors) ? new AnchoredChain(anchors) : null;

    public static void Judge(string chain, AnchoredChain? anchored, long lastSeq, bool mustBeAnchored, FindingSink sink)
    {
        if (anchored is null)
        {
            if (mustBeAnchored && lastSeq >= 0)
            {
                sink.Add(new Finding
                {
                    Kind = FindingKind.ChainWithoutAnchor, Severity = FindingSeverity.Warning, Chain = chain, FirstSeq = -1, LastSeq = lastSeq,
                    Summary = "The control chain never anchored this chain: nobody could tell if its tail were cut off.",
                });
            }

            return;
        }

        foreach (string problem in anchored.Problems(lastSeq))
        {
            sink.Add(new Finding
            {
                Kind = FindingKind.AnchorMismatch, Severity = FindingSeverity.Error, Chain = chain, FirstSeq = -1, LastSeq = lastSeq, Summary = problem,
            });
        }
    }
}

/// <summary>An anchor in the control chain.</summary>
internal sealed record Anchor(long ControlSeq, long Size, string HeadHash);

/// <summary>Compares a chain with its anchors while it is read.</summary>
internal sealed class AnchoredChain(IReadOnlyList<Anchor> anchors)
{
    private readonly ILookup<long, Anchor> _bySeq = anchors.ToLookup(anchor => anchor.Size - 1);
    private readonly List<string> _problems = [];

    public void Observe(LogRecord record)
    {
        foreach (Anchor anchor in _bySeq[record.Seq].Where(anchor => anchor.HeadHash != record.EventHash))
        {
            _problems.Add(string.Create(
                CultureInfo.InvariantCulture,
                $"Record {record.Seq} has the hash {record.EventHash}; control record {anchor.ControlSeq} anchored {anchor.HeadHash}. The chain was written anew."));
        }
    }

    public IEnumerable<string> Problems(long lastSeq) => _problems.Concat(anchors
        .Where(anchor => anchor.Size - 1 > lastSeq)
        .TakeLast(1)
        .Select(anchor => string.Create(
            CultureInfo.InvariantCulture,
            $"The chain ends at {lastSeq}; control record {anchor.ControlSeq} anchored {anchor.Size} records. Its tail was cut off, or an old copy was put back.")));
}
