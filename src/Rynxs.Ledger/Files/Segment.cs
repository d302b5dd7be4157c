namespace Rynxs.Ledger.Files;

/// <summary>One file of a chain.</summary>
/// <param name="Path">Where it is.</param>
/// <param name="FirstSeq">Sequence of its first record.</param>
/// <param name="PrevHash">Hash of the record before its first.</param>
/// <param name="StartOffset">Bytes of the chain before it: its place in the concatenation of all segments.</param>
internal sealed record Segment(string Path, long FirstSeq, string PrevHash, long StartOffset);
