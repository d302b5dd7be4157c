using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Net;
using System.Text.RegularExpressions;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>The formats of strings that schemas may demand. Formats that are not listed here are ignored, as the real server ignores those it does not know.</summary>
internal static partial class ValueFormats
{
    /// <summary>Whether a text has the format; true for unknown formats.</summary>
    public static bool Holds(string format, string text) => format switch
    {
        "date-time" or "datetime" => IsDateTime(text),
        "date" => DateOnly.TryParseExact(text, "yyyy-MM-dd", CultureInfo.InvariantCulture, DateTimeStyles.None, out _),
        "duration" => GoDuration.TryParse(text, out _) || WordDuration().IsMatch(text),
        "byte" => IsBase64(text),
        "ipv4" => IPAddress.TryParse(text, out IPAddress? v4) && v4.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork && text.Count(c => c == '.') == 3,
        "ipv6" => IPAddress.TryParse(text, out IPAddress? v6) && v6.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 && !text.Contains('%'),
        "cidr" => IsCidr(text),
        "uri" => IsUri(text),
        "hostname" => IsHostname(text),
        "email" => Email().IsMatch(text),
        "mac" => Mac().IsMatch(text),
        "uuid" or "uuid3" or "uuid4" or "uuid5" => IsUuid(format, text),
        "k8s-short-name" => KubernetesNames.IsLabel(text),
        "k8s-long-name" => KubernetesNames.IsSubdomain(text),
        _ => true,
    };

    /// <summary>Standard alphabet with padding; line breaks within are not allowed.</summary>
    public static bool IsBase64(string text) => text.AsSpan().IndexOfAny(" \t\r\n") < 0 && Base64.IsValid(text);

    private static bool IsDateTime(string text) =>
        Rfc3339().IsMatch(text) && DateTimeOffset.TryParse(text.ToUpperInvariant(), CultureInfo.InvariantCulture, DateTimeStyles.None, out _);

    private static bool IsCidr(string text)
    {
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        return slash > 0 && IPAddress.TryParse(text.AsSpan(0, slash), out IPAddress? address)
            && int.TryParse(text.AsSpan(slash + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int bits)
            && bits <= (address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork ? 32 : 128);
    }

    private static bool IsUri(string text) =>
        text.Length <= 65_536 && text.AsSpan().IndexOfAny(" \t\r\n") < 0
        && (text.StartsWith('/') || UriScheme().IsMatch(text) && Uri.TryCreate(text, UriKind.Absolute, out _));

    private static bool IsHostname(string text) => text.Length is > 0 and <= 255 && Hostname().IsMatch(text);

    private static bool IsUuid(string format, string text)
    {
        string hex = text.Replace("-", "", StringComparison.Ordinal);
        if (hex.Length != 32 || !Uuid().IsMatch(text))
            return false;
        return format switch
        {
            "uuid3" => hex[12] == '3',
            "uuid4" => hex[12] == '4' && "89abAB".Contains(hex[16]),
            "uuid5" => hex[12] == '5' && "89abAB".Contains(hex[16]),
            _ => true,
        };
    }

    [GeneratedRegex(@"\A\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})\z")]
    private static partial Regex Rfc3339();

    [GeneratedRegex(@"\A\d+\s*(ns|nanos?|nanosecs?|nanoseconds?|us|µs|micros?|microsecs?|microseconds?|ms|millis?|millisecs?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?)\z")]
    private static partial Regex WordDuration();

    [GeneratedRegex(@"\A[A-Za-z][A-Za-z0-9+.-]*:")]
    private static partial Regex UriScheme();

    [GeneratedRegex(@"\A[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,62}))*\.?\z", RegexOptions.NonBacktracking)]
    private static partial Regex Hostname();

    [GeneratedRegex(@"\A[^@\s<>]{1,256}@[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?\z", RegexOptions.NonBacktracking)]
    private static partial Regex Email();

    [GeneratedRegex(@"\A([0-9A-Fa-f]{2}([:-])([0-9A-Fa-f]{2}\2){4}[0-9A-Fa-f]{2})\z")]
    private static partial Regex Mac();

    [GeneratedRegex(@"\A[0-9A-Fa-f]{8}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{4}-?[0-9A-Fa-f]{12}\z")]
    private static partial Regex Uuid();
}

/// <summary>Durations in Go's syntax: <c>1h30m</c>, <c>-1.5s</c>, <c>100ms</c>.</summary>
internal static class GoDuration
{
    private const int MaxLength = 100;
    private static readonly SearchValues<char> Digits = SearchValues.Create("0123456789.");

    /// <summary>Range: what 64 bits of nanoseconds hold.</summary>
    public static bool TryParse(string text, out TimeSpan duration)
    {
        duration = default;
        ReadOnlySpan<char> rest = text;
        if (rest.Length is 0 or > MaxLength)
            return false;
        bool negative = rest[0] == '-';
        if (rest[0] is '-' or '+')
            rest = rest[1..];
        if (rest.SequenceEqual("0"))
            return true;

        decimal nanoseconds = 0;
        bool any = false;
        while (rest.Length > 0)
        {
            int digits = rest.IndexOfAnyExcept(Digits);
            if (digits <= 0 || digits > 20 || !decimal.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number))
                return false;
            rest = rest[digits..];
            (decimal unit, int length) = Unit(rest);
            if (length == 0)
                return false;
            nanoseconds += number * unit;
            rest = rest[length..];
            any = true;
            if (nanoseconds > long.MaxValue)
                return false;
        }

        duration = new TimeSpan((long)(nanoseconds / 100) * (negative ? -1 : 1));
        return any;
    }

    /// <summary>Go's text of a duration in seconds with <c>s</c> at the end, as CEL's string() yields.</summary>
    public static string Seconds(TimeSpan duration)
    {
        decimal seconds = (decimal)duration.Ticks / TimeSpan.TicksPerSecond;
        return seconds.ToString("0.#########", CultureInfo.InvariantCulture) + "s";
    }

    private static (decimal Nanoseconds, int Length) Unit(ReadOnlySpan<char> text)
    {
        if (text.StartsWith("ns"))
            return (1, 2);
        if (text.StartsWith("us") || text.StartsWith("µs") || text.StartsWith("μs"))
            return (1_000, 2);
        if (text.StartsWith("ms"))
            return (1_000_000, 2);
        if (text.StartsWith("s"))
            return (1_000_000_000, 1);
        if (text.StartsWith("m"))
            return (60_000_000_000, 1);
        return text.StartsWith("h") ? (3_600_000_000_000, 1) : (0, 0);
    }
}
