using System.Diagnostics;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Client;
using Rynxs.Resources.Egress;
using Rynxs.Resources.Inference;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;
using Rynxs.Resources.Universes;

namespace Rynxs.Resources.Validation;

/// <summary>Defaulting and validation of every kind. Pure: no clock, no store.</summary>
public static class ResourceValidation
{
    /// <summary>The object with the defaults that depend on other fields.</summary>
    public static Resource Default(Resource resource) => resource switch
    {
        AgentResource agent => AgentRules.Default(agent),
        EgressApprovalResource approval => EgressRules.Default(approval),
        TaskResource or ApprovalResource or UniverseResource or EgressPolicyResource or InferencePolicyResource => resource,
        _ => throw new UnreachableException(),
    };

    /// <summary>Every error of an object, status included.</summary>
    public static IReadOnlyList<FieldError> Validate(Resource resource)
    {
        List<FieldError> errors = [];
        Validate(resource, errors.Add);
        return errors;
    }

    /// <summary>Every error of a change that breaks no rule of a single object: what is immutable, what is final.</summary>
    public static IReadOnlyList<FieldError> ValidateTransition(Resource before, Resource after)
    {
        List<FieldError> errors = [];
        Rules rules = new(errors.Add);
        switch (before, after)
        {
            case (TaskResource a, TaskResource b):
                TaskRules.CheckTransition(a, b, rules);
                break;
            case (ApprovalResource a, ApprovalResource b):
                ApprovalRules.CheckTransition(a, b, rules);
                break;
            case (EgressApprovalResource a, EgressApprovalResource b):
                EgressRules.CheckTransition(a, b, rules);
                break;
            case (AgentResource, AgentResource) or (UniverseResource, UniverseResource) or (EgressPolicyResource, EgressPolicyResource)
                or (InferencePolicyResource, InferencePolicyResource):
                break;
            default:
                throw new ArgumentException("The objects are of different kinds.", nameof(after));
        }

        return errors;
    }

    internal static void Validate(Resource resource, Action<FieldError> report)
    {
        Rules rules = new(report);
        if (resource.ApiVersion != Resource.GroupVersion)
            rules.OneOf("apiVersion", resource.ApiVersion, Resource.GroupVersion);
        rules.Metadata(resource.Metadata, ResourceTypes.Of(resource));
        switch (resource)
        {
            case AgentResource agent:
                AgentRules.Check(agent, rules);
                break;
            case TaskResource task:
                TaskRules.Check(task, rules);
                break;
            case ApprovalResource asked:
                ApprovalRules.Check(asked, rules);
                break;
            case EgressPolicyResource policy:
                EgressRules.Check(policy, rules);
                break;
            case EgressApprovalResource approval:
                EgressRules.Check(approval, rules);
                break;
            case InferencePolicyResource policy:
                InferencePolicyRules.Check(policy, rules);
                break;
            case UniverseResource universe:
                UniverseRules.Check(universe, rules);
                break;
            default:
                throw new UnreachableException();
        }
    }
}
