using Microsoft.Win32.SafeHandles;

namespace Rynxs.Ledger.Files;

/// <summary>
/// Cuts a file into lines with bounded memory. Stops at the last newline before <paramref name="end"/>: what follows is a torn tail.
/// </summary>
/// <param name="file">The file; not owned.</param>
/// <param name="start">Offset of the first line.</param>
/// <param name="end">Offset at which to stop.</param>
/// <param name="maxLineBytes">Longest line, its newline included. A longer one is reported, never buffered.</param>
internal sealed class LineScanner(SafeFileHandle file, long start, long end, int maxLineBytes)
{
    private byte[] _buffer = new byte[Math.Min(256 * 1024, maxLineBytes)];
    private int _from;
    private int _to;
    private long _next = start;

    /// <summary>Offset of the line that <see cref="TryRead"/> returned, or of the torn tail once it has returned false.</summary>
    public long Offset { get; private set; } = start;

    /// <summary>The next line, without its newline; valid until the next call.</summary>
    /// <returns>False at the end, or at a torn tail that begins at <see cref="Offset"/>.</returns>
    /// <exception cref="LineTooLongException">The line exceeds the maximum and is not a torn tail.</exception>
    public bool TryRead(out ReadOnlyMemory<byte> line)
    {
        int searched = 0;
        while (true)
        {
            int at = _buffer.AsSpan(_from + searched, _to - _from - searched).IndexOf((byte)'\n');
            if (at >= 0)
            {
                int length = searched + at;
                line = _buffer.AsMemory(_from, length);
                Offset = _next - (_to - _from);
                _from += length + 1;
                return true;
            }

            searched = _to - _from;
            Offset = _next - searched;
            if (searched >= maxLineBytes)
            {
                line = default;
                return FindNewline() ? throw new LineTooLongException() : false;
            }

            if (!Fill())
            {
                line = default;
                return false;
            }
        }
    }

    private bool Fill()
    {
        if (_from > 0)
        {
            _buffer.AsSpan(_from, _to - _from).CopyTo(_buffer);
            (_from, _to) = (0, _to - _from);
        }

        if (_to == _buffer.Length)
        {
            Array.Resize(ref _buffer, Math.Min(_buffer.Length * 2, maxLineBytes));
        }

        int wanted = (int)Math.Min(_buffer.Length - _to, end - _next);
        int read = wanted == 0 ? 0 : RandomAccess.Read(file, _buffer.AsSpan(_to, wanted), _next);
        _to += read;
        _next += read;
        return read > 0;
    }

    /// <summary>Tells a line that is too long (it ends somewhere) from a torn tail (it does not).</summary>
    private bool FindNewline()
    {
        byte[] chunk = new byte[64 * 1024];
        for (long at = _next; at < end;)
        {
            int read = RandomAccess.Read(file, chunk.AsSpan(0, (int)Math.Min(chunk.Length, end - at)), at);
            if (read == 0)
            {
                return false;
            }

            if (chunk.AsSpan(0, read).Contains((byte)'\n'))
            {
                return true;
            }

            at += read;
        }

        return false;
    }
}

/// <summary>A complete line exceeds the limit of its format.</summary>
internal sealed class LineTooLongException() : Exception("A line is longer than its format allows.");
