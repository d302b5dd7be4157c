using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Checkpoints;

/// <summary>
/// A signed state of the original's reducer at one record: what the original calls a checkpoint (docs/formats/ledger.md, "Rynxs
/// checkpoints"). Not the tree's checkpoint, which is a C2SP note.
/// </summary>
/// <remarks>
/// The signature covers <see cref="SignedBytes"/>: not the state itself, which is bound by <see cref="StateHash"/>, and not
/// <see cref="Meta"/>, which proves nothing.
/// </remarks>
public sealed record RynxsCheckpoint
{
    /// <summary>Largest file that is read: 256 MiB.</summary>
    public const int MaxFileBytes = 256 * 1024 * 1024;

    private static readonly JsonWriterOptions Indented = new() { Indented = true, IndentSize = 2 };

    /// <summary>The format: 1.</summary>
    public int Version { get; init; } = 1;

    /// <summary>Sequence of the last record in the state.</summary>
    public required long EventIndex { get; init; }

    /// <summary>Its hash.</summary>
    public required string EventHash { get; init; }

    /// <summary>SHA-256 of <see cref="StateBytes"/>, lowercase hexadecimal.</summary>
    public required string StateHash { get; init; }

    /// <summary>The canonical state.</summary>
    public required ReadOnlyMemory<byte> StateBytes { get; init; }

    /// <summary>Logical time; ours is <see cref="EventIndex"/> + 1.</summary>
    public required long CreatedAtLogical { get; init; }

    /// <summary>First 16 hexadecimal digits of SHA-256 over the public key's PEM text.</summary>
    public required string PubkeyId { get; init; }

    /// <summary>Ed25519, 64 bytes.</summary>
    public required ReadOnlyMemory<byte> Signature { get; init; }

    /// <summary>Texts that are not signed. Untrusted.</summary>
    public IReadOnlyDictionary<string, string> Meta { get; init; } = new Dictionary<string, string>();

    /// <summary><c>cp_INDEX_HASH.json</c>, with the first 8 digits of the record's hash.</summary>
    public string FileName => string.Create(CultureInfo.InvariantCulture, $"cp_{EventIndex}_{EventHash[..8]}.json");

    /// <summary>What is signed: canonical JSON of six fields.</summary>
    public byte[] SignedBytes => Encoding.UTF8.GetBytes(string.Create(
        CultureInfo.InvariantCulture,
        $"{{\"created_at_logical\":{CreatedAtLogical},\"event_hash\":\"{EventHash}\",\"event_index\":{EventIndex},\"pubkey_id\":\"{PubkeyId}\",\"state_hash\":\"{StateHash}\",\"version\":{Version}}}"));

    /// <summary>Signs the state that a replay came to.</summary>
    /// <exception cref="InvalidOperationException">Nothing was replayed.</exception>
    public static RynxsCheckpoint Create(ReplayResult replay, SigningKey key)
    {
        ArgumentNullException.ThrowIfNull(replay);
        ArgumentNullException.ThrowIfNull(key);
        if (replay.Last.Seq < 0)
        {
            throw new InvalidOperationException("The log is empty: there is no record that a checkpoint could name.");
        }

        byte[] state = replay.Universe.ToCanonical();
        var unsigned = new RynxsCheckpoint
        {
            EventIndex = replay.Last.Seq,
            EventHash = replay.Last.EventHash,
            StateHash = Convert.ToHexStringLower(SHA256.HashData(state)),
            StateBytes = state,
            CreatedAtLogical = replay.Last.Seq + 1,
            PubkeyId = PubkeyIdOf(key.ToPublicPem()),
            Signature = default,
        };
        return unsigned with { Signature = key.Sign(unsigned.SignedBytes) };
    }

    /// <summary>Id of a public key, from its PEM text with its newlines.</summary>
    public static string PubkeyIdOf(string publicPem) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(publicPem)))[..16];

    /// <summary>The file: JSON with an indent of 2.</summary>
    public byte[] ToFile()
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, Indented))
        {
            writer.WriteStartObject();
            writer.WriteNumber("version", Version);
            writer.WriteNumber("event_index", EventIndex);
            writer.WriteString("event_hash", EventHash);
            writer.WriteString("state_hash", StateHash);
            writer.WriteBase64String("state_bytes", StateBytes.Span);
            writer.WriteNumber("created_at_logical", CreatedAtLogical);
            writer.WriteString("pubkey_id", PubkeyId);
            writer.WriteBase64String("signature", Signature.Span);
            writer.WriteStartObject("meta");
            foreach ((string key, string value) in Meta)
            {
                writer.WriteString(key, value);
            }

            writer.WriteEndObject();
            writer.WriteEndObject();
        }

        return buffer.ToArray();
    }

    /// <summary>Reads a checkpoint's file. Says nothing about whether it is true: that is <see cref="CheckpointVerification"/>.</summary>
    /// <exception cref="FormatException">It is not a checkpoint; the message begins with the field.</exception>
    public static RynxsCheckpoint Parse(ReadOnlyMemory<byte> file)
    {
        if (file.Length > MaxFileBytes)
        {
            throw new FormatException($"A checkpoint has at most {MaxFileBytes} bytes.");
        }

        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(file, new JsonDocumentOptions { MaxDepth = 8 });
        }
        catch (JsonException)
        {
            throw new FormatException("The checkpoint is not JSON.");
        }

        using (document)
        {
            try
            {
                return Read(document.RootElement);
            }
            catch (InvalidOperationException)
            {
                // The tokeniser looks at a text's bytes only when they are asked for.
                throw new FormatException("The checkpoint has a text that is not UTF-8.");
            }
        }
    }

    private static RynxsCheckpoint Read(JsonElement root)
    {
        if (root.ValueKind != JsonValueKind.Object)
        {
            throw new FormatException("The checkpoint is not a JSON object.");
        }

        long version = Number(root, "version");
        return version != 1 ? throw new FormatException($"version: {version} is not 1, the only version that is known.") : new RynxsCheckpoint
        {
            EventIndex = Number(root, "event_index"),
            EventHash = Hex(root, "event_hash", 64),
            StateHash = Hex(root, "state_hash", 64),
            StateBytes = Base64(root, "state_bytes"),
            CreatedAtLogical = Number(root, "created_at_logical"),
            PubkeyId = Hex(root, "pubkey_id", 16),
            Signature = Base64(root, "signature"),
            Meta = Texts(root),
        };
    }

    private static JsonElement Field(JsonElement root, string name) =>
        root.TryGetProperty(name, out JsonElement value) ? value : throw new FormatException($"{name}: the checkpoint has no such field.");

    private static long Number(JsonElement root, string name) =>
        Field(root, name) is { ValueKind: JsonValueKind.Number } value && value.TryGetInt64(out long number) && number >= 0
            ? number
            : throw new FormatException($"{name}: not a whole number from 0 on.");

    private static string Hex(JsonElement root, string name, int length) =>
        Field(root, name) is { ValueKind: JsonValueKind.String } value && value.GetString() is { } text
            && text.Length == length && text.All(char.IsAsciiHexDigitLower)
            ? text
            : throw new FormatException($"{name}: not {length} lowercase hexadecimal digits.");

    private static byte[] Base64(JsonElement root, string name) =>
        Field(root, name) is { ValueKind: JsonValueKind.String } value && value.TryGetBytesFromBase64(out byte[]? bytes)
            ? bytes
            : throw new FormatException($"{name}: not base64.");

    private static Dictionary<string, string> Texts(JsonElement root)
    {
        var texts = new Dictionary<string, string>(StringComparer.Ordinal);
        if (root.TryGetProperty("meta", out JsonElement meta) && meta.ValueKind == JsonValueKind.Object)
        {
            foreach (JsonProperty property in meta.EnumerateObject())
            {
                texts[property.Name] = property.Value.ValueKind == JsonValueKind.String ? property.Value.GetString() ?? "" : property.Value.GetRawText();
            }
        }

        return texts;
    }
}
