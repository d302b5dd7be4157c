using System.Text;
using System.Text.Json;

namespace Rynxs.Ledger.Blobs;

/// <summary>One line of a side-blob file: <c>{"commitment":…,"content":BASE64,"salt":BASE64}</c> and a newline, canonical JSON.</summary>
internal sealed record BlobLine(Commitment Commitment, byte[] Line)
{
    /// <summary>Longest line, its newline included.</summary>
    public const int MaxBytes = (LedgerLimits.MaxBlobBytes + 2) / 3 * 4 + 256;

    public static BlobLine Of(SideBlob blob)
    {
        string line = Prefix(blob.Commitment) + "\",\"content\":\"" + Convert.ToBase64String(blob.Content.Span)
            + "\",\"salt\":\"" + Convert.ToBase64String(blob.Salt.Span) + "\"}\n";
        return new BlobLine(blob.Commitment, Encoding.ASCII.GetBytes(line));
    }

    /// <summary>The commitment that a line states, unchecked; null when it does not begin like a side-blob line.</summary>
    public static Commitment? CommitmentOf(ReadOnlySpan<byte> line)
    {
        ReadOnlySpan<byte> start = "{\"commitment\":\""u8;
        const int TextLength = 71; // sha256: and 64 digits.
        return line.StartsWith(start) && line.Length > start.Length + TextLength
            ? new Commitment(Encoding.ASCII.GetString(line.Slice(start.Length, TextLength)))
            : null;
    }

    /// <summary>How the line of a commitment begins, up to before the closing quote.</summary>
    public static string Prefix(Commitment commitment) => "{\"commitment\":\"" + commitment.Value;

    /// <summary>Reads a line back; null when it is not a side-blob line. The commitment of the result is computed from its content.</summary>
    public static SideBlob? TryParse(ReadOnlyMemory<byte> line)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement root = document.RootElement;
            return root.ValueKind == JsonValueKind.Object
                && root.TryGetProperty("content"u8, out JsonElement content) && content.ValueKind == JsonValueKind.String
                && content.TryGetBytesFromBase64(out byte[]? bytes) && bytes.Length <= LedgerLimits.MaxBlobBytes
                && root.TryGetProperty("salt"u8, out JsonElement salt) && salt.ValueKind == JsonValueKind.String
                && salt.TryGetBytesFromBase64(out byte[]? saltBytes) && saltBytes.Length == SideBlob.SaltBytes
                ? SideBlob.Open(saltBytes, bytes)
                : null;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
