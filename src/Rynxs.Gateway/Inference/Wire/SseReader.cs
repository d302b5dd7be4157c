using System.Text;

namespace Rynxs.Gateway.Inference.Wire;

/// <summary>One server-sent event.</summary>
/// <param name="Name">Its <c>event</c> field; null when it has none.</param>
/// <param name="Data">Its <c>data</c> lines, joined by line feeds; empty for comments.</param>
/// <param name="Raw">The bytes as they came, blank line included.</param>
internal readonly record struct SseEvent(string? Name, ReadOnlyMemory<byte> Data, ReadOnlyMemory<byte> Raw);

/// <summary>The stream is no event stream that can be read within bounds.</summary>
internal sealed class SseException(string message) : IOException(message);

/// <summary>
/// Cuts a byte stream into server-sent events (WHATWG HTML 9.2.5) as soon as each is whole, whatever the pieces that the bytes arrive in. Lines end with LF,
/// CR or CRLF; the bytes of every event can be sent on as they came.
/// </summary>
internal sealed class SseReader(int maxEventBytes)
{
    private byte[] _buffer = new byte[4096];
    private int _length;
    private int _scanned;
    private int _lineStart;
    private bool _hasLine;
    private bool _ended;

    /// <summary>Bytes that belong to an event which is not whole yet.</summary>
    public int Pending => _length;

    /// <summary>Takes the next bytes; all whole events must have been read before.</summary>
    /// <exception cref="SseException">An event is larger than allowed.</exception>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        if (_length + bytes.Length > maxEventBytes && _length > 0 && _scanned >= _length && _length + 1 > maxEventBytes)
        {
            throw new SseException($"An event of the stream is larger than {maxEventBytes} bytes.");
        }

        if (_length + bytes.Length > _buffer.Length)
        {
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, _length + bytes.Length));
        }

        bytes.CopyTo(_buffer.AsSpan(_length));
        _length += bytes.Length;
    }

    /// <summary>No more bytes come: a CR at the end is a whole line end.</summary>
    public void End() => _ended = true;

    /// <summary>The next whole event, if there is one.</summary>
    /// <exception cref="SseException">An event is larger than allowed.</exception>
    public bool TryRead(out SseEvent sseEvent)
    {
        while (_scanned < _length)
        {
            int at = _buffer.AsSpan(_scanned, _length - _scanned).IndexOfAny((byte)'\n', (byte)'\r');
            if (at < 0)
            {
                _scanned = _length;
                break;
            }

            int end = _scanned + at;
            int next = end + 1;
            if (_buffer[end] == '\r')
            {
                if (next == _length && !_ended)
                {
                    _scanned = end;
                    break; // A line feed may follow; it belongs to this line.
                }

                next += next < _length && _buffer[next] == '\n' ? 1 : 0;
            }

            bool empty = end == _lineStart;
            _scanned = _lineStart = next;
            if (!empty)
            {
                _hasLine = true;
            }
            else if (_hasLine)
            {
                byte[] raw = _buffer.AsSpan(0, next).ToArray();
                Consume(next);
                sseEvent = Parse(raw);
                return true;
            }
            else
            {
                // A blank line before any field belongs to nothing.
                Consume(next);
            }
        }

        if (_length > maxEventBytes)
        {
            throw new SseException($"An event of the stream is larger than {maxEventBytes} bytes.");
        }

        sseEvent = default;
        return false;
    }

    private void Consume(int bytes)
    {
        Buffer.BlockCopy(_buffer, bytes, _buffer, 0, _length - bytes);
        _length -= bytes;
        (_scanned, _lineStart, _hasLine) = (0, 0, false);
    }

    private static SseEvent Parse(byte[] raw)
    {
        string? name = null;
        ReadOnlyMemory<byte> data = default;
        List<byte>? joined = null;
        bool hasData = false;
        int start = raw.AsSpan().StartsWith("\uFEFF"u8) ? 3 : 0;
        while (start < raw.Length)
        {
            int length = raw.AsSpan(start).IndexOfAny((byte)'\n', (byte)'\r');
            if (length <= 0)
            {
                break;
            }

            ReadOnlySpan<byte> line = raw.AsSpan(start, length);
            if (line.StartsWith("data:"u8) || line.SequenceEqual("data"u8))
            {
                int skip = Math.Min(line.Length, line.Length > 5 && line[5] == ' ' ? 6 : 5);
                ReadOnlyMemory<byte> value = raw.AsMemory(start + skip, length - skip);
                if (!hasData)
                {
                    (data, hasData) = (value, true);
                }
                else
                {
                    joined ??= [.. data.Span];
                    joined.Add((byte)'\n');
                    joined.AddRange(value.Span);
                }
            }
            else if (line.StartsWith("event:"u8))
            {
                name = Encoding.UTF8.GetString(line[(line.Length > 6 && line[6] == ' ' ? 7 : 6)..]);
            }

            start += length + 1;
            if (start < raw.Length && raw[start - 1] == '\r' && raw[start] == '\n')
            {
                start++;
            }
        }

        return new SseEvent(name, joined is null ? data : joined.ToArray(), raw);
    }
}
