using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Rynxs.Agents.Durability;

namespace Rynxs.Agents.Outbox;

/// <summary>An agent's <c>outbox.jsonl</c>, written by its loop alone.</summary>
internal sealed class OutboxFile(string path)
{
    private const int MaxLineBytes = 4 * 1024 * 1024;

    private static readonly OutboxContext Relaxed = new(new JsonSerializerOptions(OutboxContext.Default.Options)
    {
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    });

    /// <summary>Cuts a last line that a crash left without its newline; its message is answered again. Returns how many bytes were cut.</summary>
    public long RepairTail()
    {
        if (!File.Exists(path))
        {
            return 0;
        }

        long length, end;
        using (FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 1))
        {
            length = file.Length;
            end = length;
            byte[] chunk = new byte[64 * 1024];
            while (end > 0)
            {
                int size = (int)Math.Min(chunk.Length, end);
                file.Position = end - size;
                file.ReadExactly(chunk, 0, size);
                int newline = chunk.AsSpan(0, size).LastIndexOf((byte)'\n');
                if (newline >= 0)
                {
                    end = end - size + newline + 1;
                    break;
                }

                end -= size;
            }
        }

        if (end < length)
        {
            DurableFile.Truncate(path, end);
        }

        return length - end;
    }

    /// <summary>Durable when it returns.</summary>
    /// <exception cref="IOException">The file system refused.</exception>
    public void Append(OutboxLine line)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(line, Relaxed.OutboxLine);
        DurableFile.AppendLine(path, [.. json, (byte)'\n']);
    }

    /// <summary>The lines that answer one of these messages; the first for each. Lines that are no JSON are passed over.</summary>
    public IReadOnlyDictionary<string, OutboxLine> Find(IReadOnlySet<string> messageIds)
    {
        var found = new Dictionary<string, OutboxLine>();
        if (messageIds.Count == 0 || !File.Exists(path))
        {
            return found;
        }

        using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        foreach (ReadOnlyMemory<byte> json in Lines(file))
        {
            OutboxLine? line = TryRead(json.Span);
            if (line?.Id is { } id && messageIds.Contains(id))
            {
                found.TryAdd(id, line);
            }
        }

        return found;
    }

    private static OutboxLine? TryRead(ReadOnlySpan<byte> json)
    {
        try
        {
            return JsonSerializer.Deserialize(json, OutboxContext.Default.OutboxLine);
        }
        catch (JsonException)
        {
            return null; // Edited by hand; not a line of ours.
        }
    }

    private static IEnumerable<ReadOnlyMemory<byte>> Lines(Stream stream)
    {
        var line = new ArrayBufferWriter<byte>();
        byte[] chunk = new byte[64 * 1024];
        bool tooLong = false;
        int read;
        while ((read = stream.Read(chunk)) > 0)
        {
            int start = 0;
            int newline;
            while ((newline = Array.IndexOf(chunk, (byte)'\n', start, read - start)) >= 0)
            {
                line.Write(chunk.AsSpan(start, newline - start));
                if (!tooLong)
                {
                    yield return line.WrittenMemory;
                }

                line.Clear();
                tooLong = false;
                start = newline + 1;
            }

            if (line.WrittenCount + read - start > MaxLineBytes)
            {
                tooLong = true;
                line.Clear();
            }
            else if (!tooLong)
            {
                line.Write(chunk.AsSpan(start, read - start));
            }
        }
    }
}
