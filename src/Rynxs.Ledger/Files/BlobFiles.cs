using System.Globalization;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Blobs;

namespace Rynxs.Ledger.Files;

/// <summary>
/// The side blobs of one chain: append-only files <c>blobs-NNNNNNNN.jsonl</c> beside its segments. Files, or single lines of them, may be
/// removed while no writer is open: that erases the text and leaves the chain verifiable.
/// </summary>
/// <remarks>
/// Appends come from the commit loop alone; lookups from any thread. Positions of the newest blobs are kept in memory (bounded); an older
/// one is found by reading the files, newest first.
/// </remarks>
internal sealed class BlobFiles : IDisposable
{
    private const int MaxIndexed = 16 * 1024;

    private readonly string _directory;
    private readonly long _maxFileBytes;
    private readonly Func<bool> _isLost;
    private readonly Lock _gate = new();

    /// <summary>Held while the files change: a commit's blobs are appended, or one is erased.</summary>
    private readonly Lock _changing = new();
    private readonly Dictionary<string, Position> _newest = [];
    private readonly Queue<string> _age = [];
    private AppendOnlyFile? _live;
    private int _liveNumber;

    private BlobFiles(string directory, long maxFileBytes, Func<bool> isLost) => (_directory, _maxFileBytes, _isLost) = (directory, maxFileBytes, isLost);

    /// <summary>Opens the newest file and sets a torn last line aside: no record refers to it, because blobs are durable before records.</summary>
    public static BlobFiles Open(string directory, long maxFileBytes, Func<bool> isLost)
    {
        var blobs = new BlobFiles(directory, maxFileBytes, isLost);
        List<(int Number, string Path)> files = List(directory);
        if (files.Count == 0)
        {
            return blobs;
        }

        (blobs._liveNumber, string path) = files[^1];
        SafeFileHandle file = LedgerFile.OpenOrCreate(path);
        try
        {
            long size = RandomAccess.GetLength(file);
            long whole = EndOfLastLine(file, size);
            if (whole < size)
            {
                ChainRecovery.SetAside(directory, file, whole, size, blobs._liveNumber);
            }

            blobs._live = new AppendOnlyFile(path, file, whole);
            return blobs;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public bool HasFailed => _live is { HasFailed: true };

    /// <summary>Makes blobs durable.</summary>
    /// <exception cref="LedgerUnavailableException">They are not.</exception>
    public void Append(IReadOnlyList<BlobLine> lines)
    {
        lock (_changing)
        {
            AppendLocked(lines);
        }
    }

    /// <summary>Removes the blob behind a commitment from every file, also from the one that is appended to; the number of copies.</summary>
    /// <exception cref="LedgerUnavailableException">It cannot be removed, or the file cannot be opened again: then nothing can be appended, either.</exception>
    public int Erase(Commitment commitment)
    {
        lock (_changing)
        {
            try
            {
                int erased = BlobErasure.EraseLines(_directory, commitment);
                lock (_gate)
                {
                    // Lines behind it have moved; what is still there is found again by reading.
                    _newest.Clear();
                    _age.Clear();
                }

                if (erased > 0 && _live is { HasFailed: false } live)
                {
                    // It may have been written anew under its name: what is appended must not go into the old file, which has no name any more.
                    SafeFileHandle file = LedgerFile.OpenOrCreate(live.Path);
                    _live = new AppendOnlyFile(live.Path, file, RandomAccess.GetLength(file));
                    live.Dispose();
                }

                return erased;
            }
            catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
            {
                throw new LedgerUnavailableException($"The blob {commitment} cannot be erased: {exception.Message}", exception);
            }
        }
    }

    private void AppendLocked(IReadOnlyList<BlobLine> lines)
    {
        AppendOnlyFile live = LiveFile();
        long offset = live.Length;
        byte[] bytes = new byte[lines.Sum(line => line.Line.Length)];
        int at = 0;
        foreach (BlobLine line in lines)
        {
            line.Line.CopyTo(bytes, at);
            at += line.Line.Length;
        }

        live.Append(bytes);
        foreach (BlobLine line in lines)
        {
            Remember(line.Commitment, new Position(live.Path, offset, line.Line.Length - 1));
            offset += line.Line.Length;
        }
    }

    /// <summary>The blob behind a commitment, or null when it is not there.</summary>
    /// <exception cref="LedgerCorruptException">The stored content is not what the commitment says.</exception>
    public SideBlob? Find(Commitment commitment, CancellationToken cancellationToken)
    {
        Position? known;
        lock (_gate)
        {
            known = _newest.TryGetValue(commitment.Value, out Position? position) ? position : null;
        }

        byte[] prefix = Encoding.UTF8.GetBytes(BlobLine.Prefix(commitment) + "\"");
        return (known is null ? null : ReadAt(known, commitment, prefix)) ?? Search(commitment, prefix, cancellationToken);
    }

    public void Dispose() => _live?.Dispose();

    private AppendOnlyFile LiveFile()
    {
        if (_live is { HasFailed: false } && _live.Length < _maxFileBytes)
        {
            return _live;
        }

        if (_live is { HasFailed: true })
        {
            return _live; // Its own refusal says why.
        }

        string path = Path.Combine(_directory, string.Create(CultureInfo.InvariantCulture, $"blobs-{_liveNumber + 1:D8}.jsonl"));
        AppendOnlyFile next;
        try
        {
            next = AppendOnlyFile.Create(path, _isLost);
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"Creating {path} failed: {exception.Message}", exception);
        }

        _live?.Dispose();
        (_live, _liveNumber) = (next, _liveNumber + 1);
        return next;
    }

    private void Remember(Commitment commitment, Position position)
    {
        lock (_gate)
        {
            if (_newest.TryAdd(commitment.Value, position))
            {
                _age.Enqueue(commitment.Value);
            }

            while (_age.Count > MaxIndexed)
            {
                _newest.Remove(_age.Dequeue());
            }
        }
    }

    private static SideBlob? ReadAt(Position position, Commitment commitment, byte[] prefix)
    {
        byte[] line = new byte[position.Length];
        try
        {
            using SafeFileHandle file = LedgerFile.OpenRead(position.Path);
            if (RandomAccess.Read(file, line, position.Offset) != line.Length || !line.AsSpan().StartsWith(prefix))
            {
                return null; // Erased, or the file was rewritten without other lines: the search finds it if it is still there.
            }
        }
        catch (FileNotFoundException)
        {
            return null;
        }

        return Verified(line, commitment, position.Path);
    }

    private SideBlob? Search(Commitment commitment, byte[] prefix, CancellationToken cancellationToken)
    {
        foreach ((_, string path) in List(_directory).AsEnumerable().Reverse())
        {
            using SafeFileHandle file = LedgerFile.OpenRead(path);
            var scanner = new LineScanner(file, 0, RandomAccess.GetLength(file), BlobLine.MaxBytes);
            try
            {
                while (scanner.TryRead(out ReadOnlyMemory<byte> line))
                {
                    cancellationToken.ThrowIfCancellationRequested();

                    // What is passed is remembered too: after an opening the first lookup fills the index for the next ones.
                    if (BlobLine.CommitmentOf(line.Span) is { } passed)
                    {
                        Remember(passed, new Position(path, scanner.Offset, line.Length));
                    }

                    if (line.Span.StartsWith(prefix))
                    {
                        return Verified(line, commitment, path);
                    }
                }
            }
            catch (LineTooLongException exception)
            {
                throw new LedgerCorruptException($"{path}: {exception.Message}", path, -1, null, null);
            }
        }

        return null;
    }

    private static SideBlob Verified(ReadOnlyMemory<byte> line, Commitment commitment, string path)
    {
        SideBlob? blob = BlobLine.TryParse(line);
        return blob?.Commitment == commitment
            ? blob
            : throw new LedgerCorruptException(
                $"{path}: a side blob is not what its commitment says.", path, -1, commitment.Value, blob?.Commitment.Value);
    }

    private static long EndOfLastLine(SafeFileHandle file, long size)
    {
        byte[] chunk = new byte[64 * 1024];
        for (long end = size; end > 0;)
        {
            int length = (int)Math.Min(chunk.Length, end);
            int read = RandomAccess.Read(file, chunk.AsSpan(0, length), end - length);
            int at = chunk.AsSpan(0, read).LastIndexOf((byte)'\n');
            if (at >= 0)
            {
                return end - length + at + 1;
            }

            end -= length;
        }

        return 0;
    }

    private static List<(int Number, string Path)> List(string directory)
    {
        var files = new List<(int Number, string Path)>();
        foreach (string path in Directory.EnumerateFiles(directory, "blobs-*.jsonl"))
        {
            ReadOnlySpan<char> name = Path.GetFileName(path.AsSpan());
            if (name.Length == 20 && int.TryParse(name[6..14], NumberStyles.None, CultureInfo.InvariantCulture, out int number))
            {
                files.Add((number, path));
            }
        }

        files.Sort(static (left, right) => left.Number.CompareTo(right.Number));
        return files;
    }

    private sealed record Position(string Path, long Offset, int Length);
}
