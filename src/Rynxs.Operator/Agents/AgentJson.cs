using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Ledger.Canonical;
using Rynxs.Operator.Control;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Meta;

namespace Rynxs.Operator.Agents;

/// <summary>An Agent's spec as the ledger keeps it: with defaults applied, camelCase, without nulls.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(AgentSpec))]
internal sealed partial class AgentJson : JsonSerializerContext
{
    /// <summary>The spec as JSON.</summary>
    public static JsonElement SpecOf(AgentResource agent) => JsonSerializer.SerializeToElement(agent.Spec, Default.AgentSpec);

    /// <summary>First 16 hexadecimal digits of SHA-256 over the canonical spec.</summary>
    public static string SpecHash(JsonElement spec) => CanonicalJson.Sha256Hex(spec)[..16];

    /// <summary>The resource as it was when it was observed.</summary>
    public static AgentResource ToResource(ObservedAgent agent, AgentResource? current) => new()
    {
        Metadata = (current?.Metadata ?? new ObjectMeta { Name = agent.Name, Namespace = agent.Namespace }) with
        {
            Labels = agent.Labels.ToImmutableDictionary(),
        },
        Spec = agent.Spec.Deserialize(Default.AgentSpec) ?? new AgentSpec(),
    };
}
