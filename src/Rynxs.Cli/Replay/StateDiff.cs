using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.LedgerFiles;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.Replay;

/// <summary><c>--diff A B</c>: what changed in our state between two points.</summary>
internal static class StateDiff
{
    private const int MaxChanges = 10_000;

    public static int Run(Screen screen, ReplayRequest request, IReadOnlyList<string> points, CancellationToken cancellationToken)
    {
        Point before = At(request.Source, points[0], cancellationToken);
        Point after = At(request.Source, points[1], cancellationToken);
        List<Change> changes = [.. Changes("", before.State, after.State).Where(change => change.Path is not "last_seq").Take(MaxChanges)];
        if (request.Json)
        {
            LogArguments.WriteJson(screen, new JsonObject
            {
                ["before"] = before.ToJson(),
                ["after"] = after.ToJson(),
                ["changes"] = new JsonArray([.. changes.Select(change => (JsonNode)new JsonObject
                {
                    ["path"] = change.Path, ["before"] = Node(change.Before), ["after"] = Node(change.After),
                })]),
            });
            return ExitCodes.Ok;
        }

        screen.Line($"before  seq {before.Result.Last.Seq}  {before.Result.Rynxs?.Hash()}");
        screen.Line($"after   seq {after.Result.Last.Seq}  {after.Result.Rynxs?.Hash()}");
        foreach (Change change in changes)
        {
            string path = LogArguments.OneLine(change.Path, 200);
            screen.Line((change.Before, change.After) switch
            {
                (null, { } added) => $"+ {path}: {LogArguments.OneLine(added.GetRawText())}",
                ({ } removed, null) => $"- {path}: {LogArguments.OneLine(removed.GetRawText())}",
                var (old, now) => $"~ {path}: {LogArguments.OneLine(old?.GetRawText())} → {LogArguments.OneLine(now?.GetRawText())}",
            });
        }

        return ExitCodes.Ok;
    }

    private static Point At(LogSource source, string point, CancellationToken cancellationToken)
    {
        ReplayResult result = LogReplay.Run(source, LogArguments.EndOf(point, "--diff"), observe: null, cancellationToken);
        return new Point(result, JsonElement.Parse(result.Rynxs?.ToCanonical() ?? "{}"u8.ToArray()));
    }

    private static IEnumerable<Change> Changes(string path, JsonElement before, JsonElement after)
    {
        if (before.ValueKind != JsonValueKind.Object || after.ValueKind != JsonValueKind.Object)
        {
            return before.GetRawText() == after.GetRawText() ? [] : [new Change(path, before, after)];
        }

        return before.EnumerateObject().Select(member => member.Name).Union(after.EnumerateObject().Select(member => member.Name)).Order(StringComparer.Ordinal)
            .SelectMany(name => (before.TryGetProperty(name, out JsonElement old), after.TryGetProperty(name, out JsonElement now)) switch
            {
                (true, true) => Changes(Join(path, name), old, now),
                (true, false) => [new Change(Join(path, name), old, null)],
                _ => [new Change(Join(path, name), null, now)],
            });
    }

    private static string Join(string path, string name) => path.Length == 0 ? name : $"{path} › {name}";

    private static JsonNode? Node(JsonElement? value) => value is { } element ? JsonNode.Parse(element.GetRawText()) : null;

    private sealed record Change(string Path, JsonElement? Before, JsonElement? After);

    private sealed record Point(ReplayResult Result, JsonElement State)
    {
        public JsonObject ToJson() => new()
        {
            ["last_seq"] = Result.Last.Seq, ["last_hash"] = Result.Last.EventHash, ["state_hash"] = Result.Universe.Hash(), ["rynxs_state_hash"] = Result.Rynxs?.Hash(),
        };
    }
}
