using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace Rynxs.Agents.Inbox;

/// <summary>
/// Reads one line of <c>inbox.jsonl</c>: <c>{"text"}</c>, or the task form
/// <c>{"task_id","title","text","priority","deadline","input"}</c>, both with an optional <c>"id"</c> (docs/agents.md, "The inbox").
/// </summary>
internal static class InboxLineParser
{
    /// <summary>Longest text: 1 MiB of UTF-8, as in a Task.</summary>
    public const int MaxTextBytes = 1024 * 1024;

    /// <summary>
    /// Longest line, its newline left out: 4 MiB, because JSON escapes make a text longer. The agent's chain keeps each line whole.
    /// </summary>
    public const int MaxLineBytes = Ledger.LedgerLimits.MaxBlobBytes;

    private const int MaxTitleLength = 256, MaxTaskIdLength = 256;

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private static readonly JsonDocumentOptions Strict = new() { MaxDepth = 32, AllowDuplicateProperties = false };

    /// <summary>Parses a line.</summary>
    /// <param name="line">Without its newline.</param>
    /// <param name="offset">Byte offset in the inbox.</param>
    /// <param name="generation">How often the inbox was truncated or replaced; makes derived ids unique across that.</param>
    public static InboxLine Parse(ReadOnlyMemory<byte> line, long offset, int generation)
    {
        if (line.Length > MaxLineBytes)
        {
            return new InboxLine.Rejected("too_long", $"A line has at most {MaxLineBytes} bytes.");
        }

        if (line.Span.Trim(" \t\r"u8).IsEmpty)
        {
            return new InboxLine.Blank();
        }

        try
        {
            _ = StrictUtf8.GetCharCount(line.Span);
        }
        catch (DecoderFallbackException)
        {
            return new InboxLine.Rejected("invalid_utf8", "The line is not UTF-8.");
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(line, Strict);
            return document.RootElement.ValueKind == JsonValueKind.Object
                ? Read(document.RootElement, DerivedId(line.Span, offset, generation))
                : new InboxLine.Rejected("not_an_object", "A line is a JSON object such as {\"text\":\"...\"}.");
        }
        catch (JsonException malformed)
        {
            return new InboxLine.Rejected("invalid_json", $"Not JSON at byte {malformed.BytePositionInLine?.ToString(CultureInfo.InvariantCulture) ?? "?"} of the line.");
        }
        catch (InvalidOperationException)
        {
            // JsonElement.GetString on an escaped lone surrogate.
            return new InboxLine.Rejected("invalid_utf8", "The line holds a lone surrogate.");
        }
    }

    /// <summary>Whether a text given to an id-taking field is one.</summary>
    public static bool IsId(string id) =>
        id.Length is > 0 and <= 128 && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-');

    /// <summary>First control character that a text must not hold; tab, line feed and carriage return are allowed. -1 when there is none.</summary>
    public static int IndexOfControlCharacter(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (char.IsControl(text[i]) && text[i] is not ('\t' or '\n' or '\r'))
            {
                return i;
            }
        }

        return -1;
    }

    private static InboxLine Read(JsonElement line, string derivedId)
    {
        string? id = null, text = null, taskId = null, title = null, priority = null, deadline = null;
        JsonElement? input = null;
        foreach (JsonProperty property in line.EnumerateObject())
        {
            if (property.Name == "input")
            {
                input = property.Value.Clone();
                continue;
            }

            if (property.Name is not ("id" or "text" or "task_id" or "title" or "priority" or "deadline"))
            {
                return new InboxLine.Rejected(
                    "unknown_field", $"'{Shorten(property.Name)}' is not a field; known are id, text, task_id, title, priority, deadline, input.");
            }

            if (property.Value.ValueKind == JsonValueKind.Null)
            {
                continue;
            }

            if (property.Value.ValueKind != JsonValueKind.String)
            {
                return new InboxLine.Rejected("invalid_field", $"'{property.Name}' must be a string.");
            }

            string value = property.Value.GetString() ?? "";
            if (IndexOfControlCharacter(value) is >= 0 and int at)
            {
                return new InboxLine.Rejected("control_characters", $"'{property.Name}' holds the control character U+{(int)value[at]:X4} at {at}.");
            }

            _ = property.Name switch
            {
                "id" => id = value,
                "text" => text = value,
                "task_id" => taskId = value,
                "title" => title = value,
                "priority" => priority = value,
                _ => deadline = value,
            };
        }

        return Check(id ?? derivedId, text, taskId, title, priority, deadline, input);
    }

    private static InboxLine Check(
        string id, string? text, string? taskId, string? title, string? priority, string? deadline, JsonElement? input)
    {
        if (!IsId(id))
        {
            return new InboxLine.Rejected("invalid_field", "'id' must be 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-'.");
        }

        if (string.IsNullOrWhiteSpace(text))
        {
            return new InboxLine.Rejected("missing_text", "'text' is missing or empty.");
        }

        if (StrictUtf8.GetByteCount(text) is > MaxTextBytes and int bytes)
        {
            return new InboxLine.Rejected("too_long", $"'text' has {bytes} bytes; at most {MaxTextBytes} are allowed.");
        }

        if (taskId is { Length: 0 or > MaxTaskIdLength } || title is { Length: > MaxTitleLength })
        {
            return new InboxLine.Rejected("invalid_field", $"'task_id' has 1 to {MaxTaskIdLength} characters, 'title' at most {MaxTitleLength}.");
        }

        MessagePriority rank = MessagePriority.Normal;
        if (priority is not null && !TryReadPriority(priority, out rank))
        {
            return new InboxLine.Rejected("invalid_field", $"'priority' is '{Shorten(priority)}'; allowed are low, normal, high, critical.");
        }

        DateTimeOffset? end = null;
        if (deadline is not null)
        {
            if (!DateTimeOffset.TryParse(deadline, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset parsed))
            {
                return new InboxLine.Rejected("invalid_field", $"'deadline' is '{Shorten(deadline)}'; write it as 2026-01-31T12:00:00Z.");
            }

            end = parsed;
        }

        return new InboxLine.Accepted(new InboxMessage
        {
            Id = id,
            Text = text,
            TaskId = taskId,
            Title = title,
            Priority = rank,
            Deadline = end,
            Input = input,
        });
    }

    /// <summary>Reads a priority by its wire name.</summary>
    public static bool TryReadPriority(string text, out MessagePriority priority)
    {
        (bool known, priority) = text switch
        {
            "low" => (true, MessagePriority.Low),
            "normal" => (true, MessagePriority.Normal),
            "high" => (true, MessagePriority.High),
            "critical" => (true, MessagePriority.Critical),
            _ => (false, MessagePriority.Normal),
        };
        return known;
    }

    // The same line at the same place has the same id, so reading it again after a crash finds that it is known.
    private static string DerivedId(ReadOnlySpan<byte> line, long offset, int generation) =>
        $"m{generation}-{offset}-{Convert.ToHexStringLower(SHA256.HashData(line).AsSpan(0, 4))}";

    private static string Shorten(string text)
    {
        string visible = string.Concat(text.Take(40).Select(c => char.IsControl(c) || char.IsSurrogate(c) ? '?' : c));
        return text.Length > 40 ? visible + "…" : visible;
    }
}
