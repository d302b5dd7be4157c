using Rynxs.Policy;
using Rynxs.Policy.Egress;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;
using Rynxs.Server.State;

namespace Rynxs.Server.Egress;

/// <summary>Which rule decides, and why: for people, before anything is tried.</summary>
internal static class EgressEndpoints
{
    private const int MaxBodyBytes = 16 * 1024;

    public static void MapEgress(this IEndpointRouteBuilder endpoints, EgressService service, TimeProvider timeProvider)
    {
        endpoints.MapPost("/api/v1/namespaces/{ns}/egress/explain", async (HttpContext context, string ns) =>
        {
            if (!Labels.IsDnsLabel(ns))
            {
                throw new ProblemException(Problem.NotFound("Namespace"));
            }

            RequestAccess.RequireIn(context, ns, $"Namespace '{ns}'", RequestAccess.Readers);
            ExplainBody body = await RequestBody.ReadJsonAsync(context, ServerJson.Default.ExplainBody, MaxBodyBytes, context.RequestAborted);
            EgressRequest request = Read(body);
            CompiledEgress compiled = await service.Objects.CompileAsync(new EgressSubjectOf(ns, body.Agent, Mode(body.NetworkPolicy), body.Execution ?? false), context.RequestAborted);
            DateTimeOffset now = timeProvider.GetUtcNow();
            Verdict verdict = EgressPolicy.Decide(compiled.Model, request, now);
            return Results.Json(
                new ExplainResponse(
                    EgressPolicyTests.Word(verdict), verdict.Reason.Code(), verdict.Rule, EgressPolicy.MayResolve(compiled.Model, request.Host, now),
                    verdict is not Verdict.Allow && EgressPolicy.CouldBeGranted(compiled.Model, request, now),
                    [
                        .. compiled.Model.Layers.Select(layer => EgressPolicy.Decide(new EgressPolicyModel { Layers = [layer] }, request, now) is var one
                            ? new ExplainedPolicy(layer.Name, EgressPolicyTests.Word(one), one.Rule, layer.AllowsGrants, layer.Digest)
                            : throw new System.Diagnostics.UnreachableException()),
                    ],
                    [.. compiled.Model.Grants.Select(grant => grant.Name).Distinct(StringComparer.Ordinal)]),
                ServerJson.Default.ExplainResponse);
        });
    }

    private static EgressMode Mode(string? policy) => policy switch
    {
        null or "restricted" => EgressMode.Restricted,
        "full" => EgressMode.Full,
        _ => throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "unsupported_value", "'restricted' or 'full'.", "network_policy")),
    };

    private static EgressRequest Read(ExplainBody body)
    {
        if (!Labels.IsLabelValue(body.Agent) || body.Agent.Length == 0)
        {
            throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "invalid_value", "The name of an agent is due.", "agent"));
        }

        if (!HostName.TryParse(body.Host, out HostName? host))
        {
            throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "invalid_value", "A host name is due; addresses are never reached.", "host"));
        }

        EgressProtocol protocol = EgressCompiler.Protocol(body.Protocol ?? "tls")
            ?? throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "unsupported_value", "'tls', 'http' or 'tcp'.", "protocol"));
        bool isHttp = protocol == EgressProtocol.Http;
        int port = body.Port ?? (isHttp ? 80 : 443);
        return port is > 0 and <= ushort.MaxValue
            ? new EgressRequest(host, port, protocol, isHttp ? body.Method ?? "GET" : null, isHttp ? body.Path ?? "/" : null)
            : throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "out_of_range", "1 to 65535.", "port"));
    }
}

/// <summary>POST …/egress/explain.</summary>
internal sealed record ExplainBody(
    string Agent, string Host, int? Port = null, string? Protocol = null, string? Method = null, string? Path = null, string? NetworkPolicy = null, bool? Execution = null);

/// <summary>Its answer.</summary>
internal sealed record ExplainResponse(
    string Verdict, string Reason, string? Rule, bool DnsAnswers, bool CouldBeApproved, IReadOnlyList<ExplainedPolicy> Policies, IReadOnlyList<string> Approvals);

/// <summary>What one policy says by itself, without approvals.</summary>
internal sealed record ExplainedPolicy(string Policy, string Verdict, string? Rule, bool ApprovalsCount, string Digest);
