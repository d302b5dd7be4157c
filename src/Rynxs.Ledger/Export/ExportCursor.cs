using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Ledger.Chains;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Export;

/// <summary>
/// What a destination has received, per chain: a small file, replaced whole and durably after each batch that arrived. Because it is written
/// after the send, a crash in between sends a batch again: at least once, never less.
/// </summary>
public sealed class ExportCursor
{
    private const int MaxBytes = 16 * 1024 * 1024;

    private readonly string _path;
    private readonly SortedDictionary<string, CursorEntry> _chains;

    private ExportCursor(string path, SortedDictionary<string, CursorEntry> chains) => (_path, _chains) = (path, chains);

    /// <summary>Opens the cursor of one destination; a missing file is a beginning.</summary>
    /// <exception cref="ExportException">The file is damaged or of another destination: better to stop than to skip records.</exception>
    public static ExportCursor Open(string path, ExportDestination destination)
    {
        ArgumentNullException.ThrowIfNull(destination);
        try
        {
            if (!File.Exists(path))
            {
                return new ExportCursor(path, new SortedDictionary<string, CursorEntry>(StringComparer.Ordinal)) { Destination = destination.Id };
            }

            if (new FileInfo(path).Length > MaxBytes)
            {
                throw new ExportException($"The cursor '{path}' is larger than {MaxBytes} bytes.");
            }

            CursorFile file = JsonSerializer.Deserialize(File.ReadAllBytes(path), CursorJson.Default.CursorFile)
                ?? throw new ExportException($"The cursor '{path}' is empty.");
            if (file.Version != 1 || file.Destination != destination.Id
                || file.Chains.Values.Any(entry => entry.Seq < 0 || entry.Hash.Length != 64 || !entry.Hash.All(char.IsAsciiHexDigitLower)))
            {
                throw new ExportException($"The cursor '{path}' is not one of this destination and version.");
            }

            return new ExportCursor(path, new SortedDictionary<string, CursorEntry>(file.Chains, StringComparer.Ordinal)) { Destination = destination.Id };
        }
        catch (Exception exception) when (exception is JsonException or IOException or UnauthorizedAccessException)
        {
            throw new ExportException($"The cursor '{path}' cannot be read: {exception.Message}", exception);
        }
    }

    private string Destination { get; init; } = "";

    /// <summary>The last record of a chain that arrived; -1 and 64 zeros for none.</summary>
    public ChainHead Of(string chain) => _chains.TryGetValue(chain, out CursorEntry? entry) ? new ChainHead(entry.Seq, entry.Hash) : new ChainHead(-1, ChainPosition.Genesis);

    /// <summary>Records durably that a chain arrived up to a record.</summary>
    /// <exception cref="ExportException">It cannot be written; what arrived will be sent again.</exception>
    public void Advance(string chain, ChainHead head)
    {
        _chains[chain] = new CursorEntry(head.Seq, head.EventHash);
        byte[] content = JsonSerializer.SerializeToUtf8Bytes(new CursorFile(1, Destination, new Dictionary<string, CursorEntry>(_chains)), CursorJson.Default.CursorFile);
        string draft = _path + ".draft";
        try
        {
            LedgerFile.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(_path)) ?? "/");
            using (Microsoft.Win32.SafeHandles.SafeFileHandle file = LedgerFile.CreateEmpty(draft))
            {
                RandomAccess.Write(file, content, 0);
                LinuxFile.SyncData(file);
            }

            File.Move(draft, _path, overwrite: true);
            LinuxFile.SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(_path)) ?? "/");
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new ExportException($"The cursor '{_path}' cannot be written: {exception.Message}", exception);
        }
    }
}

/// <summary>Content of a cursor's file.</summary>
internal sealed record CursorFile(int Version, string Destination, Dictionary<string, CursorEntry> Chains);

/// <summary>Place in one chain.</summary>
internal sealed record CursorEntry(long Seq, string Hash);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(CursorFile))]
internal sealed partial class CursorJson : JsonSerializerContext;
