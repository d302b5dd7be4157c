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
[JsonSerializable(typeof(Transparency.RedactionBody))]
[JsonSerializable(typeof(Transparency.RedactionAnswer))]
[JsonSerializable(typeof(ResourceServer.Secrets.SecretKeyStatus))]
[JsonSerializable(typeof(Execution.Sessions.SessionView))]
[JsonSerializable(typeof(Execution.Sessions.SessionList))]
[JsonSerializable(typeof(Execution.Sessions.ProcessRequest))]
[JsonSerializable(typeof(Execution.Sessions.ProcessView))]
[JsonSerializable(typeof(Execution.Sessions.ProcessList))]
[JsonSerializable(typeof(Execution.Sessions.TerminalRequest))]
[JsonSerializable(typeof(Execution.Sessions.SignalRequest))]
[JsonSerializable(typeof(Execution.Sessions.OutputEvent))]
[JsonSerializable(typeof(Execution.Sessions.EndEvent))]
[JsonSerializable(typeof(Execution.Sessions.SessionMetricsView))]
[JsonSerializable(typeof(Execution.Sessions.FileListView))]
[JsonSerializable(typeof(Execution.Sessions.FileView))]
[JsonSerializable(typeof(Execution.Sessions.ArchiveView))]
[JsonSerializable(typeof(Execution.Sessions.ChangeEvent))]
[JsonSerializable(typeof(Inference.BudgetList))]
[JsonSerializable(typeof(Dictionary<string, string>))]
[JsonSerializable(typeof(System.Text.Json.Nodes.JsonObject))]
[JsonSerializable(typeof(IReadOnlyDictionary<string, string>))]
internal sealed partial class ServerJson : JsonSerializerContext;
