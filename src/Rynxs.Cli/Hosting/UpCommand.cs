using System.CommandLine;
using Microsoft.Extensions.Logging;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;
using Rynxs.Server.Hosting;
using Rynxs.Server.Transparency;

namespace Rynxs.Cli.Hosting;

/// <summary><c>rynxs up</c>: a server on this machine, in the foreground, until SIGINT or SIGTERM.</summary>
internal static class UpCommand
{
    public static Command Create(Screen screen)
    {
        var listen = new Option<string>("--listen")
        {
            Description = "ADDRESS:PORT; port 0 takes a free one.",
            HelpName = "ADDRESS:PORT",
            DefaultValueFactory = _ => "127.0.0.1:8002",
        };
        var listenTls = new Option<string>("--listen-tls")
        {
            Description = "ADDRESS:PORT for TLS, which kubectl needs; port 0 takes the one of the last start or a free one; 'none' turns it off. STATE/kubeconfig names it.",
            HelpName = "ADDRESS:PORT",
            DefaultValueFactory = _ => "127.0.0.1:0",
        };
        var tlsNames = new Option<string[]>("--tls-name") { Description = "Further host name or address of the server's certificate. May be repeated.", HelpName = "NAME" };
        var rate = new Option<int>("--max-requests-per-second")
        {
            Description = "Requests that one principal may begin in a second, 1 to 100000.",
            HelpName = "N",
            DefaultValueFactory = _ => 1000,
        };
        var api = new Option<string>("--api")
        {
            Description = "core, or all: also the workload, network, storage and role kinds of Kubernetes, stored without anything that acts on them.",
            HelpName = "core|all",
            DefaultValueFactory = _ => "core",
        };
        api.AcceptOnlyFromAmong("core", "all");
        var oidc = new OidcSettings();
        var anonymous = new Option<bool>("--dangerous-allow-anonymous")
        {
            Description = "Requests without a token act as an administrator. Only on a loopback address.",
        };
        var drain = new Option<int>("--drain-seconds")
        {
            Description = "How long a stop waits for running work, 0 to 600.",
            HelpName = "SECONDS",
            DefaultValueFactory = _ => 20,
        };
        var warm = new Option<int>("--warm-sandboxes")
        {
            Description = "Sandboxes kept ready for the execute API, 0 to 500.",
            HelpName = "NUMBER",
            DefaultValueFactory = _ => 2,
        };
        var platform = new Option<string>("--sandbox-platform")
        {
            Description = "gVisor platform, systrap or ptrace.",
            HelpName = "NAME",
            DefaultValueFactory = _ => "systrap",
        };
        var log = new Option<LogLevel>("--log-level") { Description = "Least level that is logged.", DefaultValueFactory = _ => LogLevel.Information };
        var guarded = new Option<bool>("--stop-at-end-of-input")
        {
            Description = "Also stops when standard input ends: a server that a program starts ends with it.",
        };
        var origin = new Option<string?>("--ledger-origin") { Description = "Name of the log for its first key, such as example.com/rynxs; else a random one.", HelpName = "NAME" };
        var interval = new Option<int>("--checkpoint-seconds") { Description = "How often agents' chains are anchored and a checkpoint is signed.", HelpName = "SECONDS", DefaultValueFactory = _ => 10 };
        Option<string?> policy = Proofs.ProofArguments.Policy();
        policy.Description = "File in the form of C2SP tlog-policy: the witnesses that are asked (those with a URL) and how many must cosign.";
        var witnessToken = new Option<string?>("--witness-token") { Description = "File with the token that the witnesses want.", HelpName = "FILE" };
        var export = new Option<string[]>("--export")
        {
            Description = "Ships every record of the ledger to this destination (see docs/operations/siem.md). May be repeated.", HelpName = "URL", DefaultValueFactory = _ => [],
        };
        var exportToken = new Option<string?>("--export-token-file") { Description = "File with the bearer token for HTTP destinations of --export.", HelpName = "FILE" };
        var exportCa = new Option<string?>("--export-ca") { Description = "PEM file with the certificates that TLS destinations of --export must chain to.", HelpName = "FILE" };
        var record = new Option<bool>("--record-sessions")
        {
            Description = "Keeps the output of programs in sandboxes as recordings, linked from the audit chain by hash. Output may hold secrets.",
        };
        var egressOpen = new Option<string[]>("--egress-open")
        {
            Description = "Private or loopback addresses that allowed names may lead to, such as 10.1.2.0/24; else no name reaches this host or its network. May be repeated.",
            HelpName = "RANGE", DefaultValueFactory = _ => [],
        };
        var egressHost = new Option<string[]>("--egress-host")
        {
            Description = "A name of the egress gateway's own, such as mirror.example.com=10.1.2.3. May be repeated.", HelpName = "NAME=ADDRESS", DefaultValueFactory = _ => [],
        };
        var command = new Command("up", "Runs a server on this machine until it is interrupted. Logs are JSON lines on standard error, beside a few lines of text about start and stop.")
        {
            listen, listenTls, tlsNames, api, anonymous, rate, drain, warm, platform, log, guarded, origin, interval, policy, witnessToken, export, exportToken,
            exportCa, record, egressOpen, egressHost,
        };
        oidc.AddTo(command);
        var execution = new ExecutionSettings();
        execution.AddTo(command);
        command.SetAction((parsed, cancellationToken) => RunAsync(
            execution.ApplyTo(new ServerOptions
            {
                StateDirectory = ClientSettings.StateDirectoryOf(parsed),
                Listen = parsed.GetRequiredValue(listen),
                ListenTls = parsed.GetRequiredValue(listenTls),
                TlsNames = parsed.GetValue(tlsNames) ?? [],
                AllKinds = parsed.GetValue(api) == "all",
                RequestsPerSecond = parsed.GetValue(rate),
                Oidc = oidc.Read(parsed),
                DangerousAllowAnonymous = parsed.GetValue(anonymous),
                DrainSeconds = parsed.GetValue(drain),
                WarmSandboxes = parsed.GetValue(warm),
                SandboxPlatform = parsed.GetRequiredValue(platform),
                OpenedEgress = parsed.GetValue(egressOpen) ?? [],
                EgressHosts = parsed.GetValue(egressHost) ?? [],
                LogLevel = parsed.GetValue(log),
                Transparency = new TransparencyOptions
                {
                    Origin = parsed.GetValue(origin),
                    IntervalSeconds = parsed.GetValue(interval),
                    WitnessPolicyPath = parsed.GetValue(policy),
                    WitnessTokenPath = parsed.GetValue(witnessToken),
                },
                Exports = parsed.GetValue(export) ?? [],
                ExportTokenFile = parsed.GetValue(exportToken),
                ExportCaFile = parsed.GetValue(exportCa),
                RecordSessions = parsed.GetValue(record),
                Progress = screen.Note,
            }, parsed),
            parsed.GetValue(guarded),
            screen,
            cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(ServerOptions options, bool stopAtEndOfInput, Screen screen, CancellationToken cancellationToken)
    {
        // Not disposed: the thread below may still hold it when the process ends.
        var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        if (stopAtEndOfInput)
        {
            StopAtEndOfInput(stop);
        }

        RynxsServer server;
        try
        {
            server = await RynxsServer.StartAsync(options, stop.Token);
        }
        catch (ServerStartException exception)
        {
            string[] lines = exception.Message.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
            throw new CliException(lines[0], exception.ExitCode, [.. lines.Skip(1)]);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            return ExitCodes.Ok;
        }

        await using (server)
        {
            if (options.DangerousAllowAnonymous)
            {
                screen.Note("rynxs: DANGEROUS: requests without a token act as an administrator.");
            }

            screen.Line($"Rynxs {RynxsServer.Version} listens on {server.Url} (state {server.StateDirectory}).");
            if (server.TlsUrl is { } tls)
            {
                screen.Note($"kubectl: export KUBECONFIG={Path.Combine(server.StateDirectory, "kubeconfig")} ({tls.GetLeftPart(UriPartial.Authority)})");
            }

            screen.Note("In another terminal: rynxs apply -f examples/agent.yaml, then rynxs task my-agent \"run uname -a in sandbox\" --wait");
            var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            await using (stop.Token.Register(() => stopped.TrySetResult()))
            {
                await Task.WhenAny(stopped.Task, server.Completion);
            }

            // The cause is asked for here: a part that died makes this fault, and the exit code says so.
            await server.StopAsync(CancellationToken.None);
            await server.Completion;
        }

        screen.Note("rynxs: stopped.");
        return ExitCodes.Ok;
    }

    // A thread of its own, because a read of standard input cannot be cancelled; as a background thread it ends with the process.
    private static void StopAtEndOfInput(CancellationTokenSource stop) =>
        new Thread(() =>
        {
            using Stream input = Console.OpenStandardInput();
            byte[] ignored = new byte[256];
            while (input.Read(ignored) > 0)
            {
            }

            stop.Cancel();
        }) { IsBackground = true, Name = "end of input" }.Start();
}
