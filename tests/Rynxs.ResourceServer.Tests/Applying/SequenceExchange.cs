using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Tests.Applying;

/// <summary>One request to a real server and its answer, kept in TestData/sequences.</summary>
internal static class SequenceExchange
{
    public static JsonObject Record(DocumentRequest request, int status, JsonObject body) => new()
    {
        ["method"] = request.Method,
        ["contentType"] = request.ContentType,
        ["manager"] = request.Manager,
        ["subresource"] = request.Subresource,
        ["force"] = request.Force,
        ["body"] = request.Body?.DeepClone(),
        ["status"] = status,
        ["answer"] = status < 300 ? body.DeepClone() : new JsonObject { ["message"] = (string?)body["message"] },
    };

    public static DocumentRequest Request(JsonObject recorded) => new(
        (string)recorded["method"]!, (string)recorded["contentType"]!, recorded["body"]?.DeepClone(), (string)recorded["manager"]!,
        (string)recorded["subresource"]!, (bool)recorded["force"]!);

    /// <summary>Executes a request on our side; null where the answer is the real one's.</summary>
    public static string? Compare(DocumentRequests ours, DocumentRequest request, int status, JsonObject body)
    {
        JsonObject? before = ours.Live?.DeepClone().AsObject();
        if (status >= 300 && ((string?)body["message"] ?? "").Contains("is invalid", StringComparison.Ordinal))
            return null; // validation is not asked here, and nothing was written
        DocumentAnswer answer = ours.Execute(request, status < 300 ? DocumentRequests.TimeOf(body) : DateTimeOffset.UnixEpoch);
        if ((answer.Status < 300) != (status < 300) || (status >= 300 && answer.Status != status))
            return $"answered {answer.Status} {answer.Message} instead of {status} {body["message"]}";
        if (status >= 300)
        {
            ours.Live = before;
            return answer.Message == (string?)body["message"] ? null : $"said\n{answer.Message}\ninstead of\n{body["message"]}";
        }

        string mine = Normal(answer.Document!).ToJsonString();
        string theirs = Normal(body).ToJsonString();
        ours.Live = body.DeepClone().AsObject();
        return mine == theirs ? null : $"left\n{mine}\ninstead of\n{theirs}\nbefore\n{(before is null ? "" : Normal(before).ToJsonString())}";
    }

    /// <summary>Without what only a server writes, and with names in order.</summary>
    private static JsonObject Normal(JsonObject document)
    {
        JsonObject copy = Sorted(document)!.AsObject();
        foreach (string name in new[] { "uid", "resourceVersion", "creationTimestamp", "generation", "namespace" })
            copy["metadata"]!.AsObject().Remove(name);
        if (copy["status"] is JsonObject { Count: 0 })
            copy.Remove("status"); // built-in kinds show an empty one
        return copy;
    }

    private static JsonNode? Sorted(JsonNode? node) => node switch
    {
        JsonObject map => new JsonObject(map.OrderBy(member => member.Key, StringComparer.Ordinal).Select(member => KeyValuePair.Create(member.Key, Sorted(member.Value)))),
        JsonArray list => new JsonArray([.. list.Select(Sorted)]),
        _ => node?.DeepClone(),
    };
}
