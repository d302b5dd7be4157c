namespace Rynxs.Ledger;

/// <summary>Bounds of the format (docs/formats/ledger.md); checked before anything is allocated.</summary>
public static class LedgerLimits
{
    /// <summary>Largest line of a chain, its newline included: 1 MiB.</summary>
    public const int MaxRecordBytes = 1024 * 1024;

    /// <summary>Deepest nesting of a record: 64.</summary>
    public const int MaxDepth = 64;

    /// <summary>Largest side blob: 4 MiB, for a text of 1 MiB as JSON writes it. Longer text is cut before it is committed to, and the cut is recorded.</summary>
    public const int MaxBlobBytes = 4 * 1024 * 1024;
}
