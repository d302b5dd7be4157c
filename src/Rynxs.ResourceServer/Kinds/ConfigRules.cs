using System.Text;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>Rules of Secrets and ConfigMaps.</summary>
internal static class ConfigRules
{
    private const int MaxBytes = 1024 * 1024;

    public static IReadOnlyList<StatusCause> Secret(JsonObject document, JsonObject? old)
    {
        List<StatusCause> causes = [];
        long bytes = CheckKeys(document["data"], "data", causes, value => (long)value.Length * 3 / 4);
        if (bytes > MaxBytes)
            causes.Add(new StatusCause(CauseReasons.TooLong, $"Too long: may not be more than {MaxBytes} bytes", "data"));
        foreach (string key in RequiredKeys(document["type"].Text()))
        {
            if (document["data"]?[key] is null)
                causes.Add(new StatusCause(CauseReasons.Required, "Required value", $"data[{key}]"));
        }

        if (old is not null)
        {
            if (document["type"].Text() is { } type && old["type"].Text() is { } stored && type != stored)
                causes.Add(MetadataChecks.Invalid("type", type, "field is immutable"));
            CheckImmutable(document, old, causes, "data");
        }

        return causes;
    }

    public static IReadOnlyList<StatusCause> ConfigMap(JsonObject document, JsonObject? old)
    {
        List<StatusCause> causes = [];
        long bytes = CheckKeys(document["data"], "data", causes, value => Encoding.UTF8.GetByteCount(value))
            + CheckKeys(document["binaryData"], "binaryData", causes, value => (long)value.Length * 3 / 4);
        if (document["data"] is JsonObject texts && document["binaryData"] is JsonObject binary)
        {
            foreach ((string key, _) in texts)
            {
                if (binary.ContainsKey(key))
                    causes.Add(MetadataChecks.Invalid($"data[{key}]", key, "duplicate of key present in binaryData"));
            }
        }

        if (bytes > MaxBytes)
            causes.Add(new StatusCause(CauseReasons.TooLong, $"Too long: may not be more than {MaxBytes} bytes", ""));
        if (old is not null)
            CheckImmutable(document, old, causes, "data", "binaryData");
        return causes;
    }

    private static string[] RequiredKeys(string? type) => type switch
    {
        "kubernetes.io/tls" => ["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => [".dockerconfigjson"],
        "kubernetes.io/dockercfg" => [".dockercfg"],
        "kubernetes.io/ssh-auth" => ["ssh-privatekey"],
        _ => [],
    };

    private static long CheckKeys(JsonNode? map, string field, List<StatusCause> causes, Func<string, long> size)
    {
        long bytes = 0;
        if (map is not JsonObject pairs)
            return 0;
        foreach ((string key, JsonNode? value) in pairs)
        {
            MetadataChecks.Names(causes, $"{field}[{key}]", key, KubernetesNames.ConfigKeyProblems(key));
            bytes += size(value.Text() ?? "");
        }

        return bytes;
    }

    private static void CheckImmutable(JsonObject document, JsonObject old, List<StatusCause> causes, params ReadOnlySpan<string> fields)
    {
        const string Message = "Forbidden: field is immutable when `immutable` is set";
        if (old["immutable"].Flag() is not true)
            return;
        if (document["immutable"].Flag() is not true)
            causes.Add(new StatusCause(CauseReasons.Forbidden, Message, "immutable"));
        foreach (string field in fields)
        {
            if (!JsonNode.DeepEquals(document[field], old[field]))
                causes.Add(new StatusCause(CauseReasons.Forbidden, Message, field));
        }
    }
}
