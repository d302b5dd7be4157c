namespace Rynxs.Ledger.Verifier;

/// <summary>Complete lines of a stream, as many as fit.</summary>
internal sealed class Block(int capacity)
{
    public byte[] Buffer { get; } = new byte[capacity];

    /// <summary>Length of the complete lines in <see cref="Buffer"/>, the last newline included.</summary>
    public int Length { get; set; }
}

/// <summary>Cuts a stream into blocks of complete lines; memory is bounded by the block size and the longest line.</summary>
/// <remarks>One caller at a time. The blocks that it filled may be worked on meanwhile.</remarks>
internal sealed class BlockReader(Stream stream, int maxLineBytes)
{
    public const int BlockBytes = 1024 * 1024;

    private byte[] _carry = [];
    private int _carried;
    private long _next;

    /// <summary>Capacity that blocks for this reader need.</summary>
    public int Capacity => BlockBytes + maxLineBytes;

    /// <summary>True when a complete line exceeds the longest that the format allows; reading stops before it.</summary>
    public bool LineTooLong { get; private set; }

    /// <summary>Bytes after the last newline, once <see cref="TryFillAsync"/> has returned false.</summary>
    public long TailBytes { get; private set; }

    /// <summary>Offset of those bytes.</summary>
    public long TailOffset { get; private set; }

    /// <summary>Fills a block; false when no complete line is left.</summary>
    public async ValueTask<bool> TryFillAsync(Block block, CancellationToken cancellationToken)
    {
        _carry.AsSpan(0, _carried).CopyTo(block.Buffer);
        int filled = _carried;
        int newline = -1;
        while (filled < block.Buffer.Length && (newline < 0 || filled < BlockBytes))
        {
            // As far as a block goes; beyond it only for a line that does not end there.
            int wanted = newline < 0 && filled >= BlockBytes ? block.Buffer.Length - filled : Math.Max(1, BlockBytes - filled);
            int read = await stream.ReadAsync(block.Buffer.AsMemory(filled, Math.Min(wanted, block.Buffer.Length - filled)), cancellationToken);
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
                LineTooLong = await FindNewlineAsync(block.Buffer, cancellationToken);
            }

            return false;
        }

        block.Length = newline + 1;
        _carried = filled - block.Length;
        if (_carry.Length < _carried)
        {
            _carry = new byte[Math.Max(_carried, 64 * 1024)];
        }

        block.Buffer.AsSpan(block.Length, _carried).CopyTo(_carry);
        return true;
    }

    private async ValueTask<bool> FindNewlineAsync(byte[] chunk, CancellationToken cancellationToken)
    {
        while (await stream.ReadAsync(chunk, cancellationToken) is int read and > 0)
        {
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
