using System.Globalization;
using System.Text.Json;

namespace Rynxs.Ledger.Verifier;

/// <summary>A ledger, a chain or a lone log in the file system. Takes no lock and changes nothing.</summary>
public sealed class FileLedgerSource : LedgerSource
{
    private const string SegmentPrefix = "records-";
    private const string SegmentSuffix = ".jsonl";

    private const int MaxManifestBytes = 64 * 1024 * 1024;

    private readonly string _path;

    /// <summary>Reads a JSONL log, a chain's directory, a ledger's directory, or a state directory with a <c>ledger</c> in it.</summary>
    /// <exception cref="FileNotFoundException">There is nothing at the path.</exception>
    public FileLedgerSource(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (!File.Exists(path) && !Directory.Exists(path))
        {
            throw new FileNotFoundException($"There is no file or directory {path}.", path);
        }

        _path = path;
    }

    /// <inheritdoc/>
    public override string Name => _path;

    /// <inheritdoc/>
    public override Task<IReadOnlyList<ChainSource>> ListChainsAsync(CancellationToken cancellationToken) =>
        Task.FromResult<IReadOnlyList<ChainSource>>([.. Chains()]);

    private IEnumerable<ChainSource> Chains()
    {
        if (File.Exists(_path))
        {
            return [new FileChainSource(Path.GetFileName(_path), _path)];
        }

        if (Segments(_path).Count > 0)
        {
            return [new FileChainSource(Path.GetFileName(Path.GetFullPath(_path)), _path)];
        }

        string ledger = Directory.Exists(Path.Combine(_path, "ledger")) ? Path.Combine(_path, "ledger") : _path;
        string agents = Path.Combine(ledger, "agents");
        IEnumerable<string> found = Directory.Exists(agents)
            ? Directory.EnumerateDirectories(agents).SelectMany(Directory.EnumerateDirectories)
            : [];
        return found.Append(Path.Combine(ledger, "control"))
            .Where(Directory.Exists)
            .Select(directory => new FileChainSource(Path.GetRelativePath(ledger, directory), directory))
            .OrderBy(chain => chain.Chain, StringComparer.Ordinal);
    }

    private static List<SegmentSource> Segments(string directory) =>
    [
        .. Directory.EnumerateFiles(directory, SegmentPrefix + "*" + SegmentSuffix)
            .Select(Segment)
            .Where(segment => segment.FirstSeq is not null)
            .OrderBy(segment => segment.FirstSeq)
            // An empty file behind others holds no record: one that was just begun, or one that a fenced writer left behind.
            .Where((segment, index) => index == 0 || new FileInfo(segment.Name).Length > 0),
    ];

    private static SegmentSource Segment(string path) => new(path, FirstSeq(path), _ => Task.FromResult<Stream>(
        new FileStream(path, new FileStreamOptions { Share = FileShare.ReadWrite | FileShare.Delete, BufferSize = 0 })));

    /// <summary>The sequence that a segment's name states; null for a file that is not named like a segment.</summary>
    private static long? FirstSeq(string path)
    {
        string name = Path.GetFileName(path);
        return name.Length == SegmentPrefix.Length + 20 + SegmentSuffix.Length
            && name.StartsWith(SegmentPrefix, StringComparison.Ordinal) && name.EndsWith(SegmentSuffix, StringComparison.Ordinal)
            && long.TryParse(name.AsSpan(SegmentPrefix.Length, 20), NumberStyles.None, CultureInfo.InvariantCulture, out long firstSeq)
            ? firstSeq
            : null;
    }

    private sealed class FileChainSource(string chain, string path) : ChainSource
    {
        public override string Chain => chain;

        public override string Location => path;

        public override Task<IReadOnlyList<SegmentSource>> ListSegmentsAsync(CancellationToken cancellationToken) =>
            Task.FromResult<IReadOnlyList<SegmentSource>>(File.Exists(path) ? [Segment(path)] : Segments(path));

        public override async Task<PrunedBeginning?> ReadPrunedAsync(CancellationToken cancellationToken)
        {
            string file = Path.Combine(path, "manifest.json");
            if (!File.Exists(file) || new FileInfo(file).Length > MaxManifestBytes)
            {
                return null;
            }

            try
            {
                using JsonDocument manifest = JsonDocument.Parse(await File.ReadAllBytesAsync(file, cancellationToken));
                return manifest.RootElement.TryGetProperty("pruned"u8, out JsonElement pruned) && pruned.ValueKind == JsonValueKind.Object
                    && pruned.TryGetProperty("before_seq"u8, out JsonElement before) && before.ValueKind == JsonValueKind.Number && before.TryGetInt64(out long seq)
                    && pruned.TryGetProperty("head_hash"u8, out JsonElement hash) && hash.ValueKind == JsonValueKind.String
                    ? new PrunedBeginning(seq, hash.GetString() ?? "")
                    : null;
            }
            catch (JsonException)
            {
                return null; // Then the chain has to begin with sequence 0, and the report says that it does not.
            }
        }

        public override Task<IReadOnlyList<SegmentSource>> ListBlobFilesAsync(CancellationToken cancellationToken) =>
            Task.FromResult<IReadOnlyList<SegmentSource>>(Directory.Exists(path)
                ? [.. Directory.EnumerateFiles(path, "blobs-*.jsonl").Order(StringComparer.Ordinal).Select(Segment)]
                : []);

        public override async ValueTask<byte[]?> TryReadTreeAsync(string path1, int maxBytes, CancellationToken cancellationToken)
        {
            string file = Path.Combine(path, "tlog", path1);
            if (!File.Exists(file))
            {
                return null;
            }

            try
            {
                await using var stream = new FileStream(file, new FileStreamOptions { Share = FileShare.ReadWrite | FileShare.Delete, BufferSize = 0 });
                byte[] content = new byte[Math.Min(stream.Length, maxBytes + 1L)];
                int length = await stream.ReadAtLeastAsync(content, content.Length, throwOnEndOfStream: false, cancellationToken);
                return content[..length];
            }
            catch (FileNotFoundException)
            {
                return null; // Replaced by its full tile between the two calls.
            }
        }
    }
}
