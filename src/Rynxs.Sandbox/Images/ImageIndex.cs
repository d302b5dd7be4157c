using System.Text.Json;
using System.Text.Json.Serialization;

namespace Rynxs.Sandbox.Images;

/// <summary>The store's file <c>index.json</c>: image name to digest. Replaced whole by rename, so readers need no lock.</summary>
internal sealed record ImageIndex
{
    public int Version { get; init; } = 1;
    public SortedDictionary<string, ImageIndexEntry> Images { get; init; } = new(StringComparer.Ordinal);

    public static ImageIndex Read(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            const int largest = 1024 * 1024;
            if (file.Length > largest)
            {
                throw new ImageException("store_corrupt", $"{path} is larger than {largest} bytes.");
            }

            ImageIndex index = JsonSerializer.Deserialize(file, ImageIndexJson.Default.ImageIndex) ?? new ImageIndex();
            return index is { Version: 1 } && index.Images.Values.All(entry => IsDigest(entry.Digest))
                ? index
                : throw new ImageException("store_corrupt", $"{path} has an unknown version or a digest that is not sha256.");
        }
        catch (Exception missing) when (missing is FileNotFoundException or DirectoryNotFoundException)
        {
            return new ImageIndex();
        }
        catch (JsonException broken)
        {
            throw new ImageException("store_corrupt", $"{path} is not valid JSON: {broken.Message}", broken);
        }
    }

    public void Write(string path)
    {
        string temporary = path + ".new";
        using (var file = new FileStream(temporary, FileMode.Create, FileAccess.Write))
        {
            JsonSerializer.Serialize(file, this, ImageIndexJson.Default.ImageIndex);
            file.Flush(flushToDisk: true);
        }

        File.Move(temporary, path, overwrite: true);
    }

    /// <summary>A digest names a file, so it must be nothing but hexadecimal.</summary>
    private static bool IsDigest(string digest) =>
        digest.Length == 71 && digest.StartsWith("sha256:", StringComparison.Ordinal) && digest[7..].All(char.IsAsciiHexDigitLower);
}

internal sealed record ImageIndexEntry(string Digest, long Bytes, DateTimeOffset Built);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(ImageIndex))]
internal sealed partial class ImageIndexJson : JsonSerializerContext;
