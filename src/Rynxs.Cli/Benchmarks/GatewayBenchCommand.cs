using System.CommandLine;
using Rynxs.Cli.Terminal;
using Rynxs.Server.Inference;

namespace Rynxs.Cli.Benchmarks;

/// <summary><c>rynxs bench gateway</c>: one hop beside nginx and the direct way, in one run.</summary>
internal static class GatewayBenchCommand
{
    public static Command Create(Screen screen)
    {
        var command = new Command("gateway", "Measures the gateway beside the direct way and nginx (where it is installed) and prints tables. Takes about a minute of all CPUs.");
        command.SetAction(async (_, cancellationToken) =>
        {
            await GatewayBenchmarkRole.RunAsync(screen.Output, cancellationToken);
            return ExitCodes.Ok;
        });
        return command;
    }
}
