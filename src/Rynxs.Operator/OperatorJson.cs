using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using Rynxs.Ledger.Events;

namespace Rynxs.Operator;

/// <summary>Source-generated serialisers: payloads as in the ledger (snake_case, no nulls).</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(AgentObserved))]
[JsonSerializable(typeof(AgentDeletionObserved))]
[JsonSerializable(typeof(ActionsDecided))]
[JsonSerializable(typeof(ActionApplied))]
[JsonSerializable(typeof(ActionFailed))]
[JsonSerializable(typeof(DriftObserved))]
[JsonSerializable(typeof(LedgerOpened))]
[JsonSerializable(typeof(JsonObject))]
[JsonSerializable(typeof(JsonArray))]
internal sealed partial class OperatorJson : JsonSerializerContext;
