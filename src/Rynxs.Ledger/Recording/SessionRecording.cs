using System.Security.Cryptography;
using System.Text.Json;

namespace Rynxs.Ledger.Recording;

/// <summary>A piece of recorded output.</summary>
/// <param name="At">Since the start.</param>
/// <param name="Text">What was written. It comes from a sandbox: never send it to a terminal as it is.</param>
public sealed record RecordedPiece(TimeSpan At, string Text);

/// <summary>An asciicast v2 file, read back.</summary>
public static class SessionRecording
{
    /// <summary>Largest file that is read: 64 MiB.</summary>
    public const long MaxBytes = 64L * 1024 * 1024;

    private const int MaxLines = 1_000_000;

    /// <summary>SHA-256 and length of a file.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static (string Sha256, long Bytes) Fingerprint(string path)
    {
        using FileStream file = File.OpenRead(path);
        return (Convert.ToHexStringLower(SHA256.HashData(file)), file.Length);
    }

    /// <summary>The output in order.</summary>
    /// <exception cref="FormatException">It is not an asciicast v2 file, or larger than <see cref="MaxBytes"/>.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static IReadOnlyList<RecordedPiece> Read(string path)
    {
        using FileStream file = File.OpenRead(path);
        if (file.Length > MaxBytes)
        {
            throw new FormatException($"The recording has more than {MaxBytes} bytes.");
        }

        byte[] content = new byte[file.Length];
        file.ReadExactly(content);
        return Parse(content);
    }

    /// <summary>The output in order.</summary>
    /// <exception cref="FormatException">The bytes are no asciicast v2.</exception>
    public static IReadOnlyList<RecordedPiece> Parse(ReadOnlyMemory<byte> content)
    {
        var pieces = new List<RecordedPiece>();
        bool header = true;
        int number = 0;
        while (content.Length > 0)
        {
            int end = content.Span.IndexOf((byte)'\n');
            ReadOnlyMemory<byte> line = end < 0 ? content : content[..end];
            content = end < 0 ? default : content[(end + 1)..];
            if (++number > MaxLines)
            {
                throw new FormatException($"The recording has more than {MaxLines} lines.");
            }

            if (header)
            {
                RequireHeader(line);
                header = false;
            }
            else if (line.Length > 0 && ReadPiece(line, number) is { } piece)
            {
                pieces.Add(piece);
            }
        }

        return header ? throw new FormatException("The recording is empty.") : pieces;
    }

    private static void RequireHeader(ReadOnlyMemory<byte> line)
    {
        using JsonDocument document = Json(line, 1);
        if (document.RootElement.ValueKind != JsonValueKind.Object || !document.RootElement.TryGetProperty("version", out JsonElement version)
            || version.ValueKind != JsonValueKind.Number || !version.TryGetInt32(out int number) || number != 2)
        {
            throw new FormatException("Line 1 is not the header of an asciicast of version 2.");
        }
    }

    /// <summary>A piece of output; null for events of other kinds (input, resize, markers), which have nothing to show.</summary>
    private static RecordedPiece? ReadPiece(ReadOnlyMemory<byte> line, int number)
    {
        using JsonDocument document = Json(line, number);
        JsonElement root = document.RootElement;
        if (root.ValueKind != JsonValueKind.Array || root.GetArrayLength() != 3 || root[0].ValueKind != JsonValueKind.Number
            || !root[0].TryGetDouble(out double seconds) || seconds is not (>= 0 and < 10_000_000)
            || root[1].ValueKind != JsonValueKind.String || root[2].ValueKind != JsonValueKind.String)
        {
            throw new FormatException($"Line {number} is not an event of an asciicast.");
        }

        try
        {
            return root[1].ValueEquals("o") ? new RecordedPiece(TimeSpan.FromSeconds(seconds), root[2].GetString() ?? "") : null;
        }
        catch (InvalidOperationException)
        {
            throw new FormatException($"Line {number} has a text that is no UTF-8.");
        }
    }

    private static JsonDocument Json(ReadOnlyMemory<byte> line, int number)
    {
        try
        {
            return JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = 8 });
        }
        catch (JsonException)
        {
            throw new FormatException($"Line {number} is not JSON.");
        }
    }
}
