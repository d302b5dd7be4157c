namespace Rynxs.Ledger.Canonical;

/// <summary>Why bytes are not a record line that we accept.</summary>
internal enum LineDefect
{
    /// <summary>Longer than <see cref="LedgerLimits.MaxRecordBytes"/> with its newline.</summary>
    TooLong,

    /// <summary>Not UTF-8, or an escape names a lone surrogate.</summary>
    InvalidUtf8,

    /// <summary>Not JSON: a cut line, NaN, a byte order mark, anything after the value.</summary>
    NotJson,

    /// <summary>Nested deeper than <see cref="LedgerLimits.MaxDepth"/>.</summary>
    TooDeep,

    /// <summary>An object holds a key twice.</summary>
    DuplicateKey,

    /// <summary>A number with a fraction or exponent where none may be, or one beyond the range of a double.</summary>
    BadNumber,

    /// <summary>JSON, but not byte for byte in canonical form (order, whitespace, escapes, number form).</summary>
    NonCanonical,

    /// <summary>A key at the top level or in <c>event</c> that the format does not have.</summary>
    UnknownField,

    /// <summary>A key that the format requires is not there.</summary>
    MissingField,

    /// <summary>A field has the wrong type or form.</summary>
    InvalidField,
}

/// <summary>Thrown inside the canonical reader and writer; callers at the edge turn it into their own typed error.</summary>
internal sealed class NonCanonicalException(LineDefect defect, string message) : Exception(message)
{
    public LineDefect Defect { get; } = defect;
}
