using System.Globalization;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Tests.Transcripts;

/// <summary>
/// The recorded server's time of day, because the order of managedFields depends on which writes fell into the same second. Timers and durations are real.
/// </summary>
internal sealed class ReplayClock : TimeProvider
{
    private DateTimeOffset _now = new(2026, 11, 21, 23, 0, 0, TimeSpan.Zero);

    public override DateTimeOffset GetUtcNow() => _now;

    /// <summary>Goes on to the latest time in an answer; never back.</summary>
    public void Follow(TranscriptExchange exchange) => Visit(exchange.Answer ?? exchange.Events);

    private void Visit(JsonNode? node)
    {
        switch (node)
        {
            case JsonObject fields:
                foreach ((string name, JsonNode? value) in fields)
                {
                    if (name is "time" or "creationTimestamp" or "deletionTimestamp" && value is JsonValue text && text.TryGetValue(out string? time)
                        && DateTimeOffset.TryParse(time, CultureInfo.InvariantCulture, out DateTimeOffset at) && at > _now)
                    {
                        _now = at;
                    }

                    Visit(value);
                }

                break;
            case JsonArray items:
                foreach (JsonNode? item in items)
                    Visit(item);
                break;
        }
    }
}
