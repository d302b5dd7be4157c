using System.Diagnostics.CodeAnalysis;

namespace Rynxs.Policy.Egress;

/// <summary>
/// A DNS name in the one form that rules compare: lowercase ASCII (A-labels), no trailing dot. Whatever another parser could read as
/// something else is no host name here.
/// </summary>
/// <remarks>
/// <para>Refused: the empty name; more than 253 characters or a label of more than 63 (RFC 1035 2.3.4); characters beyond letters, digits,
/// <c>-</c> and <c>_</c>; a label that starts or ends with <c>-</c>; userinfo, ports, NUL, spaces, <c>%</c>-escapes; names without a dot
/// (they resolve inside the host's own search domains); and every name whose last label is a number, since resolvers read
/// <c>2130706433</c>, <c>0x7f.1</c> and <c>127.1</c> as addresses (WHATWG URL, "ends in a number").</para>
/// <para>An internationalised name is written as A-labels (<c>xn--…</c>), as it is on the wire. Unicode is refused: there are several mappings to
/// A-labels, and a rule that means one name while a client means another is a hole.</para>
/// </remarks>
public sealed record HostName
{
    /// <summary>Longest name: 253 characters.</summary>
    public const int MaxLength = 253;

    private const int MaxLabelLength = 63;

    private HostName(string text) => Text = text;

    /// <summary>The name, such as <c>api.example.com</c>.</summary>
    public string Text { get; }

    /// <summary>Reads a name as a request or a rule writes it.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out HostName? name)
    {
        name = null;
        if (text is null || text.Length is 0 or > MaxLength + 1)
        {
            return false;
        }

        // One trailing dot is the root: the same name. Two are not a name.
        string candidate = text[^1] == '.' ? text[..^1] : text;
        candidate = candidate.ToLowerInvariant();
        string[] labels = candidate.Split('.');
        if (candidate.Length is 0 or > MaxLength || labels.Length < 2 || !labels.All(IsLabel) || IsNumber(labels[^1]))
        {
            return false;
        }

        name = new HostName(candidate);
        return true;
    }

    /// <inheritdoc/>
    public override string ToString() => Text;

    private static bool IsLabel(string label) =>
        label.Length is > 0 and <= MaxLabelLength
        && label[0] != '-' && label[^1] != '-'
        && label.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_');

    private static bool IsNumber(string label) =>
        label.All(char.IsAsciiDigit)
        || (label.StartsWith("0x", StringComparison.Ordinal) && label.Skip(2).All(char.IsAsciiHexDigitLower));
}
