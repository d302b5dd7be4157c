using Rynxs.Gateway.Channels;
using Rynxs.Policy.Budgets;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;
using Rynxs.Server.State;

namespace Rynxs.Server.Inference;

/// <summary>
/// Models over the server's own port, for those with a token: <c>/gateway/namespaces/NS/agents/NAME/v1/…</c> is the base URL that clients get. The agent of the path
/// is whose policy and budget count; an agent's token reaches its own alone.
/// </summary>
internal static class InferenceEndpoints
{
    private static readonly Role[] Callers = [.. RequestAccess.Executors, Role.Agent];

    public static void MapInference(this IEndpointRouteBuilder endpoints, InferenceParts inference)
    {
        endpoints.Map("/gateway/namespaces/{ns}/agents/{name}/{**rest}", async (HttpContext context, string ns, string name) =>
        {
            GatewayCaller caller = await CallerAsync(context, inference, ns, name);
            string path = context.Request.Path.Value ?? "";
            string prefix = $"/gateway/namespaces/{ns}/agents/{name}";
            await inference.Gateway.ServeAsync(context, caller, path.StartsWith(prefix, StringComparison.Ordinal) ? path[prefix.Length..] : "");
        });

        endpoints.MapGet("/api/v1/namespaces/{ns}/budgets", (HttpContext context, string ns) =>
        {
            if (!Labels.IsDnsLabel(ns))
            {
                throw new ProblemException(Problem.NotFound("Namespace"));
            }

            RequestAccess.RequireIn(context, ns, $"Namespace '{ns}'", RequestAccess.Readers);
            bool everywhere = context.Principal().Namespaces is null;
            return Results.Json(
                new BudgetList([.. inference.Gateway.Budgets()
                    .Where(entry => entry.Account.Scope == BudgetScope.Universe
                        ? everywhere
                        : entry.Account.Name == ns || entry.Account.Name.StartsWith(ns + "/", StringComparison.Ordinal))
                    .OrderBy(entry => entry.Account.ToString(), StringComparer.Ordinal)
                    .Select(BudgetEntry.Of)]),
                ServerJson.Default.BudgetList);
        });
    }

    private static async Task<GatewayCaller> CallerAsync(HttpContext context, InferenceParts inference, string ns, string name)
    {
        string what = $"Agent '{ns}/{name}'";
        if (!Labels.IsDnsLabel(ns) || !Labels.IsDnsLabel(name))
        {
            throw new ProblemException(Problem.NotFound("Agent"));
        }

        Principal principal = RequestAccess.RequireIn(context, ns, what, Callers);

        // An agent's own token is for itself alone; of others it learns not even that they exist (D8).
        bool isAgentToken = principal.Roles.Contains(Role.Agent) && !principal.Roles.Any(role => RequestAccess.Executors.Contains(role));
        if (isAgentToken && principal.Name != Principal.ForAgent(ns, name).Name)
        {
            throw new ProblemException(Problem.NotFound(what));
        }

        return await inference.CallerOfAsync(new NamespacedName(ns, name), principal.Name, null, context.RequestAborted) ?? throw new ProblemException(Problem.NotFound(what));
    }
}

/// <summary>GET …/budgets.</summary>
internal sealed record BudgetList(IReadOnlyList<BudgetEntry> Items);

/// <summary>One account.</summary>
internal sealed record BudgetEntry(string Scope, string Name, string Period, int Window, long SpentTokens, decimal SpentUsd, long ReservedTokens, decimal ReservedUsd)
{
    public static BudgetEntry Of((BudgetAccount Account, Spend Spent, Spend Reserved) entry) => new(
        entry.Account.Scope.ToString().ToLowerInvariant(), entry.Account.Name, entry.Account.Period.ToString().ToLowerInvariant(), entry.Account.Window,
        entry.Spent.Tokens, entry.Spent.NanoUsd / (decimal)Spend.NanoPerUsd, entry.Reserved.Tokens, entry.Reserved.NanoUsd / (decimal)Spend.NanoPerUsd);
}
