namespace Rynxs.Gateway;

/// <summary>A body is larger than it may be.</summary>
internal sealed class BodyTooLargeException(long maxBytes) : Exception($"A body is larger than {maxBytes} bytes.");

/// <summary>Reads whole bodies with a bound that does not depend on what their length claims.</summary>
internal static class BoundedBody
{
    /// <exception cref="BodyTooLargeException">It has more bytes.</exception>
    public static async Task<byte[]> ReadAsync(HttpContent content, int maxBytes, CancellationToken cancellationToken)
    {
        if (content.Headers.ContentLength > maxBytes)
        {
            throw new BodyTooLargeException(maxBytes);
        }

        Stream stream = await content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        await using (stream.ConfigureAwait(false))
        {
            return await ReadAsync(stream, maxBytes, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <inheritdoc cref="ReadAsync(HttpContent, int, CancellationToken)"/>
    public static async Task<byte[]> ReadAsync(Stream stream, int maxBytes, CancellationToken cancellationToken)
    {
        byte[] chunk = System.Buffers.ArrayPool<byte>.Shared.Rent(16 * 1024);
        try
        {
            int first = await FillAsync(stream, chunk, cancellationToken).ConfigureAwait(false);
            if (first > maxBytes)
            {
                throw new BodyTooLargeException(maxBytes);
            }

            if (first < chunk.Length)
            {
                return chunk[..first];
            }

            using MemoryStream all = new();
            all.Write(chunk, 0, first);
            int read;
            while ((read = await stream.ReadAsync(chunk, cancellationToken).ConfigureAwait(false)) > 0)
            {
                if (all.Length + read > maxBytes)
                {
                    throw new BodyTooLargeException(maxBytes);
                }

                all.Write(chunk, 0, read);
            }

            return all.ToArray();
        }
        finally
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(chunk, clearArray: true);
        }
    }

    private static async Task<int> FillAsync(Stream stream, byte[] buffer, CancellationToken cancellationToken)
    {
        int filled = 0;
        int read;
        while (filled < buffer.Length && (read = await stream.ReadAsync(buffer.AsMemory(filled), cancellationToken).ConfigureAwait(false)) > 0)
        {
            filled += read;
        }

        return filled;
    }
}
