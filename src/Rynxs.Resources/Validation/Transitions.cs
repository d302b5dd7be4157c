using System.Text.Json;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.Resources.Validation;

/// <summary>Compares two versions of an object.</summary>
internal static class Transitions
{
    /// <summary>Whether a top-level member means the same in both, whatever the order of its keys.</summary>
    public static bool Same(Resource before, Resource after, string member)
    {
        JsonElement a = ResourceJson.ToElement(before);
        JsonElement b = ResourceJson.ToElement(after);
        bool hasA = a.TryGetProperty(member, out JsonElement valueA);
        bool hasB = b.TryGetProperty(member, out JsonElement valueB);
        return hasA == hasB && (!hasA || JsonElement.DeepEquals(valueA, valueB));
    }
}
