namespace Rynxs.Ledger.Verifier;

/// <summary>What a record of the control chain says of an agent's chain.</summary>
/// <param name="Seq">Sequence of the record.</param>
/// <param name="Chain"><c>agents/NS/NAME</c>.</param>
/// <param name="Size">Number of records.</param>
/// <param name="HeadHash">Hash of the last of them.</param>
/// <param name="Root">Root of the tree over them.</param>
internal sealed record StatedAnchor(long Seq, string Chain, long Size, string HeadHash, NodeHash Root);

/// <summary>
/// Gathers the anchors of a control chain with bounded memory: beyond <see cref="MaxKept"/> every second one is let go, never the newest of a
/// chain. The newest alone covers all records up to it; the others show when history was written anew and anchored again.
/// </summary>
internal sealed class AnchorCollector
{
    public const int MaxKept = 64 * 1024;

    private readonly Dictionary<string, List<StatedAnchor>> _chains = [];
    private int _kept;

    /// <summary>Anchors that were seen.</summary>
    public long Seen { get; private set; }

    /// <summary>Names of the chains that were anchored.</summary>
    public IEnumerable<string> Chains => _chains.Keys;

    public void Add(StatedAnchor anchor)
    {
        Seen++;
        if (!_chains.TryGetValue(anchor.Chain, out List<StatedAnchor>? anchors))
        {
            _chains.Add(anchor.Chain, anchors = []);
        }

        anchors.Add(anchor);
        if (++_kept - _chains.Count > MaxKept)
        {
            Thin();
        }
    }

    /// <summary>The anchors of one chain that were kept, oldest first.</summary>
    public IReadOnlyList<StatedAnchor> Of(string chain) => _chains.TryGetValue(chain, out List<StatedAnchor>? anchors) ? anchors : [];

    private void Thin()
    {
        _kept = 0;
        foreach (List<StatedAnchor> anchors in _chains.Values)
        {
            int position = anchors.Count;
            anchors.RemoveAll(_ => --position % 2 == 1);
            _kept += anchors.Count;
        }
    }
}
