using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Resources.Quantities;

namespace Rynxs.Operator.Cluster;

/// <summary>Whether an object still is as it was applied.</summary>
internal static class Drift
{
    /// <summary>
    /// Whether all that is wanted is there. Fields beyond it do not count: the server writes its defaults. Lists must be of the same length, item by item in
    /// order, so that an added rule or owner shows; the desired hash in the annotations shows what is no longer wanted.
    /// </summary>
    public static bool IsThere(JsonNode? wanted, JsonElement? found) => wanted switch
    {
        null => found is null,
        JsonObject { Count: 0 } or JsonArray { Count: 0 } => found is null || IsEmpty(found.Value), // the server leaves empty ones out
        JsonObject members => found is { ValueKind: JsonValueKind.Object } element
            && members.All(member => IsThere(member.Value, element.TryGetProperty(member.Key, out JsonElement value) ? value : null)),
        JsonArray items => found is { ValueKind: JsonValueKind.Array } list && list.GetArrayLength() == items.Count
            && items.Zip(list.EnumerateArray(), (item, value) => IsThere(item, value)).All(there => there),
        JsonValue scalar => found is { } value && IsSame(scalar, value),
        _ => false,
    };

    private static bool IsEmpty(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => !element.EnumerateObject().Any(),
        JsonValueKind.Array => element.GetArrayLength() == 0,
        JsonValueKind.Null => true,
        _ => false,
    };

    // Quantities may come back in their shortest form: 1024Mi as 1Gi.
    private static bool IsSame(JsonValue wanted, JsonElement found) => wanted.GetValueKind() switch
    {
        JsonValueKind.String when found.ValueKind == JsonValueKind.String => found.ValueEquals((string?)wanted)
            || (Quantity.TryParse((string?)wanted, out Quantity left) && Quantity.TryParse(found.GetString(), out Quantity right) && left == right),
        JsonValueKind.Number when found.ValueKind == JsonValueKind.Number => wanted.ToJsonString() == found.GetRawText(),
        JsonValueKind.True => found.ValueKind == JsonValueKind.True,
        JsonValueKind.False => found.ValueKind == JsonValueKind.False,
        _ => false,
    };
}
