using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Rynxs.Agents.Durability;
using Rynxs.Agents.Lifecycle;

namespace Rynxs.Agents.Inbox;

/// <summary>Appends messages to an inbox; a line is durable when the call returns.</summary>
internal sealed class InboxAppender(string path) : IDisposable
{
    // Our own appends also look at the last byte first, which O_APPEND alone does not cover.
    private readonly SemaphoreSlim _oneAtATime = new(1, 1);

    /// <summary>Appends one message.</summary>
    /// <exception cref="MessageRefusedException">The message cannot be a line of an inbox.</exception>
    /// <exception cref="IOException">The file system refused.</exception>
    public async Task AppendAsync(InboxMessage message, CancellationToken cancellationToken)
    {
        byte[] line = Serialize(message);
        await _oneAtATime.WaitAsync(cancellationToken);
        try
        {
            // A half line that somebody left must not swallow ours.
            DurableFile.AppendLine(path, EndsInHalfLine() ? [(byte)'\n', .. line] : line);
        }
        finally
        {
            _oneAtATime.Release();
        }
    }

    public void Dispose() => _oneAtATime.Dispose();

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private static byte[] Serialize(InboxMessage message)
    {
        if (string.IsNullOrWhiteSpace(message.Text))
        {
            throw new MessageRefusedException("empty", "The text of a message must not be empty.");
        }

        if (InboxLineParser.IndexOfControlCharacter(message.Text) is >= 0 and int at)
        {
            throw new MessageRefusedException("control_characters", $"The text holds the control character U+{(int)message.Text[at]:X4} at {at}.");
        }

        try
        {
            // The JSON writer would silently put U+FFFD in place of a lone surrogate.
            int bytes = StrictUtf8.GetByteCount(message.Text);
            if (bytes > InboxLineParser.MaxTextBytes)
            {
                throw new MessageRefusedException("too_long", $"'text' has {bytes} bytes; at most {InboxLineParser.MaxTextBytes} are allowed.");
            }
        }
        catch (EncoderFallbackException)
        {
            throw new MessageRefusedException("invalid_utf8", "The text holds a lone surrogate.");
        }

        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            Write(writer, message);
        }

        if (buffer.WrittenCount > InboxLineParser.MaxLineBytes)
        {
            throw new MessageRefusedException("too_long", $"As a line the message has {buffer.WrittenCount} bytes; at most {InboxLineParser.MaxLineBytes} are allowed.");
        }

        buffer.Write("\n"u8);
        return buffer.WrittenSpan.ToArray();
    }

    private static void Write(Utf8JsonWriter writer, InboxMessage message)
    {
        writer.WriteStartObject();
        writer.WriteString("id", message.Id);
        if (message.TaskId is not null)
        {
            writer.WriteString("task_id", message.TaskId);
            writer.WriteString("title", message.Title);
            writer.WriteString("priority", message.Priority.ToString().ToLowerInvariant());
            if (message.Deadline is { } deadline)
            {
                writer.WriteString("deadline", deadline.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.FFFFFFF'Z'", CultureInfo.InvariantCulture));
            }

            if (message.Input is { } input)
            {
                writer.WritePropertyName("input");
                input.WriteTo(writer);
            }
        }

        writer.WriteString("text", message.Text);
        writer.WriteEndObject();
    }

    private bool EndsInHalfLine()
    {
        try
        {
            using SafeFileHandle file = DurableFile.OpenForReading(path);
            Span<byte> last = stackalloc byte[1];
            return RandomAccess.GetLength(file) is > 0 and long length && RandomAccess.Read(file, last, length - 1) == 1 && last[0] != '\n';
        }
        catch (NotSupportedException)
        {
            throw new NotAFileException(path, "a pipe or a device");
        }
        catch (FileNotFoundException)
        {
            return false;
        }
    }
}
