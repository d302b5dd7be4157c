using System.Globalization;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Chains;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Replay;

/// <summary>
/// Reads a chain from its first record to the last complete line of the moment, verifying form, hash, sequence and links. Takes no lock,
/// so it works beside a live writer; memory does not grow with the log.
/// </summary>
/// <remarks>
/// Blocks of lines are parsed and hashed on all cores, links are checked and records handed out in order. A record keeps its block (64 KiB
/// or one longer line) alive while it is held.
/// </remarks>
public static class LogWalk
{
    private const int BlockBytes = 64 * 1024;

    /// <summary>Reads a chain from the beginning.</summary>
    /// <exception cref="LedgerCorruptException">A record does not verify; raised when the enumeration reaches it.</exception>
    /// <exception cref="IOException">A file cannot be read.</exception>
    public static IEnumerable<LogRecord> Read(LogSource source, CancellationToken cancellationToken) => Read(source, start: null, cancellationToken);

    /// <summary>Reads a chain; records up to <paramref name="start"/> are verified and left out.</summary>
    /// <param name="source">The chain.</param>
    /// <param name="start">
    /// A record whose hash is known from elsewhere (a checkpoint). A log that begins after it must name its hash; one that holds it must
    /// agree with it. Null: the log must begin with sequence 0.
    /// </param>
    /// <param name="cancellationToken">Ends the enumeration with an exception.</param>
    /// <exception cref="LedgerCorruptException">As above.</exception>
    public static IEnumerable<LogRecord> Read(LogSource source, ChainHead? start, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(source);
        var place = new WalkPlace(start);
        foreach (ParsedBlock block in ParseAhead(source, cancellationToken))
        {
            foreach (LogRecord record in block.Records)
            {
                if (place.Accept(record, block.File))
                {
                    yield return record;
                }
            }

            if (block.Defect is { } defect)
            {
                throw defect.At(block.File, place.NextSeq);
            }
        }

        place.RequireStartReached(source);
    }

    /// <summary>Blocks in order, with as many being parsed ahead as there are cores to use.</summary>
    private static IEnumerable<ParsedBlock> ParseAhead(LogSource source, CancellationToken cancellationToken)
    {
        int ahead = Environment.ProcessorCount * 2;
        var running = new Queue<Task<ParsedBlock>>(ahead);
        try
        {
            foreach (LineBlock block in LineBlock.Read(source, BlockBytes))
            {
                cancellationToken.ThrowIfCancellationRequested();
                running.Enqueue(Task.Run(() => Parse(block), cancellationToken));
                if (running.Count == ahead)
                {
                    yield return running.Dequeue().GetAwaiter().GetResult();
                }
            }

            while (running.TryDequeue(out Task<ParsedBlock>? next))
            {
                cancellationToken.ThrowIfCancellationRequested();
                yield return next.GetAwaiter().GetResult();
            }
        }
        finally
        {
            // Whoever stops early leaves no task behind; parsing itself never throws.
            Task.WhenAll(running).ContinueWith(static _ => { }, TaskScheduler.Default).Wait(CancellationToken.None);
        }
    }

    private static ParsedBlock Parse(LineBlock block)
    {
        var records = new List<LogRecord>(block.Utf8.Length / 256);
        if (block.TooLong)
        {
            return new ParsedBlock(block.File, records, new WalkDefect("form", $"A line is longer than {LedgerLimits.MaxRecordBytes} bytes.", null, null));
        }

        var parser = new RecordParser();
        ReadOnlyMemory<byte> rest = block.Utf8;
        while (rest.Length > 0)
        {
            int newline = rest.Span.IndexOf((byte)'\n');
            try
            {
                records.Add(parser.Parse(rest[..newline]));
            }
            catch (NonCanonicalException exception)
            {
                return new ParsedBlock(block.File, records, new WalkDefect("form", exception.Message, null, exception.Defect.ToString()));
            }
            catch (HashMismatchException exception)
            {
                return new ParsedBlock(block.File, records, new WalkDefect("event_hash", exception.Message, exception.Stated, exception.Computed));
            }

            rest = rest[(newline + 1)..];
        }

        return new ParsedBlock(block.File, records, Defect: null);
    }

    private sealed record ParsedBlock(string File, IReadOnlyList<LogRecord> Records, WalkDefect? Defect);
}

/// <summary>Complete lines of one file.</summary>
/// <param name="File">Where they come from.</param>
/// <param name="Utf8">Lines, each with its newline.</param>
/// <param name="TooLong">A line that exceeds the limit follows instead.</param>
internal sealed record LineBlock(string File, ReadOnlyMemory<byte> Utf8, bool TooLong = false)
{
    /// <summary>Every complete line of a log, in blocks. What follows the last newline of the last file is an unfinished write and left out.</summary>
    /// <exception cref="LedgerCorruptException">A file that is not the last ends in the middle of a line.</exception>
    public static IEnumerable<LineBlock> Read(LogSource source, int blockBytes) =>
        source.Lines is { } lines ? OfStore(source.Files[0], lines(), blockBytes) : OfFiles(source, blockBytes);

    private static IEnumerable<LineBlock> OfStore(string name, IEnumerable<ReadOnlyMemory<byte>> pieces, int blockBytes)
    {
        foreach (ReadOnlyMemory<byte> piece in pieces)
        {
            ReadOnlyMemory<byte> rest = piece.ToArray(); // Records keep their block; the store uses its memory again.
            while (rest.Length > 0)
            {
                int whole = rest.Length <= blockBytes ? rest.Length : rest.Span[..blockBytes].LastIndexOf((byte)'\n') + 1;
                whole = whole > 0 ? whole : rest.Span.IndexOf((byte)'\n') + 1;
                if (whole == 0 || rest.Span[whole - 1] != '\n')
                {
                    throw new LedgerCorruptException($"{name}: the store gave a line without its newline.", name, -1, "a newline", null);
                }

                yield return new LineBlock(name, rest[..whole]);
                rest = rest[whole..];
            }
        }
    }

    private static IEnumerable<LineBlock> OfFiles(LogSource source, int blockBytes)
    {
        for (int index = 0; index < source.Files.Count; index++)
        {
            string path = source.Files[index];
            using SafeFileHandle file = LedgerFile.OpenRead(path);
            long end = RandomAccess.GetLength(file);
            long at = 0;
            while (at < end)
            {
                int wanted = blockBytes;
                byte[] buffer = GC.AllocateUninitializedArray<byte>((int)Math.Min(wanted, end - at));
                int read = ReadFully(file, buffer, at);
                int whole = buffer.AsSpan(0, read).LastIndexOf((byte)'\n') + 1;
                while (whole == 0 && read < Math.Min(LedgerLimits.MaxRecordBytes, end - at))
                {
                    wanted = Math.Min(wanted * 4, LedgerLimits.MaxRecordBytes);
                    buffer = GC.AllocateUninitializedArray<byte>((int)Math.Min(wanted, end - at));
                    int before = read;
                    read = ReadFully(file, buffer, at);
                    whole = buffer.AsSpan(0, read).LastIndexOf((byte)'\n') + 1;
                    if (read <= before)
                    {
                        break; // Cut while we read: what is gone was never complete.
                    }
                }

                if (whole == 0)
                {
                    if (HasNewline(file, at + read, end))
                    {
                        yield return new LineBlock(path, default, TooLong: true);
                        yield break;
                    }

                    if (index < source.Files.Count - 1)
                    {
                        throw new LedgerCorruptException($"{path} ends in the middle of a line, but is not the last segment.", path, -1, null, null);
                    }

                    yield break;
                }

                yield return new LineBlock(path, buffer.AsMemory(0, whole));
                at += whole;
            }
        }
    }

    private static int ReadFully(SafeFileHandle file, Span<byte> into, long offset)
    {
        int total = 0;
        while (total < into.Length && RandomAccess.Read(file, into[total..], offset + total) is int read and > 0)
        {
            total += read;
        }

        return total;
    }

    private static bool HasNewline(SafeFileHandle file, long at, long end)
    {
        byte[] chunk = new byte[64 * 1024];
        while (at < end && RandomAccess.Read(file, chunk.AsSpan(0, (int)Math.Min(chunk.Length, end - at)), at) is int read and > 0)
        {
            if (chunk.AsSpan(0, read).Contains((byte)'\n'))
            {
                return true;
            }

            at += read;
        }

        return false;
    }
}

/// <summary>Why a block could not be read to its end.</summary>
internal sealed record WalkDefect(string Code, string Message, string? Expected, string? Actual)
{
    public LedgerCorruptException At(string file, long seq) => new(
        string.Create(CultureInfo.InvariantCulture, $"{file}, sequence {seq}: {Message}"), file, seq, Expected, Actual) { Code = Code };
}

/// <summary>What the next record must be.</summary>
internal sealed class WalkPlace(ChainHead? start)
{
    // Hashes are compared as they lie in the lines: a text for each would cost more than the comparison.
    private readonly byte[]? _startHash = start is { } known ? Encoding.ASCII.GetBytes(known.EventHash) : null;
    private LogRecord? _before;

    public long NextSeq { get; private set; }

    /// <summary>Checks a record's place; false for one that the caller already has.</summary>
    public bool Accept(LogRecord record, string file)
    {
        if (_before is null)
        {
            Begin(record, file);
        }
        else if (record.Seq != NextSeq)
        {
            throw Corrupt("sequence", file, "The sequence is not the next one", Text(NextSeq), Text(record.Seq));
        }
        else if (!record.PrevHashUtf8.SequenceEqual(_before.EventHashUtf8))
        {
            throw Corrupt("prev_hash", file, "prev_hash is not the hash of the record before", _before.EventHash, record.PrevHash);
        }

        (NextSeq, _before) = (record.Seq + 1, record);
        if (start is not { } known || record.Seq > known.Seq)
        {
            return true;
        }

        return record.Seq == known.Seq && !record.EventHashUtf8.SequenceEqual(_startHash)
            ? throw Corrupt("checkpoint", file, "The record is not the one that the checkpoint names", known.EventHash, record.EventHash)
            : false;
    }

    /// <summary>A log that ends before the record from which to go on is not the log that was checkpointed, or was cut.</summary>
    public void RequireStartReached(LogSource source)
    {
        if (start is { } known && known.Seq >= 0 && NextSeq <= known.Seq)
        {
            throw Corrupt("checkpoint", source.Files[^1], "The log ends before the record that the checkpoint names", Text(known.Seq), Text(NextSeq - 1));
        }
    }

    private void Begin(LogRecord record, string file)
    {
        string prevHash = record.PrevHash;
        if (start is { } known && record.Seq == known.Seq + 1 && prevHash != known.EventHash)
        {
            throw Corrupt("checkpoint", file, "The log does not go on from the record that the checkpoint names", known.EventHash, prevHash);
        }

        // Older records may have been archived, as long as what is left reaches back to the checkpoint.
        bool reaches = record.Seq == 0 || (start is { } from && record.Seq <= from.Seq + 1);
        if (!reaches)
        {
            throw Corrupt("sequence", file, "The log does not begin with sequence 0; give a checkpoint of the record before its first", Text(start?.Seq + 1 ?? 0), Text(record.Seq));
        }

        if (record.Seq == 0 && prevHash != ChainPosition.Genesis)
        {
            throw Corrupt("prev_hash", file, "The first record names a record before it", ChainPosition.Genesis, prevHash);
        }

        NextSeq = record.Seq;
    }

    private LedgerCorruptException Corrupt(string code, string file, string what, string? expected, string? actual) => new(
        string.Create(CultureInfo.InvariantCulture, $"{file}, sequence {NextSeq}: {what} (expected {expected ?? "-"}, found {actual ?? "-"})."),
        file, NextSeq, expected, actual) { Code = code };

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
}
