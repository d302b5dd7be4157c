using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Replay;

/// <summary>
/// Reads a chain onward from a known record, again and again as it grows, without reading what it has seen. Takes no lock and needs nothing of
/// the writer. Memory: one block and what was asked for.
/// </summary>
/// <remarks>
/// For the first read it begins with the segment that holds the record (by the segments' names); every record it gives out was verified and links
/// to the one before. Not safe for concurrent use.
/// </remarks>
public sealed class LogFollower(Func<LogSource> open, ChainHead start)
{
    private const int BlockBytes = 256 * 1024;

    private readonly WalkPlace _place = new(start.Seq < 0 ? null : start);
    private readonly RecordParser _parser = new();
    private readonly long _startSeq = start.Seq;
    private string? _file;
    private long _offset;

    /// <summary>The last record given out, or the start.</summary>
    public ChainHead Last { get; private set; } = start;

    /// <summary>Bytes after the last record given out, as of the last read; an unfinished line counts.</summary>
    public long BytesBehind { get; private set; }

    /// <summary>The next records, up to a number and a number of bytes; empty at the end.</summary>
    /// <exception cref="LedgerCorruptException">A record does not verify, or the log is not the one that the start is of.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    /// <exception cref="NotSupportedException">The log does not lie in files.</exception>
    public IReadOnlyList<LogRecord> ReadSome(int maxRecords, int maxBytes, CancellationToken cancellationToken)
    {
        LogSource source = open();
        if (!source.IsFiles)
        {
            throw new NotSupportedException($"{source.Files[0]} is not a log in files, which is what can be followed.");
        }

        int index = IndexOfFile(source);
        var records = new List<LogRecord>();
        long bytes = 0;
        while (index < source.Files.Count)
        {
            cancellationToken.ThrowIfCancellationRequested();
            (_file, bool atEnd) = (source.Files[index], ReadBlock(source.Files[index], records, maxRecords, maxBytes, ref bytes));
            if (records.Count >= maxRecords || bytes >= maxBytes)
            {
                break;
            }

            if (!atEnd)
            {
                continue;
            }

            // A file is finished when there is a next one; until then what lacks a newline is still being written.
            if (index == source.Files.Count - 1)
            {
                break;
            }

            (index, _offset) = (index + 1, 0);
        }

        BytesBehind = source.Files.Skip(Math.Min(index, source.Files.Count - 1)).Sum(file => new FileInfo(file).Length) - _offset;
        return records;
    }

    /// <summary>True when everything in the file that ends with a newline was read.</summary>
    private bool ReadBlock(string path, List<LogRecord> records, int maxRecords, int maxBytes, ref long bytes)
    {
        using SafeFileHandle file = LedgerFile.OpenRead(path);
        long available = RandomAccess.GetLength(file) - _offset;
        if (available <= 0)
        {
            return true;
        }

        // A fresh buffer each time: the records keep it.
        byte[] block = Read(file, (int)Math.Min(BlockBytes, available));
        int whole = block.AsSpan().LastIndexOf((byte)'\n') + 1;
        if (whole == 0 && available > block.Length)
        {
            block = Read(file, (int)Math.Min(LedgerLimits.MaxRecordBytes, available));
            whole = block.AsSpan().LastIndexOf((byte)'\n') + 1;
        }

        if (whole == 0)
        {
            return block.Length < LedgerLimits.MaxRecordBytes
                ? true
                : throw new WalkDefect("form", $"A line is longer than {LedgerLimits.MaxRecordBytes} bytes.", null, null).At(path, _place.NextSeq);
        }

        for (int at = 0; at < whole && records.Count < maxRecords && bytes < maxBytes;)
        {
            int length = block.AsSpan(at).IndexOf((byte)'\n');
            LogRecord record = Parse(block.AsMemory(at, length), path);
            if (_place.Accept(record, path))
            {
                records.Add(record);
                bytes += length + 1;
                Last = new ChainHead(record.Seq, record.EventHash);
            }

            at += length + 1;
            _offset += length + 1;
        }

        return false;
    }

    private byte[] Read(SafeFileHandle file, int length)
    {
        byte[] block = GC.AllocateUninitializedArray<byte>(length);
        int read = 0;
        while (read < length && RandomAccess.Read(file, block.AsSpan(read), _offset + read) is int more and > 0)
        {
            read += more;
        }

        return read == length ? block : block[..read];
    }

    private LogRecord Parse(ReadOnlyMemory<byte> line, string path)
    {
        try
        {
            return _parser.Parse(line);
        }
        catch (NonCanonicalException exception)
        {
            throw new WalkDefect("form", exception.Message, null, exception.Defect.ToString()).At(path, _place.NextSeq);
        }
        catch (HashMismatchException exception)
        {
            throw new WalkDefect("event_hash", exception.Message, exception.Stated, exception.Computed).At(path, _place.NextSeq);
        }
    }

    private int IndexOfFile(LogSource source)
    {
        if (_file is not null && source.Files.ToList().IndexOf(_file) is int known and >= 0)
        {
            return known;
        }

        // By name: the last segment that begins at or before the record to go on from. Other logs are read from their beginning.
        int index = 0;
        for (int candidate = 0; candidate < source.Files.Count; candidate++)
        {
            if (SegmentName.FirstSeqOf(source.Files[candidate]) is { } first && first <= Math.Max(0, _startSeq))
            {
                index = candidate;
            }
        }

        _offset = 0;
        return index;
    }
}
