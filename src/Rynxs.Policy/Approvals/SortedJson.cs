using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Rynxs.Policy.Approvals;

/// <summary>JSON text with keys sorted by UTF-8 bytes, for hashing: one text for one value, however it was written.</summary>
internal sealed class SortedJson(string itemSeparator, string keySeparator)
{
    private readonly StringBuilder _text = new();

    public SortedJson Append(string raw)
    {
        _text.Append(raw);
        return this;
    }

    public SortedJson AppendString(string value)
    {
        WriteString(_text, value);
        return this;
    }

    /// <exception cref="ArgumentException">An object holds a key twice, or a text has no UTF-8 form.</exception>
    public SortedJson AppendValue(JsonElement value)
    {
        Write(_text, value);
        return this;
    }

    public string Sha256Hex() => Convert.ToHexStringLower(SHA256.HashData(StrictUtf8.GetBytes(_text.ToString())));

    // Lone surrogates have no UTF-8 form; replacing them would give two texts one hash.
    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private void Write(StringBuilder text, JsonElement value)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                WriteObject(text, value);
                break;
            case JsonValueKind.Array:
                text.Append('[');
                string separator = "";
                foreach (JsonElement item in value.EnumerateArray())
                {
                    text.Append(separator);
                    Write(text, item);
                    separator = itemSeparator;
                }

                text.Append(']');
                break;
            case JsonValueKind.String:
                WriteString(text, value.GetString() ?? "");
                break;
            default:
                text.Append(value.GetRawText());
                break;
        }
    }

    private void WriteObject(StringBuilder text, JsonElement value)
    {
        JsonProperty[] properties = [.. value.EnumerateObject()];
        Array.Sort(properties, (a, b) => CompareUtf8(a.Name, b.Name));
        text.Append('{');
        for (int i = 0; i < properties.Length; i++)
        {
            if (i > 0)
            {
                if (properties[i].Name == properties[i - 1].Name)
                {
                    throw new ArgumentException($"The key '{properties[i].Name}' is there twice.", nameof(value));
                }

                text.Append(itemSeparator);
            }

            WriteString(text, properties[i].Name);
            text.Append(keySeparator);
            Write(text, properties[i].Value);
        }

        text.Append('}');
    }

    private static int CompareUtf8(string a, string b) =>
        StrictUtf8.GetBytes(a).AsSpan().SequenceCompareTo(StrictUtf8.GetBytes(b));

    private static readonly SearchValues<char> Escaped = SearchValues.Create(
        "\"\\\u0000\u0001\u0002\u0003\u0004\u0005\u0006\u0007\b\t\n\u000b\f\r\u000e\u000f\u0010\u0011\u0012\u0013\u0014\u0015\u0016\u0017\u0018\u0019\u001a\u001b\u001c\u001d\u001e\u001f");

    private static void WriteString(StringBuilder text, string value)
    {
        text.Append('"');
        ReadOnlySpan<char> rest = value;
        int next;
        while ((next = rest.IndexOfAny(Escaped)) >= 0)
        {
            text.Append(rest[..next]);
            text.Append(rest[next] switch
            {
                '"' => "\\\"",
                '\\' => "\\\\",
                '\b' => "\\b",
                '\f' => "\\f",
                '\n' => "\\n",
                '\r' => "\\r",
                '\t' => "\\t",
                char control => $"\\u{(int)control:x4}",
            });
            rest = rest[(next + 1)..];
        }

        text.Append(rest).Append('"');
    }
}
