using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Canonical;

namespace Rynxs.Ledger.Files;

/// <summary>Reads the committed records of one segment, verifying each.</summary>
internal sealed class SegmentReader : IDisposable
{
    private const int RecordsAtOnce = 256;
    private const int BytesAtOnce = 1024 * 1024;

    private readonly SafeFileHandle _file;
    private readonly LineScanner _scanner;
    private readonly StrictLine _lines = new();
    private readonly ChainPosition _position;
    private readonly string _path;

    private SegmentReader(string path, SafeFileHandle file, long length, ChainPosition position)
    {
        (_path, _file, _position) = (path, file, position);
        _scanner = new LineScanner(file, 0, length, LedgerLimits.MaxRecordBytes);
    }

    public static SegmentReader Open(ChainSnapshot committed, int index)
    {
        Segment segment = committed.Segments[index];
        return new SegmentReader(
            segment.Path, LedgerFile.OpenRead(segment.Path), committed.LengthOf(index), ChainPosition.Before(segment));
    }

    /// <summary>The next records from a sequence on; empty at the end.</summary>
    /// <exception cref="LedgerCorruptException">A record does not verify.</exception>
    public IReadOnlyList<LedgerRecord> ReadSome(long fromSeq, CancellationToken cancellationToken)
    {
        var records = new List<LedgerRecord>();
        long begin = _scanner.Offset;
        while (records.Count < RecordsAtOnce && _scanner.Offset - begin < BytesAtOnce
            && _position.TryRead(_scanner, _lines, _path, withContent: _position.NextSeq >= fromSeq, out StrictRecord record))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (record.Content is not null)
            {
                records.Add(record.Content);
            }
            else
            {
                begin = _scanner.Offset; // Skipped records hold no memory.
            }
        }

        return records;
    }

    public void Dispose() => _file.Dispose();
}
