using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Agents.Durability;

namespace Rynxs.Agents.Inbox;

/// <summary>How far the inbox was read: everything before <see cref="Offset"/> is in the agent's chain.</summary>
internal sealed record InboxCursor
{
    /// <summary>Byte offset of the next line.</summary>
    public long Offset { get; init; }

    /// <summary>Lines read in all.</summary>
    public long Count { get; init; }

    /// <summary>How often the inbox turned out to be truncated or replaced.</summary>
    public int Generation { get; init; }

    /// <summary>SHA-256 of the up to <see cref="AnchorBytes"/> bytes before the offset; tells a replaced inbox from a grown one.</summary>
    public string Anchor { get; init; } = "";

    /// <summary>The line at the offset was too long, is recorded, and is skipped up to its newline.</summary>
    public bool SkippingLine { get; init; }

    /// <summary>How much of the past is compared: 256 bytes.</summary>
    public const int AnchorBytes = 256;

    /// <summary>Loads a cursor; a missing or unreadable one starts from the beginning (ids make repeated lines harmless).</summary>
    public static InboxCursor Load(string path)
    {
        try
        {
            InboxCursor cursor = JsonSerializer.Deserialize(File.ReadAllBytes(path), InboxCursorContext.Default.InboxCursor) ?? new InboxCursor();
            return cursor is { Offset: >= 0, Count: >= 0, Generation: >= 0 } ? cursor : new InboxCursor();
        }
        catch (Exception missing) when (missing is FileNotFoundException or DirectoryNotFoundException or JsonException)
        {
            return new InboxCursor();
        }
    }

    /// <summary>Durable when it returns.</summary>
    public void Save(string path) => DurableFile.Replace(path, JsonSerializer.SerializeToUtf8Bytes(this, InboxCursorContext.Default.InboxCursor));

    /// <summary>Digest of what lies before an offset.</summary>
    public static string AnchorOf(ReadOnlySpan<byte> before) => Convert.ToHexStringLower(SHA256.HashData(before));
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower)]
[JsonSerializable(typeof(InboxCursor))]
internal sealed partial class InboxCursorContext : JsonSerializerContext;
