using System.Text.Json.Serialization;
using Rynxs.Server.Agents;
using Rynxs.Server.Doctor;
using Rynxs.Server.Execution;
using Rynxs.Server.Health;
using Rynxs.Server.Identity;
using Rynxs.Server.Transparency;

namespace Rynxs.Server;

/// <summary>Source-generated serialisers of the HTTP API: snake_case; nulls are written, because their absence would be a guess.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    AllowDuplicateProperties = false,
    RespectRequiredConstructorParameters = true,
    MaxDepth = 16)]
[JsonSerializable(typeof(ExecuteResponse))]
[JsonSerializable(typeof(SandboxStatusResponse))]
[JsonSerializable(typeof(Execution.Stored.ExecutionDetail))]
[JsonSerializable(typeof(Execution.Stored.ExecutionList))]
[JsonSerializable(typeof(Execution.Stored.ViolationList))]
[JsonSerializable(typeof(HealthResponse))]
[JsonSerializable(typeof(ReadinessResponse))]
[JsonSerializable(typeof(WhoAmIResponse))]
[JsonSerializable(typeof(ExecBody))]
[JsonSerializable(typeof(ExecResponse))]
[JsonSerializable(typeof(MessageBody))]
[JsonSerializable(typeof(MessageResponse))]
[JsonSerializable(typeof(AgentLogLine))]
[JsonSerializable(typeof(DecisionBody))]
[JsonSerializable(typeof(Egress.ExplainBody))]
[JsonSerializable(typeof(Egress.ExplainResponse))]
[JsonSerializable(typeof(DoctorReport))]
[JsonSerializable(typeof(LedgerLogStatus))]
[JsonSerializable(typeof(Execution.Sessions.SessionView))]
[JsonSerializable(typeof(Execution.Sessions.SessionList))]
[JsonSerializable(typeof(System.Text.Json.Nodes.JsonObject))]
[JsonSerializable(typeof(IReadOnlyDictionary<string, string>))]
internal sealed partial class ServerJson : JsonSerializerContext;
