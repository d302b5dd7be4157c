using System.Runtime.CompilerServices;
using Microsoft.Data.Sqlite;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Chains;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Stores.Sqlite;

namespace Rynxs.Ledger.Stores.Copying;

/// <summary>The bytes of a ledger as they are stored, of a live one too: for copying and for verifiers. Interprets nothing.</summary>
public abstract class LedgerReader : IAsyncDisposable
{
    private protected LedgerReader()
    {
    }

    /// <summary>The chains, in ordinal order of their paths.</summary>
    public abstract Task<IReadOnlyList<ChainId>> ListChainsAsync(CancellationToken cancellationToken);

    /// <summary>The last committed record of a chain, as the store states it; null where only reading to the end would tell.</summary>
    public abstract Task<ChainHead?> FindHeadAsync(ChainId id, CancellationToken cancellationToken);

    /// <summary>Whole record lines in order, from the one with a sequence or from an earlier one, up to a head. Each item is valid until the next.</summary>
    /// <param name="id">The chain.</param>
    /// <param name="fromSeq">First sequence that is wanted.</param>
    /// <param name="head">Where to stop; null for the end as it is.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    public abstract IAsyncEnumerable<RawLines> ReadLinesAsync(ChainId id, long fromSeq, ChainHead? head, CancellationToken cancellationToken);

    /// <summary>Whole side-blob lines, in any order. Each item is valid until the next.</summary>
    public abstract IAsyncEnumerable<ReadOnlyMemory<byte>> ReadBlobsAsync(ChainId id, CancellationToken cancellationToken);

    /// <summary>The Merkle tree of a chain, for reading. Valid until the reader is disposed.</summary>
    public abstract ITreeStore OpenTree(ChainId id);

    /// <inheritdoc/>
    public virtual ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }
}

/// <summary>Lines as stored.</summary>
/// <param name="Source">File, row or object.</param>
/// <param name="FirstSeq">Sequence that the store says the first line has.</param>
/// <param name="Lines">Whole lines, each with its newline.</param>
public readonly record struct RawLines(string Source, long FirstSeq, ReadOnlyMemory<byte> Lines);

/// <summary>A directory of files. Stops at the last newline.</summary>
internal sealed class FileLedgerReader : LedgerReader
{
    private readonly string _directory;

    public FileLedgerReader(string directory)
    {
        string full = Path.GetFullPath(directory);
        _directory = Directory.Exists(Path.Combine(full, "ledger")) ? Path.Combine(full, "ledger") : full;
        if (!Directory.Exists(_directory))
        {
            throw new FileNotFoundException($"There is no directory {directory}.", directory);
        }
    }

    public override Task<IReadOnlyList<ChainId>> ListChainsAsync(CancellationToken cancellationToken) => Task.FromResult(FileLedger.ListChains(_directory));

    public override Task<ChainHead?> FindHeadAsync(ChainId id, CancellationToken cancellationToken) => Task.FromResult<ChainHead?>(null);

    public override IAsyncEnumerable<RawLines> ReadLinesAsync(ChainId id, long fromSeq, ChainHead? head, CancellationToken cancellationToken)
    {
        var segments = SegmentName.ListHolding(Path.Combine(_directory, id.RelativePath)).ToList();
        int first = Math.Max(0, segments.FindLastIndex(segment => segment.FirstSeq <= fromSeq));
        return ReadAsync([.. segments.Skip(first)], LedgerLimits.MaxRecordBytes, cancellationToken);
    }

    public override async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadBlobsAsync(ChainId id, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        (long, string)[] files = [.. Directory.EnumerateFiles(Path.Combine(_directory, id.RelativePath), "blobs-*.jsonl").Order(StringComparer.Ordinal).Select(path => (0L, path))];
        await foreach (RawLines lines in ReadAsync(files, BlobLine.MaxBytes, cancellationToken).ConfigureAwait(false))
        {
            yield return lines.Lines;
        }
    }

    public override ITreeStore OpenTree(ChainId id) => new FileTreeStore(Path.Combine(_directory, id.RelativePath));

    private static async IAsyncEnumerable<RawLines> ReadAsync(
        IReadOnlyList<(long FirstSeq, string Path)> files, int maxLineBytes, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        foreach ((long firstSeq, string path) in files)
        {
            using SafeFileHandle file = LedgerFile.OpenRead(path);
            byte[] buffer = new byte[512 * 1024];
            int kept = 0;
            long at = 0;
            int read;
            while ((read = await RandomAccess.ReadAsync(file, buffer.AsMemory(kept), at, cancellationToken).ConfigureAwait(false)) > 0)
            {
                at += read;
                kept += read;
                int whole = buffer.AsSpan(0, kept).LastIndexOf((byte)'\n') + 1;
                if (whole > 0)
                {
                    yield return new RawLines(path, firstSeq, buffer.AsMemory(0, whole));
                    buffer.AsSpan(whole, kept - whole).CopyTo(buffer);
                    kept -= whole;
                }
                else if (kept > maxLineBytes)
                {
                    throw new LedgerCorruptException($"{path} has a line of more than {maxLineBytes} bytes.", path, -1, null, null);
                }

                if (kept == buffer.Length)
                {
                    Array.Resize(ref buffer, buffer.Length * 2);
                }
            }
        }
    }
}

/// <summary>A SQLite file.</summary>
internal sealed class SqliteLedgerReader : LedgerReader
{
    private readonly string _path;

    public SqliteLedgerReader(string path)
    {
        _path = Path.GetFullPath(path);
        if (!File.Exists(_path))
        {
            throw new FileNotFoundException($"There is no file {path}.", path);
        }
    }

    public override Task<IReadOnlyList<ChainId>> ListChainsAsync(CancellationToken cancellationToken) =>
        Task.FromResult(Read(SqliteLedger.ListChains));

    public override Task<ChainHead?> FindHeadAsync(ChainId id, CancellationToken cancellationToken) => Task.FromResult<ChainHead?>(Find(id).Head);

    public override async IAsyncEnumerable<RawLines> ReadLinesAsync(
        ChainId id, long fromSeq, ChainHead? head, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        (long row, ChainHead stated) = Find(id);
        await foreach (StoredLines lines in new SqliteChainReader(_path, id, row).ReadAsync(fromSeq, head ?? stated, cancellationToken).ConfigureAwait(false))
        {
            yield return new RawLines(lines.Source, lines.FirstSeq, lines.Lines);
        }
    }

    public override IAsyncEnumerable<ReadOnlyMemory<byte>> ReadBlobsAsync(ChainId id, CancellationToken cancellationToken) =>
        new SqliteChainReader(_path, id, Find(id).Row).ReadBlobsAsync(cancellationToken);

    public override ITreeStore OpenTree(ChainId id) => new SqliteTreeStore(_path, id, writer: null, throwIfFenced: null);

    private (long Row, ChainHead Head) Find(ChainId id) => Read(reader =>
    {
        using SqliteCommand command = reader.CreateCommand();
        // Not the stated head alone: rows behind it would be tampering that must show.
        command.CommandText = "SELECT id, max(head_seq, ifnull((SELECT max(seq) FROM records WHERE chain = chains.id), -1)), head_hash FROM chains WHERE path = $path";
        command.Parameters.AddWithValue("$path", id.RelativePath);
        using SqliteDataReader rows = command.ExecuteReader();
        return rows.Read() ? (rows.GetInt64(0), new ChainHead(rows.GetInt64(1), rows.GetString(2))) : (-1, new ChainHead(-1, ChainPosition.Genesis));
    });

    private T Read<T>(Func<SqliteConnection, T> read)
    {
        try
        {
            using SqliteConnection reader = SqliteDatabase.OpenReader(_path);
            return read(reader);
        }
        catch (SqliteException exception) when (SqliteFailure.IsCorrupt(exception))
        {
            throw SqliteFailure.Damaged(_path, exception);
        }
        catch (SqliteException exception)
        {
            throw SqliteFailure.Unavailable(_path, exception);
        }
    }
}

/// <summary>A bucket.</summary>
internal sealed class S3LedgerReader(S3LedgerOptions options) : LedgerReader
{
    private readonly S3Client _client = new(options);

    public override Task<IReadOnlyList<ChainId>> ListChainsAsync(CancellationToken cancellationToken) => S3Chains.ListAsync(_client, options, cancellationToken);

    public override async Task<ChainHead?> FindHeadAsync(ChainId id, CancellationToken cancellationToken) =>
        (await Reader(id).FindTailAsync(useHead: false, cancellationToken).ConfigureAwait(false))?.Head ?? new ChainHead(-1, ChainPosition.Genesis);

    public override async IAsyncEnumerable<RawLines> ReadLinesAsync(
        ChainId id, long fromSeq, ChainHead? head, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        // Without a head: until there is no next batch.
        await foreach (StoredLines lines in Reader(id).ReadAsync(fromSeq, head ?? new ChainHead(long.MaxValue, ""), cancellationToken).ConfigureAwait(false))
        {
            yield return new RawLines(lines.Source, lines.FirstSeq, lines.Lines);
        }
    }

    public override async IAsyncEnumerable<ReadOnlyMemory<byte>> ReadBlobsAsync(ChainId id, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string? continuation = null;
        do
        {
            S3Page page = await _client.ListAsync(
                options.Bucket, new S3Keys(options.Prefix, id).Blobs, after: null, delimiter: null, 1000, continuation, cancellationToken).ConfigureAwait(false);
            foreach (string key in page.Keys)
            {
                if (await _client.TryGetAsync(options.Bucket, key, cancellationToken).ConfigureAwait(false) is { } stored)
                {
                    yield return stored.Content;
                }
            }

            continuation = page.Continuation;
        }
        while (continuation is not null);
    }

    public override async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await base.DisposeAsync().ConfigureAwait(false);
    }

    public override ITreeStore OpenTree(ChainId id) => new S3TreeStore(_client, options, new S3Keys(options.Prefix, id), comparesAndSwaps: true);

    private S3ChainReader Reader(ChainId id) => new(_client, options, new S3Keys(options.Prefix, id));
}
