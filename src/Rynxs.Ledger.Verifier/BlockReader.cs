using Microsoft.Win32.SafeHandles;

namespace Rynxs.Ledger.Verifier;

/// <summary>Complete lines of a file, as many as fit.</summary>
internal sealed class Block(int capacity)
{
    public byte[] Buffer { get; } = new byte[capacity];

    /// <summary>Length of the complete lines in <see cref="Buffer"/>, the last newline included.</summary>
    public int Length { get; set; }

    /// <summary>Bytes behind the complete lines: the beginning of the next block's first line.</summary>
    public int Rest { get; set; }
}

/// <summary>Cuts a file into blocks of complete lines; memory is bounded by the block size and the longest line.</summary>
internal sealed class BlockReader(SafeFileHandle file, int maxLineBytes)
{
    public const int BlockBytes = 1024 * 1024;

    private byte[] _carry = [];
    private long _next;

    /// <summary>Capacity that blocks for this reader need.</summary>
    public int Capacity => BlockBytes + maxLineBytes;

    /// <summary>True when a complete line exceeds the longest that the format allows; reading stops before it.</summary>
    public bool LineTooLong { get; private set; }

    /// <summary>Bytes after the last newline, once <see cref="TryFill"/> has returned false.</summary>
    public long TailBytes { get; private set; }

    /// <summary>Offset of those bytes.</summary>
    public long TailOffset { get; private set; }

    /// <summary>Fills a block; false when no complete line is left.</summary>
    public bool TryFill(Block block, CancellationToken cancellationToken)
    {
        _carry.CopyTo(block.Buffer, 0);
        int filled = _carry.Length;
        int newline = -1;
        while (filled < block.Buffer.Length)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int read = RandomAccess.Read(file, block.Buffer.AsSpan(filled), _next);
            if (read == 0)
            {
                break;
            }

            int at = block.Buffer.AsSpan(filled, read).LastIndexOf((byte)'\n');
            newline = at < 0 ? newline : filled + at;
            filled += read;
            _next += read;
        }

        if (newline < 0)
        {
            (TailOffset, TailBytes) = (_next - filled, filled);
            if (filled == block.Buffer.Length)
            {
                LineTooLong = FindNewline(block.Buffer, cancellationToken);
            }

            return false;
        }

        block.Length = newline + 1;
        block.Rest = filled - block.Length;
        _carry = block.Buffer.AsSpan(block.Length, block.Rest).ToArray();
        return true;
    }

    private bool FindNewline(byte[] chunk, CancellationToken cancellationToken)
    {
        while (RandomAccess.Read(file, chunk, _next) is int read and > 0)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (chunk.AsSpan(0, read).Contains((byte)'\n'))
            {
                return true;
            }

            _next += read;
            TailBytes += read;
        }

        return false;
    }
}
