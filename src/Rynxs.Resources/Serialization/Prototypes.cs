using Rynxs.Resources.Agents;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Egress;
using Rynxs.Resources.Inference;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;
using Rynxs.Resources.Universes;
using TaskStatus = Rynxs.Resources.Tasks.TaskStatus;

namespace Rynxs.Resources.Serialization;

/// <summary>
/// One instance of each record with its initialisers run: the single source of defaults. Required members hold placeholders; a test asserts
/// that every record reachable from a kind is here.
/// </summary>
internal static class Prototypes
{
    private static readonly ObjectMeta Meta = new() { Name = "" };

    private static readonly Dictionary<Type, object> Instances = new object[]
    {
        Meta,
        new Condition { Type = "", Status = "", Reason = "" },
        new AgentResource { Metadata = Meta },
        new AgentSpec(),
        new AgentPermissions(),
        new ImageReference { Repository = "" },
        new WorkspaceSpec(),
        new ProviderSpec(),
        new SecretKeyRef { Name = "", Key = "" },
        new ToolsSpec(),
        new ToolRuleSpec { Name = "", Tools = [], Effect = "" },
        new ArgumentConstraintSpec { Name = "", Operator = "" },
        new RateLimitSpec { Tool = "", PerMinute = 0 },
        new NetworkSpec(),
        new ResourceRequirements(),
        new ExecutionLimits(),
        new SandboxSpecSection(),
        new AgentStatus(),
        new UniverseResource { Metadata = Meta },
        new UniverseSpec(),
        new UniversePolicies(),
        new SleepPolicy(),
        new SleepWindow { Start = "", End = "" },
        new UniverseStatus(),
        new TaskResource { Metadata = Meta, Spec = new TaskSpec { Title = "", Description = "" } },
        new TaskSpec { Title = "", Description = "" },
        new TaskStatus(),
        new ApprovalResource { Metadata = Meta, Spec = EmptyApproval() },
        EmptyApproval(),
        new ApprovalStatus(),
        new EgressPolicyResource { Metadata = Meta },
        new EgressPolicySpec(),
        new EgressAppliesTo(),
        new EgressRuleSpec { Name = "", Hosts = [] },
        new EgressLimitsSpec(),
        new EgressApprovalsSpec(),
        new EgressPolicyStatus(),
        new EgressApprovalResource { Metadata = Meta, Spec = EmptyEgressApproval() },
        EmptyEgressApproval(),
        new EgressApprovalHost { Host = "" },
        new EgressApprovalStatus(),
        new InferencePolicyResource { Metadata = Meta, Spec = EmptyInferencePolicy() },
        EmptyInferencePolicy(),
        new InferenceUpstream { Name = "", Kind = "", BaseUrl = "" },
        new CredentialSpec(),
        new VaultCredential { Path = "", Key = "" },
        new OAuthCredential { TokenUrl = "", ClientId = "", ClientSecretRef = new SecretKeyRef { Name = "", Key = "" } },
        new InferenceModelEntry { Name = "", Routes = [] },
        new InferenceRoute { Upstream = "", Model = "" },
        new InferenceLimitsSpec(),
        new InferenceBudget { Scope = "", Period = "" },
        new InferenceRules(),
        new InferenceDetector { Name = "" },
        new PromptShieldSpec { Url = "" },
        new InferencePolicyStatus(),
    }.ToDictionary(instance => instance.GetType());

    public static object Of(Type type) => Instances[type];

    public static bool Has(Type type) => Instances.ContainsKey(type);

    private static EgressApprovalSpec EmptyEgressApproval() => new() { Agent = "", Hosts = [], Reason = "", Requester = "" };
    private static InferencePolicySpec EmptyInferencePolicy() => new() { Agents = [], Upstreams = [], Models = [] };

    private static ApprovalSpec EmptyApproval() => new() { Kind = "", SubjectHash = "", Requester = "", Expires = default };
}
