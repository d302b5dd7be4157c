using System.Diagnostics;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Egress;
using Rynxs.Resources.Inference;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;
using Rynxs.Resources.Universes;

namespace Rynxs.ResourceServer.Storage;

/// <summary>The carrier of a bookmark: only its resourceVersion means anything.</summary>
internal static class EmptyResource
{
    private static readonly ObjectMeta Meta = new() { Name = "" };

    public static Resource Of(ResourceType type) => type.Kind switch
    {
        "Agent" => new AgentResource { Metadata = Meta },
        "Universe" => new UniverseResource { Metadata = Meta },
        "Task" => new TaskResource { Metadata = Meta, Spec = new TaskSpec { Title = "", Description = "" } },
        "Approval" => new ApprovalResource
        {
            Metadata = Meta,
            Spec = new ApprovalSpec { Kind = "", SubjectHash = "", Requester = "", Expires = DateTimeOffset.UnixEpoch },
        },
        "EgressPolicy" => new EgressPolicyResource { Metadata = Meta },
        "EgressApproval" => new EgressApprovalResource { Metadata = Meta, Spec = new EgressApprovalSpec { Agent = "", Hosts = [], Reason = "", Requester = "" } },
        "InferencePolicy" => new InferencePolicyResource
        {
            Metadata = Meta,
            Spec = new InferencePolicySpec { Agents = [], Upstreams = [], Models = [] },
        },
        _ => throw new UnreachableException(),
    };
}
