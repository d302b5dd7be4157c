using System.Buffers;
using System.Globalization;
using System.Text;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress.Tunnels;

/// <summary>The head of an HTTP CONNECT request (RFC 9110 9.3.6, RFC 9112 3.2.3), read strictly.</summary>
internal abstract record ConnectRequest
{
    /// <summary>Longest head: 8 KiB.</summary>
    public const int MaxBytes = 8 * 1024;

    private static readonly SearchValues<byte> TokenBytes =
        SearchValues.Create("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"u8);

    private ConnectRequest()
    {
    }

    /// <summary>More bytes are needed.</summary>
    public sealed record Incomplete : ConnectRequest;

    /// <summary>No CONNECT, or not one that has a single reading.</summary>
    public sealed record Malformed : ConnectRequest;

    /// <summary>An address instead of a name.</summary>
    public sealed record RawAddress(int Port) : ConnectRequest;

    /// <summary>A tunnel is asked for.</summary>
    /// <param name="Host">Where to.</param>
    /// <param name="Port">1 to 65535.</param>
    /// <param name="Length">Bytes of the head; what follows belongs to the tunnel.</param>
    public sealed record Tunnel(HostName Host, int Port, int Length) : ConnectRequest;

    /// <summary>Reads the head from the bytes received so far.</summary>
    public static ConnectRequest Read(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.IndexOf("\r\n\r\n"u8);
        if (end < 0)
        {
            return bytes.Length >= MaxBytes ? new Malformed() : new Incomplete();
        }

        if (end + 4 > MaxBytes)
        {
            return new Malformed();
        }

        ReadOnlySpan<byte> head = bytes[..end];
        int lineEnd = head.IndexOf("\r\n"u8);
        ReadOnlySpan<byte> line = lineEnd < 0 ? head : head[..lineEnd];
        ReadOnlySpan<byte> headers = lineEnd < 0 ? default : head[(lineEnd + 2)..];
        if (!line.StartsWith("CONNECT "u8) || !line.EndsWith(" HTTP/1.1"u8) && !line.EndsWith(" HTTP/1.0"u8) || line.Length < "CONNECT  HTTP/1.1".Length)
        {
            return new Malformed();
        }

        ReadOnlySpan<byte> target = line["CONNECT ".Length..^" HTTP/1.1".Length];
        if (!Ascii.IsValid(target) || !TryReadHeaders(headers, out string? host))
        {
            return new Malformed();
        }

        string authority = Encoding.ASCII.GetString(target);
        if (!TrySplit(authority, out string name, out int port))
        {
            return new Malformed();
        }

        if (name is ['[', ..] || System.Net.IPAddress.TryParse(name, out _))
        {
            return new RawAddress(port);
        }

        // Host is the authority itself (RFC 9110 7.2); a different one is a request that two parsers would send to two places.
        if (!HostName.TryParse(name, out HostName? parsed) || host is not null && !IsSameAuthority(host, parsed, port))
        {
            return new Malformed();
        }

        return new Tunnel(parsed, port, end + 4);
    }

    private static bool IsSameAuthority(string host, HostName name, int port)
    {
        string hostName = TrySplit(host, out string split, out int hostPort) ? split : host;
        return HostName.TryParse(hostName, out HostName? parsed) && parsed == name && (hostPort == 0 || hostPort == port);
    }

    private static bool TrySplit(string authority, out string name, out int port)
    {
        int colon = authority.LastIndexOf(':');
        (name, port) = (colon < 0 ? authority : authority[..colon], 0);
        return colon > 0
            && authority.Length - colon - 1 is > 0 and <= 5
            && int.TryParse(authority.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out port)
            && port is > 0 and <= ushort.MaxValue;
    }

    /// <summary>
    /// Field lines in their strict form: a token, a colon, no folding, no bare CR or LF, no control bytes. A body is refused: CONNECT has none, and
    /// what one parser takes for a body is the tunnel's first bytes to another.
    /// </summary>
    private static bool TryReadHeaders(ReadOnlySpan<byte> headers, out string? host)
    {
        host = null;
        while (!headers.IsEmpty)
        {
            int end = headers.IndexOf("\r\n"u8);
            ReadOnlySpan<byte> line = end < 0 ? headers : headers[..end];
            headers = end < 0 ? default : headers[(end + 2)..];
            int colon = line.IndexOf((byte)':');
            if (colon <= 0 || line[..colon].IndexOfAnyExcept(TokenBytes) >= 0)
            {
                return false;
            }

            ReadOnlySpan<byte> value = line[(colon + 1)..].Trim(" \t"u8);
            foreach (byte b in value)
            {
                if (b is < 0x20 and not (byte)'\t' or 0x7f)
                {
                    return false;
                }
            }

            if (Ascii.EqualsIgnoreCase(line[..colon], "Host"u8))
            {
                if (host is not null || !Ascii.IsValid(value))
                {
                    return false;
                }

                host = Encoding.ASCII.GetString(value);
            }
            else if (Ascii.EqualsIgnoreCase(line[..colon], "Transfer-Encoding"u8)
                || Ascii.EqualsIgnoreCase(line[..colon], "Content-Length"u8) && !value.SequenceEqual("0"u8))
            {
                return false;
            }
        }

        return true;
    }
}
