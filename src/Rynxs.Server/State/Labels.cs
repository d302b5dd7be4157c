namespace Rynxs.Server.State;

/// <summary>Names that may become part of a path or of a label.</summary>
internal static class Labels
{
    /// <summary>RFC 1123 label: 1 to 63 of <c>a-z</c>, <c>0-9</c> and <c>-</c>, not at its ends.</summary>
    public static bool IsDnsLabel(string value) =>
        value.Length is > 0 and <= 63 && value[0] != '-' && value[^1] != '-'
        && value.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c == '-');

    /// <summary>Kubernetes label value: 1 to 63 of letters, digits, <c>-</c>, <c>_</c> and <c>.</c>, letters or digits at its ends.</summary>
    public static bool IsLabelValue(string value) =>
        value.Length is > 0 and <= 63 && char.IsAsciiLetterOrDigit(value[0]) && char.IsAsciiLetterOrDigit(value[^1])
        && value.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
}
