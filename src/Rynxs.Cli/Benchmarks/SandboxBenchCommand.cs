using System.CommandLine;
using Rynxs.Cli.Terminal;
using Rynxs.Server.Execution;
using Rynxs.Server.Hosting;

namespace Rynxs.Cli.Benchmarks;

/// <summary><c>rynxs bench sandbox</c>: what this machine gives, with the floors measured in the same run.</summary>
internal static class SandboxBenchCommand
{
    private const int LeastRounds = 5, MostRounds = 1000;

    public static Command Create(Screen screen)
    {
        var rounds = new Option<int>("--rounds") { Description = "Samples per row, 5 to 1000.", HelpName = "NUMBER", DefaultValueFactory = _ => 30 };
        var platforms = new Option<string[]>("--platform") { Description = "systrap or ptrace; both by default.", HelpName = "NAME", DefaultValueFactory = _ => ["systrap", "ptrace"] };
        var sandbox = new Command("sandbox", "Measures sandboxes beside their floors and prints a table. Needs root; takes a minute or two of both CPUs.") { rounds, platforms };
        sandbox.SetAction((parsed, cancellationToken) => RunAsync(parsed.GetValue(rounds), parsed.GetRequiredValue(platforms), screen, cancellationToken));
        return sandbox;
    }

    private static async Task<int> RunAsync(int rounds, string[] platforms, Screen screen, CancellationToken cancellationToken)
    {
        if (rounds is < LeastRounds or > MostRounds)
        {
            throw new CliException($"--rounds: {rounds} is not within {LeastRounds} to {MostRounds}.", ExitCodes.Usage);
        }

        if (platforms.FirstOrDefault(name => name is not ("systrap" or "ptrace")) is { } unknown)
        {
            throw new CliException($"--platform: '{unknown}' is neither systrap nor ptrace.", ExitCodes.Usage);
        }

        string images = Environment.GetEnvironmentVariable("RYNXS_IMAGES") ?? Path.Combine(ServerOptions.DefaultStateDirectory, "images");
        await SandboxBenchmarkRole.RunAsync(images, rounds, platforms, screen.Output, cancellationToken);
        return ExitCodes.Ok;
    }
}
