using System.Globalization;
using System.Text.Json;

namespace Rynxs.Ledger.Export;

/// <summary>
/// An ExportLogsServiceRequest of OTLP 1.x in its JSON form: one resource, one scope, a log record per event. Written by hand: it is one
/// message, and the exporter package would bring a log pipeline whose batches may be dropped.
/// </summary>
public static class OtlpLogsFormat
{
    /// <summary>The request's body.</summary>
    public static byte[] Format(IReadOnlyList<ExportedEvent> batch, string version)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartArray("resourceLogs");
            json.WriteStartObject();
            json.WriteStartObject("resource");
            json.WriteStartArray("attributes");
            Attribute(json, "service.name", "rynxs");
            Attribute(json, "service.version", version);
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteStartArray("scopeLogs");
            json.WriteStartObject();
            json.WriteStartObject("scope");
            json.WriteString("name", "rynxs.ledger");
            json.WriteEndObject();
            json.WriteStartArray("logRecords");
            foreach (ExportedEvent exported in batch)
            {
                Write(json, exported);
            }

            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
        }

        return buffer.ToArray();
    }

    private static void Write(Utf8JsonWriter json, ExportedEvent exported)
    {
        string nanoseconds = ((exported.Time - DateTimeOffset.UnixEpoch).Ticks * 100).ToString(CultureInfo.InvariantCulture);
        json.WriteStartObject();
        json.WriteString("timeUnixNano", nanoseconds);
        json.WriteString("observedTimeUnixNano", nanoseconds);
        (int number, string text) = exported.Severity switch
        {
            ExportSeverity.Critical => (21, "FATAL"),
            ExportSeverity.High => (17, "ERROR"),
            ExportSeverity.Medium => (13, "WARN"),
            ExportSeverity.Low => (10, "INFO2"),
            _ => (9, "INFO"),
        };
        json.WriteNumber("severityNumber", number);
        json.WriteString("severityText", text);
        json.WriteString("eventName", "rynxs." + exported.Record.Type);
        if (exported.TraceId is { } trace)
        {
            json.WriteString("traceId", trace);
        }

        json.WriteStartObject("body");
        json.WriteString("stringValue", exported.Payload);
        json.WriteEndObject();
        json.WriteStartArray("attributes");
        Attribute(json, "rynxs.chain", exported.Chain);
        Attribute(json, "rynxs.seq", exported.Record.Seq);
        Attribute(json, "rynxs.leaf_index", exported.LeafIndex);
        Attribute(json, "rynxs.event_hash", exported.Record.EventHash);
        Attribute(json, "rynxs.prev_hash", exported.Record.PrevHash);
        Attribute(json, "rynxs.aggregate_id", exported.Record.AggregateId);
        Attribute(json, "rynxs.type", exported.Record.Type);
        Attribute(json, "enduser.id", exported.Principal);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Attribute(Utf8JsonWriter json, string key, string value)
    {
        json.WriteStartObject();
        json.WriteString("key", key);
        json.WriteStartObject("value");
        json.WriteString("stringValue", value);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    /// <summary>64-bit integers are texts in protobuf's JSON.</summary>
    private static void Attribute(Utf8JsonWriter json, string key, long value)
    {
        json.WriteStartObject();
        json.WriteString("key", key);
        json.WriteStartObject("value");
        json.WriteString("intValue", value.ToString(CultureInfo.InvariantCulture));
        json.WriteEndObject();
        json.WriteEndObject();
    }
}
