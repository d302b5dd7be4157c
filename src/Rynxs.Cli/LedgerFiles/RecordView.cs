using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.LedgerFiles;

/// <summary>Records of a log for people and as the original's command line gives them.</summary>
internal static class RecordView
{
    /// <summary>The stored record and its place: <c>{"event":…,"event_hash","prev_hash","seq","hash"}</c>.</summary>
    public static JsonObject ToJson(LogRecord record, bool withPayload)
    {
        JsonObject stored = JsonNode.Parse(record.Utf8.Span, documentOptions: new JsonDocumentOptions { MaxDepth = LedgerLimits.MaxDepth + 2 })?.AsObject() ?? [];
        if (!withPayload && stored["event"] is JsonObject content)
        {
            content["payload"] = "<hidden>";
        }

        stored["seq"] = record.Seq;
        stored["hash"] = record.EventHash;
        return stored;
    }

    /// <summary>One line: as stored, or readable.</summary>
    public static void Show(Screen screen, LogRecord record, bool json) => screen.Line(json ? Encoding.UTF8.GetString(record.Utf8.Span) : Line(record));

    public static string Line(LogRecord record)
    {
        string when = record.Time is { } time
            ? time.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture)
            : string.Create(CultureInfo.InvariantCulture, $"ts {record.Ts}");
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{record.Seq,8}  {when,-24}  {LogArguments.OneLine(record.Type, 40),-22}  {LogArguments.OneLine(record.AggregateId, 80),-24}  {record.EventHash[..12]}");
    }
}
