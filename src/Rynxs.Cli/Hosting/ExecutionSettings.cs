using System.CommandLine;
using Rynxs.Server.Execution.Integration;
using Rynxs.Server.Hosting;

namespace Rynxs.Cli.Hosting;

/// <summary>Options of <c>rynxs up</c> for the execute API; some have the environment variables of the documented deployment as their default.</summary>
internal sealed class ExecutionSettings
{
    private readonly Option<int?> _running = new("--max-executions") { Description = "Executions that run at once over all agents, 1 to 4096; default four per CPU.", HelpName = "N" };
    private readonly Option<int> _queued = new("--max-queued-executions") { Description = "Executions that wait at once over all agents, 1 to 100000.", HelpName = "N", DefaultValueFactory = _ => 4000 };

    private readonly Option<string?> _policy = new("--policy-url")
    {
        Description = "Policy engine that every execution is asked of; without its answer nothing runs. Default: POLICY_ENGINE_URL.", HelpName = "URL",
    };

    private readonly Option<string?> _policyToken = new("--policy-token-file") { Description = "File with the bearer token for the policy engine.", HelpName = "FILE" };

    private readonly Option<string?> _audit = new("--audit-url")
    {
        Description = "Audit engine that is told of every execution beside the own ledger; what it cannot be told before does not run. Default: AUDIT_ENGINE_URL.", HelpName = "URL",
    };

    private readonly Option<string?> _auditToken = new("--audit-token-file") { Description = "File with the bearer token for the audit engine.", HelpName = "FILE" };
    private readonly Option<string?> _authority = new("--endpoint-ca") { Description = "PEM file with the certificates that these engines must chain to; else the system's.", HelpName = "FILE" };

    private readonly Option<bool> _securityDebug = new("--security-debug")
    {
        Description = "Logs what the monitor saw of each execution, and puts it into the answer. Default: ENABLE_SECURITY_DEBUG=true.",
    };

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_running, _queued, _policy, _policyToken, _audit, _auditToken, _authority, _securityDebug])
        {
            command.Add(option);
        }
    }

    public ServerOptions ApplyTo(ServerOptions options, ParseResult parsed) => options with
    {
        MaxConcurrentExecutions = parsed.GetValue(_running),
        MaxQueuedExecutions = parsed.GetValue(_queued),
        SecurityDebug = parsed.GetValue(_securityDebug) || string.Equals(Environment.GetEnvironmentVariable("ENABLE_SECURITY_DEBUG"), "true", StringComparison.OrdinalIgnoreCase),
        External = new ExternalEndpointOptions
        {
            PolicyUrl = parsed.GetValue(_policy) ?? FromEnvironment("POLICY_ENGINE_URL"),
            PolicyTokenFile = parsed.GetValue(_policyToken),
            AuditUrl = parsed.GetValue(_audit) ?? FromEnvironment("AUDIT_ENGINE_URL"),
            AuditTokenFile = parsed.GetValue(_auditToken),
            CaFile = parsed.GetValue(_authority),
        },
    };

    private static string? FromEnvironment(string name) => Environment.GetEnvironmentVariable(name) is { Length: > 0 } value ? value : null;
}
