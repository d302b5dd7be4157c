using System.Diagnostics.CodeAnalysis;

namespace Rynxs.Policy.Egress;

/// <summary>
/// Hosts that a rule speaks of: one name, or <c>*.NAME</c> for every name below it. A wildcard never matches the name itself (the apex) nor a
/// look-alike such as <c>evil-NAME</c>; the star stands alone and first, and below a name of at least two labels.
/// </summary>
public sealed record HostPattern
{
    private readonly string _suffix;

    private HostPattern(HostName name, bool isWildcard)
    {
        Name = name;
        IsWildcard = isWildcard;
        _suffix = "." + name.Text;
    }

    private HostPattern()
    {
        (Name, _suffix, IsAny) = (EgressPolicy.ProbeHost, "", true);
    }

    /// <summary>Every name. No text gives it: only <c>network_policy: full</c> has such a rule.</summary>
    public static HostPattern Any { get; } = new();

    /// <summary>Whether it is <see cref="Any"/>.</summary>
    public bool IsAny { get; }

    /// <summary>The name, without the star.</summary>
    public HostName Name { get; }

    /// <summary>Whether names below it are meant instead of the name.</summary>
    public bool IsWildcard { get; }

    /// <summary>Reads <c>api.example.com</c> or <c>*.example.com</c>.</summary>
    public static bool TryParse(string? text, [NotNullWhen(true)] out HostPattern? pattern)
    {
        pattern = null;
        bool wildcard = text is not null && text.StartsWith("*.", StringComparison.Ordinal);
        if (!HostName.TryParse(wildcard ? text![2..] : text, out HostName? name))
        {
            return false;
        }

        pattern = new HostPattern(name, wildcard);
        return true;
    }

    /// <summary>Whether the host is meant.</summary>
    public bool IsMatch(HostName host)
    {
        ArgumentNullException.ThrowIfNull(host);
        return IsAny || (IsWildcard
            ? host.Text.Length > _suffix.Length && host.Text.EndsWith(_suffix, StringComparison.Ordinal)
            : string.Equals(host.Text, Name.Text, StringComparison.Ordinal));
    }

    /// <inheritdoc/>
    public override string ToString() => IsAny ? "*" : IsWildcard ? "*" + _suffix : Name.Text;
}
