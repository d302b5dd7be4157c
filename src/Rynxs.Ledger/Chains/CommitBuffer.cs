using System.Buffers;
using System.Buffers.Text;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Rynxs.Ledger.Chains;

/// <summary>Turns prepared entries into the lines of one commit, each chained to the one before it.</summary>
internal sealed class CommitBuffer
{
    /// <summary>A buffer that grew beyond this is not kept.</summary>
    private const int KeptBytes = 4 * 1024 * 1024;

    private readonly byte[] _previous = new byte[64];
    private readonly byte[] _current = new byte[64];
    private readonly byte[] _digest = new byte[32];
    private readonly byte[] _time = new byte[32];
    private byte[] _hashed = new byte[1024]; // At most a record and a hash.
    private int _timeLength;
    private ArrayBufferWriter<byte> _lines = new(16 * 1024);
    private string _previousText = ChainPosition.Genesis;
    private long _nextSeq;

    public ReadOnlyMemory<byte> Lines => _lines.WrittenMemory;

    /// <summary>The record that a commit of the buffer would make the last.</summary>
    public ChainHead Head => new(_nextSeq - 1, _previousText);

    /// <summary>Empties the buffer and begins after a head.</summary>
    /// <param name="head">What is committed.</param>
    /// <param name="now"><c>meta.time</c> of all records of the commit: RFC 3339 in UTC with microseconds, always 27 characters.</param>
    public void Begin(ChainHead head, DateTimeOffset now)
    {
        now.UtcDateTime.TryFormat(_time, out _timeLength, "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);
        if (_lines.Capacity > KeptBytes)
        {
            _lines = new ArrayBufferWriter<byte>(16 * 1024);
        }

        _lines.ResetWrittenCount();
        _previousText = head.EventHash;
        Encoding.ASCII.GetBytes(head.EventHash, _previous);
        _nextSeq = head.Seq + 1;
    }

    /// <summary>Adds one record.</summary>
    public AppendedRecord Add(PreparedEntry entry, long epoch)
    {
        const int EventOffset = 9; // Length of {"event":
        int start = _lines.WrittenCount;
        _lines.Write(entry.Head);
        WriteNumber(epoch);
        _lines.Write(entry.Middle);
        _lines.Write(_time.AsSpan(0, _timeLength));
        _lines.Write(entry.Tail);
        WriteNumber(_nextSeq);
        _lines.Write(",\"ts\":"u8);
        WriteNumber(_nextSeq + 1);
        _lines.Write(entry.Type);

        // One call over one span: for small records that costs half of an incremental hash.
        ReadOnlySpan<byte> content = _lines.WrittenSpan[(start + EventOffset)..];
        int hashedBytes = _previous.Length + content.Length;
        if (_hashed.Length < hashedBytes)
        {
            _hashed = new byte[Math.Max(hashedBytes, _hashed.Length * 2)];
        }

        _previous.CopyTo(_hashed, 0);
        content.CopyTo(_hashed.AsSpan(_previous.Length));
        SHA256.HashData(_hashed.AsSpan(0, hashedBytes), _digest);
        Convert.TryToHexStringLower(_digest, _current, out _);

        _lines.Write(",\"event_hash\":\""u8);
        _lines.Write(_current);
        _lines.Write("\",\"prev_hash\":\""u8);
        _lines.Write(_previous);
        _lines.Write("\"}\n"u8);

        string hash = Encoding.ASCII.GetString(_current);
        var appended = new AppendedRecord(_nextSeq, hash, _previousText);
        _current.CopyTo(_previous.AsSpan());
        (_nextSeq, _previousText) = (_nextSeq + 1, hash);
        return appended;
    }

    private void WriteNumber(long value)
    {
        Utf8Formatter.TryFormat(value, _lines.GetSpan(20), out int written);
        _lines.Advance(written);
    }
}
