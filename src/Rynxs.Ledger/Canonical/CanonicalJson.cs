using System.Buffers;
using System.Security.Cryptography;
using System.Text.Json;

namespace Rynxs.Ledger.Canonical;

/// <summary>
/// The canonical JSON of the Rynxs record format (docs/formats/ledger.md, section "Canonical JSON"): keys sorted by Unicode code point,
/// no whitespace, UTF-8 with only <c>"</c>, <c>\</c> and U+0000..U+001F escaped, integers of any size printed exactly.
/// </summary>
public static class CanonicalJson
{
    /// <summary>The canonical bytes of a value.</summary>
    /// <exception cref="ArgumentException">
    /// The value has no canonical form that we write: it holds a number with a fraction or an exponent, a lone surrogate, invalid UTF-8 or
    /// a repeated key, or nests deeper than <see cref="LedgerLimits.MaxDepth"/>.
    /// </exception>
    public static byte[] Serialize(JsonElement value)
    {
        var output = new ArrayBufferWriter<byte>();
        WriteForAppend(value, output);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>Lowercase hexadecimal SHA-256 of the canonical bytes.</summary>
    /// <exception cref="ArgumentException">As for <see cref="Serialize"/>.</exception>
    public static string Sha256Hex(JsonElement value)
    {
        var output = new ArrayBufferWriter<byte>();
        WriteForAppend(value, output);
        return Convert.ToHexStringLower(SHA256.HashData(output.WrittenSpan));
    }

    /// <summary>Writes a value under the rules for new records (no floats).</summary>
    internal static void WriteForAppend(JsonElement value, ArrayBufferWriter<byte> output)
    {
        try
        {
            new CanonicalWriter(output, allowFloats: false).Write(value);
        }
        catch (NonCanonicalException exception)
        {
            throw new ArgumentException(exception.Message, nameof(value), exception);
        }
    }
}
