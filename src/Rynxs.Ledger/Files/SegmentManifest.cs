using System.Buffers;
using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Chains;

namespace Rynxs.Ledger.Files;

/// <summary>
/// <c>manifest.json</c> of a chain's directory: its sealed segments, each with the heads before and after it, and what was pruned. It adds no
/// trust (who can write the segments can write it); it tells what ought to be there, and where a chain begins whose beginning was archived.
/// </summary>
internal sealed record SegmentManifest
{
    public const string FileName = "manifest.json";

    /// <summary>A manifest is read only up to this size, 64 MiB: about 250,000 segments.</summary>
    private const int MaxBytes = 64 * 1024 * 1024;

    public string Format { get; init; } = "rynxs-manifest-1";

    /// <summary>What lies before the first segment; null when that is sequence 0.</summary>
    public PrunedPart? Pruned { get; init; }

    /// <summary>Sealed segments in order. The live one is not among them.</summary>
    public IReadOnlyList<SealedSegment> Segments { get; init; } = [];

    /// <summary>Where the first segment must begin.</summary>
    public ChainPosition Start => Pruned is null ? new ChainPosition() : ChainPosition.Before(Pruned.BeforeSeq, Pruned.HeadHash, Pruned.Epoch);

    /// <summary>Reads a directory's manifest; an empty one when there is none.</summary>
    /// <exception cref="LedgerCorruptException">It is there and cannot be understood: then it is not known where the chain begins.</exception>
    public static SegmentManifest Read(string directory)
    {
        string path = Path.Combine(directory, FileName);
        var file = new FileInfo(path);
        if (!file.Exists)
        {
            return new SegmentManifest();
        }

        try
        {
            SegmentManifest? manifest = file.Length <= MaxBytes
                ? JsonSerializer.Deserialize(File.ReadAllBytes(path), ManifestJson.Default.SegmentManifest)
                : null;
            if (manifest is { Format: "rynxs-manifest-1", Pruned: null or { BeforeSeq: > 0, HeadHash.Length: 64 } })
            {
                return manifest;
            }
        }
        catch (JsonException)
        {
            // Falls through: the same answer as for a wrong format.
        }

        throw new LedgerCorruptException($"{path} is not a manifest that this version reads.", path, -1, "rynxs-manifest-1", null);
    }

    /// <summary>Replaces the directory's manifest, durably.</summary>
    public void Write(string directory) =>
        LedgerFile.Replace(Path.Combine(directory, FileName), Canonical(JsonSerializer.SerializeToElement(this, ManifestJson.Default.SegmentManifest)));

    private static ReadOnlySpan<byte> Canonical(JsonElement value)
    {
        var text = new ArrayBufferWriter<byte>();
        new CanonicalWriter(text, allowFloats: false).Write(value);
        text.Write("\n"u8);
        return text.WrittenSpan;
    }
}

/// <summary>A segment that is not written to any more.</summary>
/// <param name="File">Name in the chain's directory.</param>
/// <param name="FirstSeq">Sequence of its first record.</param>
/// <param name="LastSeq">Sequence of its last record.</param>
/// <param name="PrevHash">Hash of the record before its first.</param>
/// <param name="HeadHash">Hash of its last record.</param>
/// <param name="Bytes">Its length.</param>
internal sealed record SealedSegment(string File, long FirstSeq, long LastSeq, string PrevHash, string HeadHash, long Bytes);

/// <summary>The part of a chain that is in an archive.</summary>
/// <param name="BeforeSeq">Sequence of the first record that is still here.</param>
/// <param name="HeadHash">Hash of the last record that is not: the <c>prev_hash</c> of the first that is.</param>
/// <param name="Epoch">Highest epoch in the pruned part.</param>
internal sealed record PrunedPart(long BeforeSeq, string HeadHash, long Epoch);

/// <summary>
/// <c>verified.json</c>: which files this ledger has verified (or written) itself, and what the kernel said of them then. A cache: without it the
/// whole chain is verified at opening.
/// </summary>
internal sealed record VerifiedFiles(IReadOnlyList<VerifiedFile> Files)
{
    public const string FileName = "verified.json";

    public static IReadOnlyDictionary<string, VerifiedFile> Read(string directory)
    {
        try
        {
            string path = Path.Combine(directory, FileName);
            VerifiedFiles? cache = System.IO.File.Exists(path) && new FileInfo(path).Length < 64 * 1024 * 1024
                ? JsonSerializer.Deserialize(System.IO.File.ReadAllBytes(path), ManifestJson.Default.VerifiedFiles)
                : null;
            return cache?.Files?.DistinctBy(file => file.File).ToDictionary(file => file.File, StringComparer.Ordinal) ?? [];
        }
        catch (JsonException)
        {
            return new Dictionary<string, VerifiedFile>();
        }
    }

    /// <summary>Replaces the cache. Not synced: after a power failure it may be missing or empty, and then counts for nothing.</summary>
    public void Write(string directory)
    {
        string path = Path.Combine(directory, FileName);
        System.IO.File.WriteAllBytes(path + ".draft", JsonSerializer.SerializeToUtf8Bytes(this, ManifestJson.Default.VerifiedFiles));
        System.IO.File.Move(path + ".draft", path, overwrite: true);
    }
}

/// <summary>A segment as it was when all of it was known to be good.</summary>
internal sealed record VerifiedFile(string File, FileIdentity Identity, long FirstSeq, string PrevHash, long LastSeq, string HeadHash, long Epoch);

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(SegmentManifest))]
[JsonSerializable(typeof(VerifiedFiles))]
internal sealed partial class ManifestJson : JsonSerializerContext;
