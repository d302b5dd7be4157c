using Microsoft.Win32.SafeHandles;
using Rynxs.Agents.Durability;

namespace Rynxs.Agents.Inbox;

/// <summary>Finds the next whole line of an inbox. Holds no file open between calls, so the inbox may be moved or replaced at will.</summary>
internal sealed class InboxReader(string path)
{
    /// <summary>What lies at the cursor.</summary>
    internal abstract record Step
    {
        private Step()
        {
        }

        /// <summary>A whole line.</summary>
        /// <param name="Content">Without the newline.</param>
        /// <param name="Offset">Where it began.</param>
        /// <param name="Next">The cursor after it.</param>
        public sealed record Line(byte[] Content, long Offset, InboxCursor Next) : Step;

        /// <summary>A line longer than allowed began here; its first bytes are given.</summary>
        public sealed record Oversized(byte[] Start, long Offset, InboxCursor Next) : Step;

        /// <summary>The file is shorter than the cursor, or its past is another: it is read from the beginning.</summary>
        public sealed record Replaced(string Detail, InboxCursor Next) : Step;

        /// <summary>No whole line yet; the cursor may have moved over the rest of an oversized line.</summary>
        public sealed record Nothing(InboxCursor Next) : Step;
    }

    private const int ChunkBytes = 64 * 1024;

    /// <summary>Looks once. Reads at most one line plus one chunk into memory.</summary>
    /// <exception cref="IOException">The inbox cannot be read.</exception>
    public Step Read(InboxCursor cursor)
    {
        SafeFileHandle file;
        try
        {
            file = DurableFile.OpenForReading(path);
        }
        catch (Exception missing) when (missing is FileNotFoundException or DirectoryNotFoundException)
        {
            return cursor.Offset == 0
                ? new Step.Nothing(cursor)
                : new Step.Replaced("the inbox is gone", FreshCursor(cursor));
        }

        using (file)
        {
            long length = Length(file);
            if (length < cursor.Offset)
            {
                return new Step.Replaced($"the inbox has {length} bytes, {cursor.Offset} were read before", FreshCursor(cursor));
            }

            if (cursor.Offset > 0 && cursor.Anchor != AnchorBefore(file, cursor.Offset))
            {
                return new Step.Replaced("the part that was read before is another now", FreshCursor(cursor));
            }

            return cursor.SkippingLine ? Skip(file, cursor) : ReadLine(file, cursor);
        }
    }

    private long Length(SafeFileHandle file)
    {
        try
        {
            return RandomAccess.GetLength(file);
        }
        catch (NotSupportedException)
        {
            throw new NotAFileException(path, "a pipe or a device");
        }
    }

    private static InboxCursor FreshCursor(InboxCursor cursor) => new() { Generation = cursor.Generation + 1, Count = cursor.Count };

    private static Step ReadLine(SafeFileHandle file, InboxCursor cursor)
    {
        using var line = new MemoryStream();
        byte[] chunk = new byte[ChunkBytes];
        while (line.Length <= InboxLineParser.MaxLineBytes)
        {
            int read = RandomAccess.Read(file, chunk, cursor.Offset + line.Length);
            if (read == 0)
            {
                return new Step.Nothing(cursor);
            }

            int newline = chunk.AsSpan(0, read).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                line.Write(chunk, 0, newline);
                if (line.Length > InboxLineParser.MaxLineBytes)
                {
                    break;
                }

                return new Step.Line(line.ToArray(), cursor.Offset, Advance(file, cursor, cursor.Offset + line.Length + 1, counts: true, skipping: false));
            }

            line.Write(chunk, 0, read);
        }

        byte[] start = line.GetBuffer().AsSpan(0, 1024).ToArray();

        // From the first byte on: where the line ends is looked for later, in bounded steps.
        return new Step.Oversized(start, cursor.Offset, Advance(file, cursor, cursor.Offset + start.Length, counts: true, skipping: true));
    }

    private static Step.Nothing Skip(SafeFileHandle file, InboxCursor cursor)
    {
        byte[] chunk = new byte[ChunkBytes];
        long offset = cursor.Offset;
        int read;
        while ((read = RandomAccess.Read(file, chunk, offset)) > 0)
        {
            int newline = chunk.AsSpan(0, read).IndexOf((byte)'\n');
            if (newline >= 0)
            {
                return new Step.Nothing(Advance(file, cursor, offset + newline + 1, counts: false, skipping: false));
            }

            offset += read;
        }

        return new Step.Nothing(Advance(file, cursor, offset, counts: false, skipping: true));
    }

    private static InboxCursor Advance(SafeFileHandle file, InboxCursor cursor, long offset, bool counts, bool skipping) => cursor with
    {
        Offset = offset,
        Count = cursor.Count + (counts ? 1 : 0),
        Anchor = AnchorBefore(file, offset),
        SkippingLine = skipping,
    };

    private static string AnchorBefore(SafeFileHandle file, long offset)
    {
        int length = (int)Math.Min(offset, InboxCursor.AnchorBytes);
        byte[] before = new byte[length];
        int filled = 0;
        while (filled < length)
        {
            int read = RandomAccess.Read(file, before.AsSpan(filled), offset - length + filled);
            if (read == 0)
            {
                break;
            }

            filled += read;
        }

        return InboxCursor.AnchorOf(before.AsSpan(0, filled));
    }
}
