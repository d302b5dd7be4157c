using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Rynxs.ResourceServer.Tests.Kit;

namespace Rynxs.ResourceServer.Tests.Transcripts;

/// <summary>
/// Sends recorded requests to our server, in order, and compares the answers. What a request repeats from an earlier answer (uids, versions, generated names,
/// continue tokens) is replaced by what our server answered there.
/// </summary>
internal sealed partial class TranscriptReplay(ApiServer server, ReplayClock clock)
{
    /// <summary>From recorded texts to ours.</summary>
    private readonly Dictionary<string, string> _ours = [];

    /// <summary>The differences, empty when there are none.</summary>
    public async Task<IReadOnlyList<string>> RunAsync(TranscriptExchange exchange)
    {
        clock.Follow(exchange);
        string path = Ours(exchange.Path);
        string? body = exchange.Body switch
        {
            null => null,
            JsonValue literal => literal.GetValue<string>(),
            var node => Mapped(node).ToJsonString(),
        };
        Task meanwhile = MeanwhileAsync(exchange);
        using HttpResponseMessage response = await server.SendAsync(exchange.Method, path, body, exchange.ContentType ?? "application/json", exchange.Accept, exchange.Identity);
        string text = await response.Content.ReadAsStringAsync(ApiServer.Ct);

        List<string> differences = [];
        try
        {
            await meanwhile;
        }
        catch (ShouldAssertException e)
        {
            differences.Add($"what happened meanwhile failed: {e.Message}");
        }

        if ((int)response.StatusCode != exchange.Status)
            differences.Add($"status {exchange.Status} became {(int)response.StatusCode}");
        CompareHeaders(exchange, response, differences);
        if (exchange.AnswerText is { } recordedText)
        {
            if (text != recordedText)
                differences.Add($"text {recordedText.Trim()} became {text.Trim()}");
        }
        else if (exchange.Events is { } events)
        {
            JsonNode?[] lines = [.. text.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(Parse)];
            Compare(exchange, events, new JsonArray([.. lines.Select(line => line?.DeepClone())]), differences);
        }
        else
        {
            Compare(exchange, exchange.Answer, Parse(text), differences);
        }

        return differences;
    }

    private void Compare(TranscriptExchange exchange, JsonNode? recorded, JsonNode? actual, List<string> differences)
    {
        recorded = recorded?.DeepClone();
        actual = actual?.DeepClone();
        DiscoveryScope.Narrow(exchange, recorded, actual);
        SortCauses(recorded);
        SortCauses(actual);
        Learn(recorded, actual);
        Difference("", Normal(recorded, "", mapped: true), Normal(actual, "", mapped: false), differences);
    }

    /// <summary>The real server finds the causes of an invalid object in the order of a Go map, which differs from run to run: each must be there, in any order.</summary>
    private static void SortCauses(JsonNode? answer)
    {
        if (answer is not JsonObject status || status["details"] is not JsonObject details || details["causes"] is not JsonArray { Count: > 1 } causes)
            return;
        JsonNode[] sorted = [.. causes.Select(cause => cause!.DeepClone()).OrderBy(cause => cause.ToJsonString(), StringComparer.Ordinal)];
        string[] parts = [.. sorted.Select(cause => $"{cause["field"]}: {cause["message"]}")];
        string message = (string?)status["message"] ?? "";
        if (parts.All(part => message.Contains(part, StringComparison.Ordinal)))
            status["message"] = message[..(message.IndexOf(" is invalid: ", StringComparison.Ordinal) + 1)] + "is invalid: <the causes>";
        details["causes"] = new JsonArray(sorted);
    }

    /// <summary>What happened beside the recorded requests.</summary>
    private async Task MeanwhileAsync(TranscriptExchange exchange)
    {
        const string Widgets = "/apis/example.universe.ai/v1alpha1/namespaces/t1/widgets";
        switch ((exchange.File, exchange.Index))
        {
            case ("list-watch", 10):
                await server.JsonAsync("POST", Widgets, """{"apiVersion":"example.universe.ai/v1alpha1","kind":"Widget","metadata":{"name":"w1"},"spec":{"role":"worker"}}""", 201);
                await server.JsonAsync("PATCH", $"{Widgets}/w1", """{"spec":{"replicas":2}}""", contentType: "application/merge-patch+json");
                await server.JsonAsync("PATCH", $"{Widgets}/w1/status", """{"status":{"phase":"Up"}}""", contentType: "application/merge-patch+json");
                await server.JsonAsync("DELETE", $"{Widgets}/w1");
                break;
            case ("list-watch", 13):
                await Task.Delay(TimeSpan.FromSeconds(1), ApiServer.Ct); // after the watch has begun: the recording shows the object before and after
                await server.JsonAsync("PATCH", $"{Widgets}/a", """{"metadata":{"labels":{"k":"w"}}}""", contentType: "application/merge-patch+json");
                break;
        }
    }

    /// <summary>Pairs recorded identities with ours wherever both stand at the same place.</summary>
    private void Learn(JsonNode? recorded, JsonNode? actual)
    {
        switch (recorded, actual)
        {
            case (JsonObject a, JsonObject b):
                foreach ((string name, JsonNode? value) in a)
                {
                    if (!b.TryGetPropertyValue(name, out JsonNode? other))
                        continue;
                    if (name is "uid" or "resourceVersion" or "continue" or "name" && value is JsonValue from && other is JsonValue to
                        && from.TryGetValue(out string? was) && to.TryGetValue(out string? now) && (name != "name" || was.StartsWith("gen-", StringComparison.Ordinal)))
                    {
                        _ours[was] = now;
                    }

                    Learn(value, other);
                }

                break;
            case (JsonArray a, JsonArray b):
                for (int i = 0; i < Math.Min(a.Count, b.Count); i++)
                    Learn(a[i], b[i]);
                break;
        }
    }

    private JsonNode Mapped(JsonNode node)
    {
        switch (node)
        {
            case JsonObject fields:
                JsonObject result = [];
                foreach ((string name, JsonNode? value) in fields)
                    result[name] = name is "uid" or "resourceVersion" or "name" && value is JsonValue text && text.TryGetValue(out string? was) ? _ours.GetValueOrDefault(was, was) : value is null ? null : Mapped(value);
                return result;
            case JsonArray items:
                return new JsonArray([.. items.Select(item => item is null ? null : Mapped(item))]);
            default:
                return node.DeepClone();
        }
    }

    /// <summary>Versions, tokens and names in a path or a query.</summary>
    private string Ours(string path) => PathParts().Replace(path, match => _ours.GetValueOrDefault(match.Value, match.Value));

    /// <summary>A document without what differs from run to run.</summary>
    private JsonNode? Normal(JsonNode? node, string name, bool mapped)
    {
        switch (node)
        {
            case JsonObject fields:
                JsonObject result = [];
                foreach ((string key, JsonNode? value) in fields)
                    result[key] = Normal(value, key, mapped);
                return result;
            case JsonArray items:
                return new JsonArray([.. items.Select(item => Normal(item, name, mapped))]);
            case JsonValue value when value.TryGetValue(out string? text):
                return name switch
                {
                    "uid" or "resourceVersion" or "creationTimestamp" or "deletionTimestamp" or "time" or "lastTransitionTime" or "continue" => $"<{name}>",
                    "name" when text.StartsWith("gen-", StringComparison.Ordinal) => "gen-<random>",
                    "cells" when AgeText().IsMatch(text) => "<age>",
                    "cells" when text.StartsWith("gen-", StringComparison.Ordinal) => "gen-<random>",
                    "message" => Versions().Replace(mapped ? Uids().Replace(text, match => _ours.GetValueOrDefault(match.Value, match.Value)) : text, "<version>"),
                    "serverRelativeURL" => text.Split('=')[0],
                    "serverAddress" => "<address>",
                    _ => text,
                };
            default:
                return node?.DeepClone();
        }
    }

    private static void Difference(string path, JsonNode? recorded, JsonNode? actual, List<string> differences)
    {
        if (differences.Count > 12 || JsonNode.DeepEquals(recorded, actual))
            return;
        switch (recorded, actual)
        {
            case (JsonObject a, JsonObject b):
                foreach (string name in a.Select(field => field.Key).Union(b.Select(field => field.Key)))
                {
                    if (!a.ContainsKey(name))
                        differences.Add($"{path}.{name}: not in the recording: {Short(b[name])}");
                    else if (!b.ContainsKey(name))
                        differences.Add($"{path}.{name}: missing: {Short(a[name])}");
                    else
                        Difference($"{path}.{name}", a[name], b[name], differences);
                }

                break;
            case (JsonArray a, JsonArray b):
                if (a.Count != b.Count)
                    differences.Add($"{path}: {a.Count} items became {b.Count}: {Short(a)} became {Short(b)}");
                for (int i = 0; i < Math.Min(a.Count, b.Count); i++)
                    Difference($"{path}[{i}]", a[i], b[i], differences);
                break;
            default:
                differences.Add($"{path}: {Short(recorded)} became {Short(actual)}");
                break;
        }
    }

    private static void CompareHeaders(TranscriptExchange exchange, HttpResponseMessage response, List<string> differences)
    {
        foreach ((string name, JsonNode? value) in exchange.Recorded["response"]?["headers"]?.AsObject() ?? [])
        {
            string recorded = (string?)value ?? "";
            string actual = name switch
            {
                "content-type" => response.Content.Headers.ContentType?.ToString().Replace("; ", ";", StringComparison.Ordinal) ?? "",
                _ => response.Headers.TryGetValues(name, out IEnumerable<string>? values) ? string.Join(", ", values) : "",
            };
            if (actual != (name == "content-type" ? recorded.Replace("; ", ";", StringComparison.Ordinal) : recorded))
                differences.Add($"header {name}: {recorded} became {actual}");
        }
    }

    private static JsonNode? Parse(string text)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (System.Text.Json.JsonException)
        {
            return text;
        }
    }

    private static string Short(JsonNode? node) => (node?.ToJsonString() ?? "null") is var text && text.Length > 220 ? text[..220] + "…" : text;

    [GeneratedRegex("[A-Za-z0-9_-]+")]
    private static partial Regex PathParts();

    [GeneratedRegex("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")]
    private static partial Regex Uids();

    [GeneratedRegex(@"(?<=current: )[0-9]+|(?<=too old resource version: [0-9]+ \()[0-9]+")]
    private static partial Regex Versions();

    [GeneratedRegex(@"\A[0-9]+[smhd]\z")]
    private static partial Regex AgeText();
}
