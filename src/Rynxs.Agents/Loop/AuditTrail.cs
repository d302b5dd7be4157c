using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Ledger;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;
using Rynxs.Policy.Approvals;
using Rynxs.Resources.Meta;

namespace Rynxs.Agents.Loop;

/// <summary>An agent's chain, as its loop writes to it: adds whose it is and in whose name, and turns free text into commitments.</summary>
internal sealed class AuditTrail(ILedgerChain chain, NamespacedName agent, string principal)
{
    /// <summary>Most bytes of a preview: 4 KiB.</summary>
    public const int MaxPreviewBytes = 4 * 1024;

    /// <summary>The chain itself, for reading.</summary>
    public ILedgerChain Chain => chain;

    /// <summary>The same trail in the name of somebody else.</summary>
    public AuditTrail InTheNameOf(string otherPrincipal) => new(chain, agent, otherPrincipal);

    /// <summary>Appends a payload with its texts. Durable when it returns.</summary>
    /// <exception cref="LedgerUnavailableException">Nothing was recorded: the caller must not act.</exception>
    public async Task AppendAsync(LedgerPayload payload, CancellationToken cancellationToken, params IReadOnlyList<RecordedText?> texts)
    {
        await chain.AppendAsync(
            new LedgerEntry
            {
                Payload = payload,
                AggregateId = agent.ToString(),
                Principal = principal,
                Blobs = [.. texts.OfType<RecordedText>().Select(text => text.Blob)],
            },
            cancellationToken);
    }

    /// <summary>Commits to a text by its preview and the hash of the whole.</summary>
    public static RecordedText Preview(string text) => Preview(text, "sha256", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text))));

    /// <summary>Commits to a call's arguments. <c>args_sha256</c> is that of the original (<see cref="ArgumentsDigest"/>), or over the raw text when it is no JSON.</summary>
    public static RecordedText Arguments(string rawArguments) => Preview(rawArguments, "args_sha256", ArgumentsHash(rawArguments));

    /// <summary>Keeps the bytes as they are (an inbox line): they are needed again after a restart. At most <see cref="LedgerLimits.MaxBlobBytes"/>.</summary>
    public static RecordedText Whole(ReadOnlyMemory<byte> content)
    {
        SideBlob blob = SideBlob.Create(content);
        return new RecordedText(new CommittedText(blob.Commitment.Value, content.Length), blob);
    }

    private static RecordedText Preview(string text, string hashName, string hash)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        string preview = Cut(text, bytes);
        int kept = Encoding.UTF8.GetByteCount(preview);
        var content = new JsonObject { ["preview"] = preview, [hashName] = hash };
        SideBlob blob = SideBlob.Create(JsonSerializer.SerializeToUtf8Bytes(content, Providers.JsonNodeContext.Default.JsonObject));
        return new RecordedText(new CommittedText(blob.Commitment.Value, bytes.Length, kept < bytes.Length ? bytes.Length - kept : null), blob);
    }

    private static string Cut(string text, byte[] bytes)
    {
        if (bytes.Length <= MaxPreviewBytes)
        {
            return text;
        }

        // Back to the first byte of the character that the cut falls into.
        int end = MaxPreviewBytes;
        while (end > 0 && (bytes[end] & 0xC0) == 0x80)
        {
            end--;
        }

        return Encoding.UTF8.GetString(bytes, 0, end);
    }

    private static string ArgumentsHash(string rawArguments)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(rawArguments, new JsonDocumentOptions { MaxDepth = 32, AllowDuplicateProperties = false });
            return ArgumentsDigest.Sha256Hex(document.RootElement);
        }
        catch (Exception noJson) when (noJson is JsonException or ArgumentException or InvalidOperationException)
        {
            return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(rawArguments)));
        }
    }
}

/// <summary>A text as a record holds it, and the blob behind it.</summary>
internal sealed record RecordedText(CommittedText Committed, SideBlob Blob);
