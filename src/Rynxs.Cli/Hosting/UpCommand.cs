using System.CommandLine;
using Microsoft.Extensions.Logging;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;
using Rynxs.Server.Hosting;

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
        var log = new Option<LogLevel>("--log-level") { Description = "Least level that is logged.", DefaultValueFactory = _ => LogLevel.Information };
        var guarded = new Option<bool>("--stop-at-end-of-input")
        {
            Description = "Also stops when standard input ends: a server that a program starts ends with it.",
        };
        var command = new Command("up", "Runs a server on this machine until it is interrupted. Logs are JSON lines on standard error, beside a few lines of text about start and stop.")
        {
            listen, listenTls, tlsNames, api, anonymous, rate, drain, log, guarded,
        };
        oidc.AddTo(command);
        command.SetAction((parsed, cancellationToken) => RunAsync(
            new ServerOptions
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
                LogLevel = parsed.GetValue(log),
                Progress = screen.Note,
            },
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
