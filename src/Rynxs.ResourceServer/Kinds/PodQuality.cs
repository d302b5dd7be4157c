using System.Text.Json.Nodes;
using Rynxs.Resources.Quantities;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>The quality of service of a pod, which the API server works out when the pod is made: from cpu and memory of its containers, and nothing else.</summary>
internal static class PodQuality
{
    private static readonly string[] Counted = ["cpu", "memory"];

    /// <summary><c>Guaranteed</c>: each container has limits for both, and requests what it is limited to. <c>BestEffort</c>: none has either. Else <c>Burstable</c>.</summary>
    /// <param name="spec">After defaulting: a request that is not given is its limit.</param>
    public static string Of(JsonObject spec)
    {
        JsonObject[] containers = [.. BuiltInColumns.Items(spec["containers"]), .. BuiltInColumns.Items(spec["initContainers"])];
        bool anything = false;
        bool guaranteed = true;
        foreach (JsonObject container in containers)
        {
            foreach (string name in Counted)
            {
                Quantity? request = Amount(container["resources"]?["requests"]?[name]);
                Quantity? limit = Amount(container["resources"]?["limits"]?[name]);
                anything |= request is not null || limit is not null;
                guaranteed &= limit is not null && request == limit;
            }
        }

        return !anything ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
    }

    /// <summary>Null for none, and for zero, which asks for nothing.</summary>
    private static Quantity? Amount(JsonNode? node) =>
        Quantity.TryParse(node is JsonValue value && value.TryGetValue(out string? text) ? text : null, out Quantity amount) && amount > default(Quantity) ? amount : null;
}
