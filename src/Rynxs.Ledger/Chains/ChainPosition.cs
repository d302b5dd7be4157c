using System.Globalization;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Chains;

/// <summary>A place in a chain while it is read: what the next record must be. Turns every defect into a <see cref="LedgerCorruptException"/>.</summary>
internal sealed class ChainPosition
{
    /// <summary>64 zeros: what the first record names as the one before it.</summary>
    public static readonly string Genesis = new('0', 64);

    private bool _adoptsPrevHash;

    /// <summary>Sequence that the next record must have.</summary>
    public long NextSeq { get; private set; }

    /// <summary>Hash that the next record must name.</summary>
    public string Hash { get; private set; } = Genesis;

    /// <summary>Highest epoch seen.</summary>
    public long Epoch { get; private set; }

    /// <summary>The record before this place.</summary>
    public ChainHead Head => new(NextSeq - 1, Hash);

    /// <summary>The place before a record.</summary>
    /// <param name="seq">Its sequence.</param>
    /// <param name="prevHash">Hash of the record before it; null when that is not known: then whatever it names is accepted.</param>
    /// <param name="epoch">Highest epoch before it.</param>
    public static ChainPosition Before(long seq, string? prevHash, long epoch = 0) =>
        new() { NextSeq = seq, Hash = prevHash ?? Genesis, Epoch = epoch, _adoptsPrevHash = prevHash is null };

    /// <summary>A segment must begin where the one before it ended.</summary>
    public void ThrowIfNotNext(string path, long firstSeq)
    {
        if (firstSeq != NextSeq)
        {
            throw Corrupt(path, "The segment does not begin where the one before it ends", Text(NextSeq), Text(firstSeq));
        }
    }

    /// <summary>Reads and checks the next line; false at the end or at a torn tail.</summary>
    public bool TryRead(LineScanner scanner, StrictLine reader, string path, bool withContent, out StrictRecord record)
    {
        record = default;
        try
        {
            if (!scanner.TryRead(out ReadOnlyMemory<byte> line))
            {
                return false;
            }

            record = reader.Read(line, withContent);
        }
        catch (LineTooLongException exception)
        {
            throw Corrupt(path, exception.Message, $"at most {LedgerLimits.MaxRecordBytes} bytes", null);
        }
        catch (NonCanonicalException exception)
        {
            throw Corrupt(path, exception.Message, null, exception.Defect.ToString());
        }

        Accept(record, path);
        return true;
    }

    /// <summary>Reads and checks whole lines in memory; adds the records from a sequence on to a list.</summary>
    public void ReadAll(ReadOnlyMemory<byte> lines, StrictLine reader, string source, long fromSeq, List<LedgerRecord> records)
    {
        while (!lines.IsEmpty)
        {
            int length = lines.Span.IndexOf((byte)'\n');
            if (length < 0)
            {
                throw Corrupt(source, "The last line has no newline", "a newline", null);
            }

            StrictRecord record;
            try
            {
                record = reader.Read(lines[..length], withContent: NextSeq >= fromSeq);
            }
            catch (NonCanonicalException exception)
            {
                throw Corrupt(source, exception.Message, null, exception.Defect.ToString());
            }

            Accept(record, source);
            if (record.Content is not null)
            {
                records.Add(record.Content);
            }

            lines = lines[(length + 1)..];
        }
    }

    private void Accept(StrictRecord record, string path)
    {
        if (record.Seq != NextSeq)
        {
            throw Corrupt(path, "The sequence is not the next one", Text(NextSeq), Text(record.Seq));
        }

        if (_adoptsPrevHash)
        {
            (Hash, _adoptsPrevHash) = (record.PrevHash, false);
        }

        if (record.PrevHash != Hash)
        {
            throw Corrupt(path, "prev_hash is not the hash of the record before", Hash, record.PrevHash);
        }

        if (record.ComputedHash != record.EventHash)
        {
            throw Corrupt(path, "The content does not have the stated event_hash", record.EventHash, record.ComputedHash);
        }

        (NextSeq, Hash, Epoch) = (NextSeq + 1, record.EventHash, Math.Max(Epoch, record.Epoch));
    }

    private LedgerCorruptException Corrupt(string path, string what, string? expected, string? actual) =>
        new($"{path}, sequence {Text(NextSeq)}: {what} (expected {expected ?? "a record"}, found {actual ?? "something else"}).",
            path, NextSeq, expected, actual);

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);
}
