using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Egress;
using Rynxs.Resources.Inference;
using Rynxs.Resources.Tasks;
using Rynxs.Resources.Universes;

namespace Rynxs.Resources.Serialization;

/// <summary>
/// Metadata of the kinds. It is internal because a generated reader gives members that are absent the default of their type and not of their
/// initialiser (role would be null): <see cref="ResourceJson"/> fills them in first.
/// </summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    Converters = [typeof(Rfc3339Converter)])]
[JsonSerializable(typeof(AgentResource))]
[JsonSerializable(typeof(UniverseResource))]
[JsonSerializable(typeof(TaskResource))]
[JsonSerializable(typeof(ApprovalResource))]
[JsonSerializable(typeof(EgressPolicyResource))]
[JsonSerializable(typeof(EgressApprovalResource))]
[JsonSerializable(typeof(InferencePolicyResource))]
[JsonSerializable(typeof(JsonElement))]
internal sealed partial class ResourceJsonContext : JsonSerializerContext;
