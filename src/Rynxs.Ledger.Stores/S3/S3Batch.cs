using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Rynxs.Ledger.Stores.S3;

/// <summary>
/// One object of a chain: a header line and the records' lines. The header is no evidence (the records are); its random key tells a writer,
/// after a time-out, that the object which is there is its own.
/// </summary>
/// <param name="Format"><c>rynxs-batch-1</c>.</param>
/// <param name="Key">128 random bits, hexadecimal: the idempotency key of the write.</param>
/// <param name="FirstSeq">Sequence of the first record.</param>
/// <param name="Count">Number of records.</param>
/// <param name="Epoch">Epoch of the writer.</param>
internal sealed record S3BatchHeader(string Format, string Key, long FirstSeq, int Count, long Epoch)
{
    public const string Version1 = "rynxs-batch-1";

    private const int MaxBytes = 512;

    public static S3BatchHeader Of(long firstSeq, int count, long epoch) =>
        new(Version1, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)), firstSeq, count, epoch);

    /// <summary>The whole object.</summary>
    public byte[] Wrap(ReadOnlySpan<byte> lines)
    {
        byte[] header = JsonSerializer.SerializeToUtf8Bytes(this, S3Json.Default.S3BatchHeader);
        byte[] content = new byte[header.Length + 1 + lines.Length];
        header.CopyTo(content, 0);
        content[header.Length] = (byte)'\n';
        lines.CopyTo(content.AsSpan(header.Length + 1));
        return content;
    }

    /// <summary>Cuts an object into header and lines.</summary>
    /// <exception cref="LedgerCorruptException">It is no batch, or not the one that its key says.</exception>
    public static (S3BatchHeader Header, ReadOnlyMemory<byte> Lines) Unwrap(ReadOnlyMemory<byte> content, string key, long firstSeq)
    {
        int end = content.Span[..Math.Min(content.Length, MaxBytes)].IndexOf((byte)'\n');
        S3BatchHeader? header = null;
        try
        {
            header = end < 0 ? null : JsonSerializer.Deserialize(content.Span[..end], S3Json.Default.S3BatchHeader);
        }
        catch (JsonException)
        {
            // Reported below.
        }

        return header is { Format: Version1, Count: > 0 } && header.FirstSeq == firstSeq
            ? (header, content[(end + 1)..])
            : throw new LedgerCorruptException(
                string.Create(CultureInfo.InvariantCulture, $"{key} is not a batch of records that begins with sequence {firstSeq}."), key, firstSeq, Version1,
                end < 0 ? null : Encoding.UTF8.GetString(content.Span[..end]));
    }
}

/// <summary>The head object: where the search for the end of the chain may begin. Everything in it is verified against the batch that it names.</summary>
internal sealed record S3Head(string Format, long FirstSeq, long Seq, string EventHash)
{
    public const string Version1 = "rynxs-head-1";
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(S3BatchHeader))]
[JsonSerializable(typeof(S3Head))]
internal sealed partial class S3Json : JsonSerializerContext;
