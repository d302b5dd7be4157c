using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Tests.Transcripts;

/// <summary>Discovery documents list kinds that we do not serve: only entries that both have are compared, whole and in order.</summary>
internal static class DiscoveryScope
{
    public static void Narrow(TranscriptExchange exchange, JsonNode? recorded, JsonNode? actual)
    {
        if (exchange.File != "discovery" || recorded is not JsonObject a || actual is not JsonObject b)
            return;
        switch (exchange.Name)
        {
            case "version":
                // Which build answered: only the version of the API is a promise.
                foreach (JsonObject version in (JsonObject[])[a, b])
                {
                    foreach (string field in (string[])["gitVersion", "gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform"])
                        version[field] = "<build>";
                }

                break;
            case "core v1 resources":
                Keep(a, b, "resources", "name");
                break;
            case "groups":
                Keep(a, b, "groups", "name");
                break;
            case var name when name.StartsWith("aggregated discovery of groups", StringComparison.Ordinal):
                b["items"] = new JsonArray([.. b["items"]!.AsArray().Where(item => (string?)item!["metadata"]!["name"] == "example.universe.ai").Select(item => item!.DeepClone())]); // as its name says
                break;
            case "aggregated discovery of core":
                JsonObject ours = b["items"]![0]!["versions"]![0]!.AsObject();
                JsonObject theirs = a["items"]![0]!["versions"]![0]!.AsObject();
                Keep(theirs, ours, "resources", "resource");
                foreach ((JsonNode? one, JsonNode? other) in theirs["resources"]!.AsArray().Zip(ours["resources"]!.AsArray()))
                {
                    if (one!["subresources"] is not null)
                        Keep(one.AsObject(), other!.AsObject(), "subresources", "subresource");
                }

                break;
            case var name when name.StartsWith("openapi v3 index", StringComparison.Ordinal):
                foreach (string path in b["paths"]!.AsObject().Select(entry => entry.Key).ToArray())
                {
                    if (!a["paths"]!.AsObject().ContainsKey(path))
                        b["paths"]!.AsObject().Remove(path);
                }

                break;
        }
    }

    /// <summary>A kind of ours that the real server does not have stays, so that one by a wrong name shows.</summary>
    private static void Keep(JsonObject recorded, JsonObject actual, string list, string key)
    {
        HashSet<string> ours = [.. (actual[list] as JsonArray ?? []).Select(item => (string?)item![key] ?? "")];
        JsonNode[] kept = [.. (recorded[list] as JsonArray ?? []).Where(item => ours.Contains((string?)item![key] ?? "")).Select(item => item!.DeepClone())];
        recorded[list] = new JsonArray(kept);
        if (actual[list] is null && kept.Length == 0)
            recorded.Remove(list);
        if (list != "groups")
            return;
        HashSet<string> theirs = [.. kept.Select(item => (string?)item[key] ?? "")];
        actual[list] = new JsonArray([.. actual[list]!.AsArray().Where(item => theirs.Contains((string?)item![key] ?? "") || (string?)item[key] is not "universe.ai").Select(item => item!.DeepClone())]);
    }
}
