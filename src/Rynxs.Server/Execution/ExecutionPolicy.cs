using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Agents.Policies;
using Rynxs.Policy;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Universes;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution;

/// <summary>
/// Applies the tool policy of an Agent object to executions under its name: what the agent may not do through its loop, nobody does in
/// its name through the execute API. An id without an Agent object has no policy of its own; roles and limits bound it.
/// </summary>
internal sealed class ExecutionPolicy(IResourceClient resources, TimeProvider timeProvider)
{
    private readonly ConcurrentDictionary<string, ToolPolicyState> _states = new(StringComparer.Ordinal);

    /// <summary>Decides and records the decision, when there is a policy.</summary>
    /// <exception cref="ProblemException">403: denied, or it would need an approval, which this API cannot wait for.</exception>
    public async Task RequireAllowedAsync(ExecuteRequest request, string agentNamespace, ExecutionAudit audit, CancellationToken cancellationToken)
    {
        if (!State.Labels.IsDnsLabel(request.AgentId)
            || await resources.TryGetAsync<AgentResource>(new NamespacedName(agentNamespace, request.AgentId), cancellationToken) is not { } agent)
        {
            return;
        }

        UniverseResource? universe = agent.Spec.UniverseRef is { } name
            ? await resources.TryGetAsync<UniverseResource>(new NamespacedName("", name), cancellationToken)
                ?? throw new ProblemException(new Problem(StatusCodes.Status403Forbidden, "universe_not_found", $"The agent's universe '{name}' does not exist, so its rules are not known."))
            : null;
        ToolPolicyModel model = Build(agent, universe);
        Decision decision = Decide(model, request, agent.Id.ToString());
        (string verdict, Problem? problem) = decision.Verdict.Match<(string, Problem?)>(
            _ => ("allow", null),
            deny => ("deny", new Problem(
                StatusCodes.Status403Forbidden, "policy_denied", $"The agent's policy denies it: {deny.Reason.Code()}{(deny.Rule is null ? "" : $" (rule {deny.Rule})")}.")),
            ask => ("ask", new Problem(
                StatusCodes.Status403Forbidden, "approval_required", $"The agent's policy demands an approval (rule {ask.Rule}); send the agent a task instead, it can wait for one.")));
        await audit.DecisionAsync(verdict, decision.Verdict.Rule, decision.Verdict.Reason.Code(), request.Code, cancellationToken);
        if (problem is not null)
        {
            throw new ProblemException(problem);
        }
    }

    private static ToolPolicyModel Build(AgentResource agent, UniverseResource? universe)
    {
        try
        {
            return AgentPolicy.Build(agent.Spec, universe?.Spec);
        }
        catch (AgentPolicyException exception)
        {
            // A policy that cannot be read allows nothing.
            throw new ProblemException(new Problem(StatusCodes.Status403Forbidden, "policy_invalid", exception.Message));
        }
    }

    private Decision Decide(ToolPolicyModel model, ExecuteRequest request, string agentId)
    {
        (string tool, string argument) = request.Language == CodeLanguage.Bash ? ("sandbox.shell", "cmd") : ("sandbox.python", "code");
        var arguments = new JsonObject { [argument] = request.Code };
        var call = new ToolCall(agentId, tool, JsonSerializer.SerializeToElement(arguments, ServerJson.Default.JsonObject));
        lock (_states)
        {
            ToolPolicyState state = _states.GetValueOrDefault(agentId, ToolPolicyState.Initial);
            Decision decision = ToolPolicy.Decide(model, call, state, timeProvider.GetUtcNow());

            // How many run at once is bounded by the execution gate; the buckets are what is remembered here.
            _states[agentId] = decision.State with { InFlight = 0 };
            return decision;
        }
    }
}
