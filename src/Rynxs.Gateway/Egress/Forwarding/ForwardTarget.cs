using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress.Forwarding;

/// <summary>
/// An absolute-form request target (RFC 9112 3.2.2) with one reading: what the policy decides on is what goes out.
/// </summary>
/// <param name="Host">Where to.</param>
/// <param name="Port">1 to 65535; 80 when none is written.</param>
/// <param name="Path">With unreserved characters decoded (RFC 3986 6.2.2.2); starts with <c>/</c>; no dot segments.</param>
/// <param name="Query">As written, with its <c>?</c>; empty without one.</param>
internal sealed record ForwardTarget(HostName Host, int Port, string Path, string Query)
{
    private const string Scheme = "http://";

    /// <summary>Reads a target; false with the reason when it has no single reading or names no host.</summary>
    public static bool TryParse(string target, [NotNullWhen(true)] out ForwardTarget? parsed, out EgressDenial denial)
    {
        parsed = null;
        denial = EgressDenial.Malformed;
        if (!target.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase) || target.Any(c => c is <= ' ' or >= (char)0x7f or '\\' or '#' or '"' or '<' or '>' or '^' or '`' or '{' or '|' or '}'))
        {
            return false;
        }

        string rest = target[Scheme.Length..];
        int pathAt = rest.IndexOfAny(['/', '?']);
        string authority = pathAt < 0 ? rest : rest[..pathAt];
        string pathAndQuery = pathAt < 0 ? "/" : rest[pathAt] == '?' ? "/" + rest[pathAt..] : rest[pathAt..];
        int colon = authority.LastIndexOf(':');
        string name = colon < 0 ? authority : authority[..colon];
        int port = 80;
        if (name is ['[', ..] || System.Net.IPAddress.TryParse(name, out _))
        {
            denial = EgressDenial.RawAddress;
            return false;
        }

        if (colon >= 0 && !(authority.Length - colon - 1 is > 0 and <= 5
            && int.TryParse(authority.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port) && port is > 0 and <= ushort.MaxValue))
        {
            return false;
        }

        int queryAt = pathAndQuery.IndexOf('?', StringComparison.Ordinal);
        string rawPath = queryAt < 0 ? pathAndQuery : pathAndQuery[..queryAt];
        string query = queryAt < 0 ? "" : pathAndQuery[queryAt..];
        if (!HostName.TryParse(name, out HostName? host) || !TryNormalise(rawPath, out string? path))
        {
            return false;
        }

        parsed = new ForwardTarget(host, port, path, query);
        return true;
    }

    /// <summary>For the upstream request. The text is ours and has been checked, so nothing may rewrite it.</summary>
    public Uri ToUri() => new(
        $"http://{Host.Text}:{Port.ToString(CultureInfo.InvariantCulture)}{Path}{Query}",
        new UriCreationOptions { DangerousDisablePathAndQueryCanonicalization = true });

    /// <summary>
    /// Decodes escapes of unreserved characters. Refused, since servers disagree about them: escaped slashes, backslashes, dots' segments and control
    /// bytes, half escapes, and segments of one or two dots.
    /// </summary>
    private static bool TryNormalise(string raw, [NotNullWhen(true)] out string? path)
    {
        path = null;
        StringBuilder text = new(raw.Length);
        for (int i = 0; i < raw.Length; i++)
        {
            if (raw[i] != '%')
            {
                text.Append(raw[i]);
                continue;
            }

            if (i + 2 >= raw.Length || !byte.TryParse(raw.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out byte value)
                || value is (byte)'/' or (byte)'\\' or < 0x20 or 0x7f)
            {
                return false;
            }

            char c = (char)value;
            if (char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_' or '~')
            {
                text.Append(c);
            }
            else
            {
                text.Append('%').Append(char.ToUpperInvariant(raw[i + 1])).Append(char.ToUpperInvariant(raw[i + 2]));
            }

            i += 2;
        }

        string normal = text.ToString();
        if (normal.Split('/').Any(segment => segment is "." or ".."))
        {
            return false;
        }

        path = normal;
        return true;
    }
}
