using System.Text;

namespace Rynxs.Gateway.Credentials;

/// <summary>
/// Replaces credentials in what an upstream answers, so that a host which echoes its request does not hand them to the sandbox (D2). It finds a value as
/// it is, in the escapes that JSON writers use, percent-encoded, and in base64 in each of the three alignments; requests with a
/// credential ask for no compression (<c>Accept-Encoding: identity</c>). A host that writes a value in a way of its own on purpose defeats it: whoever is given a
/// credential is trusted with it.
/// </summary>
/// <remarks>One scrubber serves one answer: it keeps the bytes that could be the beginning of a value until the next bytes tell.</remarks>
public sealed class ResponseScrubber
{
    private static readonly System.Text.RegularExpressions.Regex EscapeDigits =
        new(@"\\u[0-9A-F]{4}", System.Text.RegularExpressions.RegexOptions.NonBacktracking);

    private static readonly byte[] Mark = "[credential]"u8.ToArray();

    private readonly byte[][] _needles;
    private readonly int _longest;
    private byte[] _kept = [];

    /// <summary>Makes a scrubber for some values, at least 8 characters each: shorter ones would be found by chance and are refused as credentials.</summary>
    public ResponseScrubber(IEnumerable<string> values)
    {
        ArgumentNullException.ThrowIfNull(values);
        _needles = [.. values.SelectMany(Forms).Distinct(StringComparer.Ordinal).Where(form => form.Length >= MinLength).Select(Encoding.UTF8.GetBytes).OrderByDescending(form => form.Length)];
        _longest = _needles.Length == 0 ? 0 : _needles[0].Length;
    }

    /// <summary>Shortest value of a credential that can be scrubbed: 8 characters.</summary>
    public const int MinLength = 8;

    /// <summary>How many were replaced.</summary>
    public int Replacements { get; private set; }

    /// <summary>Scrubs the next bytes. What could be the beginning of a value is kept back.</summary>
    public ReadOnlyMemory<byte> Next(ReadOnlyMemory<byte> bytes)
    {
        if (_longest == 0)
        {
            return bytes;
        }

        ReadOnlyMemory<byte> all = _kept.Length == 0 ? bytes : Join(_kept, bytes.Span);
        _kept = [];
        all = Replace(all);
        int keep = UndecidedTail(all.Span);
        if (keep > 0)
        {
            _kept = all[^keep..].ToArray();
            all = all[..^keep];
        }

        return all;
    }

    /// <summary>What was kept back at the end of the answer.</summary>
    public ReadOnlyMemory<byte> End()
    {
        byte[] rest = _kept;
        _kept = [];
        return rest;
    }

    /// <summary>A whole text, such as a header.</summary>
    public string Text(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (_longest == 0)
        {
            return text;
        }

        return Encoding.UTF8.GetString(Replace(Encoding.UTF8.GetBytes(text)).Span);
    }

    private static IEnumerable<string> Forms(string value)
    {
        yield return value;
        yield return value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);
        yield return value.Replace("/", "\\/", StringComparison.Ordinal);
        string escaped = System.Text.Encodings.Web.JavaScriptEncoder.Default.Encode(value);
        yield return escaped;
        yield return EscapeDigits.Replace(escaped, digits => digits.Value.ToLowerInvariant());
        yield return Uri.EscapeDataString(value);
        byte[] bytes = Encoding.UTF8.GetBytes(value);
        for (int shift = 0; shift < 3; shift++)
        {
            // The middle of the base64 of any text that holds the value at this alignment: the edges depend on the neighbours.
            byte[] padded = new byte[shift + bytes.Length];
            bytes.CopyTo(padded, shift);
            string encoded = Convert.ToBase64String(padded).TrimEnd('=');
            int start = shift == 0 ? 0 : shift + 1;
            int end = (padded.Length * 8 / 6) - start;
            if (end >= MinLength)
            {
                string middle = encoded.Substring(start, end);
                yield return middle;
                yield return middle.Replace('+', '-').Replace('/', '_');
            }
        }
    }

    private static byte[] Join(byte[] first, ReadOnlySpan<byte> second)
    {
        byte[] all = new byte[first.Length + second.Length];
        first.CopyTo(all, 0);
        second.CopyTo(all.AsSpan(first.Length));
        return all;
    }

    private ReadOnlyMemory<byte> Replace(ReadOnlyMemory<byte> bytes)
    {
        foreach (byte[] needle in _needles)
        {
            if (bytes.Span.IndexOf(needle) < 0)
            {
                continue;
            }

            using MemoryStream replaced = new(bytes.Length);
            ReadOnlySpan<byte> rest = bytes.Span;
            int at;
            while ((at = rest.IndexOf(needle)) >= 0)
            {
                replaced.Write(rest[..at]);
                replaced.Write(Mark);
                rest = rest[(at + needle.Length)..];
                Replacements++;
            }

            replaced.Write(rest);
            bytes = replaced.ToArray();
        }

        return bytes;
    }

    /// <summary>Length of the longest tail that is the beginning of a value.</summary>
    private int UndecidedTail(ReadOnlySpan<byte> bytes)
    {
        for (int length = Math.Min(_longest - 1, bytes.Length); length > 0; length--)
        {
            ReadOnlySpan<byte> tail = bytes[^length..];
            foreach (byte[] needle in _needles)
            {
                if (needle.Length > length && tail.SequenceEqual(needle.AsSpan(0, length)))
                {
                    return length;
                }
            }
        }

        return 0;
    }
}
