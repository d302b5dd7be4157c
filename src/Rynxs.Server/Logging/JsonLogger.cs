using System.Buffers;
using System.Diagnostics;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Rynxs.Server.Logging;

/// <summary>
/// Logs as one JSON object per line: time, level, category, event, message, its values, and the W3C trace and span of the request.
/// Values are escaped, so that no text can forge a second line (F4). Secrets are never given to a logger in the first place.
/// </summary>
internal sealed class JsonLoggerProvider(TextWriter output, LogLevel minimum, TimeProvider timeProvider) : ILoggerProvider
{
    private readonly Lock _gate = new();

    public ILogger CreateLogger(string categoryName) => new JsonLogger(categoryName, this);

    public void Dispose()
    {
        // The writer belongs to whoever gave it.
    }

    private void Write(LogLevel level, string category, EventId eventId, string message, object? state, Exception? exception)
    {
        var buffer = new ArrayBufferWriter<byte>(512);
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.Default }))
        {
            json.WriteStartObject();
            json.WriteString("time", timeProvider.GetUtcNow().UtcDateTime);
            json.WriteString("level", Name(level));
            json.WriteString("category", category);
            if (eventId.Name is not null)
            {
                json.WriteString("event", eventId.Name);
            }

            json.WriteString("message", message);
            if (Activity.Current is { } activity)
            {
                json.WriteString("trace_id", activity.TraceId.ToHexString());
                json.WriteString("span_id", activity.SpanId.ToHexString());
            }

            WriteValues(json, state);
            if (exception is not null)
            {
                json.WriteString("exception", exception.ToString());
            }

            json.WriteEndObject();
        }

        string line = Encoding.UTF8.GetString(buffer.WrittenSpan);
        lock (_gate)
        {
            output.WriteLine(line);
            output.Flush();
        }
    }

    private static void WriteValues(Utf8JsonWriter json, object? state)
    {
        if (state is not IReadOnlyList<KeyValuePair<string, object?>> values)
        {
            return;
        }

        foreach ((string name, object? value) in values)
        {
            if (name != "{OriginalFormat}")
            {
                json.WriteString($"v_{name}", Convert.ToString(value, System.Globalization.CultureInfo.InvariantCulture));
            }
        }
    }

    private static string Name(LogLevel level) => level switch
    {
        LogLevel.Trace => "trace",
        LogLevel.Debug => "debug",
        LogLevel.Information => "info",
        LogLevel.Warning => "warn",
        LogLevel.Error => "error",
        _ => "critical",
    };

    private sealed class JsonLogger(string category, JsonLoggerProvider provider) : ILogger
    {
        // The framework tells about every request; ours are counted in metrics instead, and its debug lines may show headers.
        private readonly LogLevel _minimum = category.StartsWith("Microsoft.", StringComparison.Ordinal) && provider.Minimum < LogLevel.Warning
            ? LogLevel.Warning
            : provider.Minimum;

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None && logLevel >= _minimum;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
            {
                provider.Write(logLevel, category, eventId, formatter(state, exception), state, exception);
            }
        }
    }

    private LogLevel Minimum { get; } = minimum;
}
