using System.CommandLine;
using Microsoft.Extensions.Logging;
using Rynxs.Cli.Terminal;
using Rynxs.Server.Hosting;
using Rynxs.Server.OperatorRole;

namespace Rynxs.Cli.Hosting;

/// <summary><c>rynxs operator</c>: one replica of the operator of a cluster, until SIGINT or SIGTERM. Options default to the environment that the chart sets.</summary>
internal static class OperatorCommand
{
    private static readonly string[] LeaseNamespaces = ["RYNXS_OPERATOR_NAMESPACE", "POD_NAMESPACE"];
    private static readonly string[] WatchNamespaces = ["RYNXS_WATCH_NAMESPACE"];
    private static readonly string[] Identities = ["RYNXS_LEADER_ID", "POD_NAME", "HOSTNAME"];
    private static readonly string[] LedgerUrls = ["RYNXS_LEDGER_URL"];
    private static readonly string[] LedgerTokens = ["RYNXS_LEDGER_TOKEN_FILE"];
    private static readonly string[] AgentImages = ["RYNXS_AGENT_IMAGE"];
    private static readonly string[] RuntimeClasses = ["RYNXS_AGENT_RUNTIME_CLASS"];
    private static readonly string[] LedgerPods = ["RYNXS_LEDGER_PODS"];
    private static readonly string[] GatewayPods = ["RYNXS_GATEWAY_PODS"];
    private static readonly string[] LeaseNames = ["RYNXS_LEASE_NAME"];
    private static readonly string[] WorkDirectories = ["RYNXS_WORK_DIRECTORY"];

    public static Command Create(Screen screen)
    {
        var listen = new Option<string>("--listen") { Description = "Address and port of health and metrics; port 0 for a free one.", HelpName = "ADDRESS:PORT", DefaultValueFactory = _ => "0.0.0.0:8080" };
        var leaseName = Optional("--lease-name", "NAME", "Name of the Lease; else rynxs-operator-leader.", LeaseNames);
        var leaseNamespace = Optional("--lease-namespace", "NAME", "Namespace of the Lease; else the pod's or the context's.", LeaseNamespaces);
        var watch = Optional("--watch-namespace", "NAME", "The one namespace whose agents are kept; all when not given.", WatchNamespaces);
        var identity = Optional("--identity", "NAME", "Name of this replica; else the pod's or the host's.", Identities);
        var lease = Seconds("--lease-duration", "How long others wait for a leader that is silent.", 15);
        var renew = Seconds("--renew-deadline", "How long a leader goes on without having renewed.", 10);
        var retry = Seconds("--retry-period", "Between attempts to renew or to acquire.", 2);
        var ledger = Optional("--ledger", "URL", "Address of the role ledger ('rynxs ledger serve').", LedgerUrls);
        var token = Optional("--ledger-token-file", "FILE", "File with the token for it; its role is operator.", LedgerTokens);
        var work = Optional("--work-directory", "DIRECTORY", "For what the ledger has not confirmed yet; else rynxs-operator in the directory of temporary files.", WorkDirectories);
        var image = Optional("--agent-image", "IMAGE", "Image of the agent role.", AgentImages);
        var runtimeClass = Optional("--agent-runtime-class", "NAME", "RuntimeClass of agents' pods.", RuntimeClasses);
        var ledgerPods = Optional("--ledger-pods", "NAMESPACE/PORT/LABEL=VALUE,…", "The ledger's pods, for agents' policies.", LedgerPods);
        var gatewayPods = Optional("--gateway-pods", "NAMESPACE/PORT/LABEL=VALUE,…", "The gateway's pods, for agents' policies.", GatewayPods);
        var ranges = new Option<string[]>("--protected-range") { Description = "Block of addresses that no agent reaches, in CIDR form. May be repeated.", HelpName = "CIDR", DefaultValueFactory = _ => [] };
        var log = new Option<LogLevel>("--log-level") { Description = "Least level that is logged.", DefaultValueFactory = _ => LogLevel.Information };
        var command = new Command("operator", "Runs one replica of a cluster's operator until it is interrupted. Logs are JSON lines on standard error.")
        {
            listen, leaseName, leaseNamespace, watch, identity, lease, renew, retry, ledger, token, work, image, runtimeClass, ledgerPods, gatewayPods, ranges, log,
        };
        command.SetAction((parsed, cancellationToken) => RunAsync(
            () => new OperatorRoleOptions
            {
                Listen = parsed.GetRequiredValue(listen),
                Kubeconfig = parsed.GetValue(GlobalOptions.Kubeconfig),
                Context = parsed.GetValue(GlobalOptions.Context),
                LeaseName = Value(parsed, leaseName, LeaseNames) ?? "rynxs-operator-leader",
                LeaseNamespace = Value(parsed, leaseNamespace, LeaseNamespaces),
                Identity = Value(parsed, identity, Identities) ?? Environment.MachineName,
                LeaseDuration = TimeSpan.FromSeconds(parsed.GetValue(lease)),
                RenewDeadline = TimeSpan.FromSeconds(parsed.GetValue(renew)),
                RetryPeriod = TimeSpan.FromSeconds(parsed.GetValue(retry)),
                LedgerUrl = Uri.TryCreate(Required(Value(parsed, ledger, LedgerUrls), "--ledger"), UriKind.Absolute, out Uri? url) && url.Scheme is "http" or "https"
                    ? url : throw new CliException("--ledger: an http or https address is due.", ExitCodes.Usage),
                LedgerTokenFile = Required(Value(parsed, token, LedgerTokens), "--ledger-token-file"),
                WorkDirectory = Value(parsed, work, WorkDirectories) ?? Path.Combine(Path.GetTempPath(), "rynxs-operator"),
                AgentImage = Required(Value(parsed, image, AgentImages), "--agent-image"),
                AgentRuntimeClass = Value(parsed, runtimeClass, RuntimeClasses),
                WatchNamespace = Value(parsed, watch, WatchNamespaces),
                LedgerPods = Value(parsed, ledgerPods, LedgerPods),
                GatewayPods = Value(parsed, gatewayPods, GatewayPods),
                ProtectedRanges = parsed.GetValue(ranges) ?? [],
                LogLevel = parsed.GetValue(log),
            },
            screen,
            cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(Func<OperatorRoleOptions> options, Screen screen, CancellationToken cancellationToken)
    {
        OperatorRoleServer server;
        try
        {
            server = await OperatorRoleServer.StartAsync(options(), cancellationToken);
        }
        catch (ServerStartException exception)
        {
            throw new CliException(exception.Message, exception.ExitCode);
        }

        await using (server)
        {
            screen.Line($"The operator answers on {server.Url}.");
            var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using (cancellationToken.Register(() => stopped.TrySetResult()))
            {
                await Task.WhenAny(stopped.Task, server.Completion);
            }

            if (server.Completion.IsFaulted)
            {
                throw new CliException($"the operator cannot go on: {server.Completion.Exception.InnerException?.Message}");
            }
        }

        screen.Note("rynxs: stopped.");
        return ExitCodes.Ok;
    }

    // Read when the command runs, not by the option: the reference of the command line must not depend on who writes it.
    private static string? Value(ParseResult parsed, Option<string?> option, string[] variables) =>
        parsed.GetValue(option) ?? variables.Select(Environment.GetEnvironmentVariable).FirstOrDefault(value => !string.IsNullOrEmpty(value));

    private static Option<string?> Optional(string name, string form, string description, string[] variables) =>
        new(name) { Description = $"{description} Without it ${string.Join(", $", variables)}.", HelpName = form };

    private static Option<double> Seconds(string name, string description, double byDefault) =>
        new(name) { Description = $"{description} Seconds.", HelpName = "SECONDS", DefaultValueFactory = _ => byDefault };

    private static string Required(string? value, string option) =>
        value is { Length: > 0 } ? value : throw new CliException($"{option} is required.", ExitCodes.Usage);
}
