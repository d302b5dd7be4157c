using System.Text.Json;
using Rynxs.Ledger.Events;

namespace Rynxs.Ledger.Export;

/// <summary>
/// OCSF 1.3 events, one JSON object a line: Detection Finding (2004) for violations, Application Lifecycle (6002) for what starts and stops,
/// API Activity (6003) for everything else. What OCSF has no field for stands in <c>unmapped</c>.
/// </summary>
public static class OcsfFormat
{
    private const string SchemaVersion = "1.3.0";

    /// <summary>The event without a newline.</summary>
    public static byte[] Format(ExportedEvent exported)
    {
        ArgumentNullException.ThrowIfNull(exported);
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            Write(json, exported);
        }

        return buffer.ToArray();
    }

    private static void Write(Utf8JsonWriter json, ExportedEvent exported)
    {
        (int classId, int activity) = ClassOf(exported);
        json.WriteStartObject();
        json.WriteNumber("class_uid", classId);
        json.WriteNumber("category_uid", classId / 1000);
        json.WriteNumber("activity_id", activity);
        json.WriteNumber("type_uid", (classId * 100) + activity);
        json.WriteNumber("time", exported.Time.ToUnixTimeMilliseconds());
        json.WriteNumber("severity_id", (int)exported.Severity + 1);
        json.WriteNumber("status_id", exported.Failed ? 2 : 1);
        json.WriteString("message", $"{exported.Record.Type} {exported.Record.AggregateId}");
        json.WriteStartObject("metadata");
        json.WriteString("version", SchemaVersion);
        json.WriteString("uid", exported.Record.EventHash);
        json.WriteNumber("sequence", exported.Record.Seq);
        json.WriteString("log_name", exported.Chain);
        json.WriteString("event_code", exported.Record.Type);
        WriteProduct(json);
        json.WriteEndObject();
        WriteClass(json, exported, classId);
        json.WriteStartObject("unmapped");
        json.WriteString("chain", exported.Chain);
        json.WriteNumber("seq", exported.Record.Seq);
        json.WriteNumber("leaf_index", exported.LeafIndex);
        json.WriteString("event_hash", exported.Record.EventHash);
        json.WriteString("prev_hash", exported.Record.PrevHash);
        json.WriteString("aggregate_id", exported.Record.AggregateId);
        // Canonical JSON is JSON; it was verified when it was read.
        json.WritePropertyName("payload");
        json.WriteRawValue(exported.Record.PayloadUtf8, skipInputValidation: true);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteClass(Utf8JsonWriter json, ExportedEvent exported, int classId)
    {
        json.WriteStartObject("actor");
        json.WriteStartObject("user");
        json.WriteString("name", exported.Principal);
        json.WriteEndObject();
        json.WriteEndObject();
        switch (classId)
        {
            case 2004:
                json.WriteStartObject("finding_info");
                json.WriteString("uid", exported.Record.PayloadText("violation_id"u8) ?? exported.Record.EventHash);
                json.WriteString("title", exported.Record.PayloadText("violation_type"u8) ?? "violation");
                json.WriteEndObject();
                break;
            case 6002:
                json.WriteStartObject("app");
                json.WriteString("name", exported.Record.AggregateId);
                json.WriteString("vendor_name", "Rynxs");
                json.WriteEndObject();
                break;
            default:
                json.WriteStartObject("api");
                json.WriteString("operation", exported.Record.PayloadText("verb"u8) ?? exported.Record.PayloadText("tool"u8) ?? exported.Record.Type);
                json.WriteEndObject();
                json.WriteStartObject("src_endpoint");
                json.WriteString("name", exported.Record.MetaText("writer_id"u8) ?? "rynxs");
                json.WriteEndObject();
                break;
        }
    }

    private static void WriteProduct(Utf8JsonWriter json)
    {
        json.WriteStartObject("product");
        json.WriteString("name", "Rynxs");
        json.WriteString("vendor_name", "Rynxs");
        json.WriteEndObject();
    }

    private static (int Class, int Activity) ClassOf(ExportedEvent exported) => exported.Record.Type switch
    {
        nameof(SandboxViolation) => (2004, 1),
        nameof(LedgerOpened) or nameof(SandboxStarted) or nameof(TaskStarted) or nameof(LeadershipAcquired) => (6002, 3),
        nameof(SandboxEnded) or nameof(TaskFinished) or nameof(LeadershipLost) => (6002, 4),
        _ => (6003, exported.Record.PayloadText("verb"u8) switch
        {
            "create" => 1,
            "get" or "list" or "watch" => 2,
            "update" or "patch" or "update-status" => 3,
            "delete" => 4,
            _ => 99,
        }),
    };
}
