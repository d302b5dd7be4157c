namespace Rynxs.Cli;

/// <summary>Reads input of unknown length without ever holding more than a limit.</summary>
internal static class BoundedInput
{
    /// <summary>The first <paramref name="limit"/> bytes: a caller that asks for one more than it accepts can tell what is too long.</summary>
    public static ReadOnlyMemory<byte> Read(Stream input, int limit)
    {
        using var content = new MemoryStream();
        byte[] chunk = new byte[64 * 1024];
        int read;
        while (content.Length < limit && (read = input.Read(chunk, 0, (int)Math.Min(chunk.Length, limit - content.Length))) > 0)
        {
            content.Write(chunk, 0, read);
        }

        return content.ToArray();
    }
}
