using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using Rynxs.Cli.Client;
using Rynxs.Cli.Diagnostics;
using Rynxs.Cli.Terminal;
using Spectre.Console;

namespace Rynxs.Cli.Demo;

/// <summary>
/// <c>rynxs demo</c>: the main job, end to end, for real, on a private state directory and a free port. Exit code 0 only if every step
/// showed what it must.
/// </summary>
internal static class DemoCommand
{
    public static Command Create(Screen screen)
    {
        var keep = new Option<bool>("--keep") { Description = "Keeps the state directory, to look around." };
        var command = new Command("demo", "Shows the main job end to end in a private state directory, and cleans up. Exit code 0 only if all of it held.") { keep };
        command.SetAction((parsed, cancellationToken) => RunAsync(parsed.GetValue(keep), screen, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(bool keep, Screen screen, CancellationToken cancellationToken)
    {
        if (!Environment.IsPrivilegedProcess)
        {
            throw new CliException("the demo creates sandboxes and needs root.", hints: ["Try: sudo ./rynxs demo"]);
        }

        long started = Stopwatch.GetTimestamp();
        string directory = Directory.CreateTempSubdirectory("rynxs-demo-").FullName;
        string state = Path.Combine(directory, "state");
        int held = 0, steps = 0;
        try
        {
            screen.Line("Rynxs: a governed computer for an agent, end to end on this machine. Everything below really happens.");
            screen.Line($"state {state}");
            IReadOnlyList<string> leftovers;
            ServerProcess server = await ServerProcess.StartAsync(
                state, Path.Combine(directory, "server.log"), text => screen.Line("  … " + text), cancellationToken);
            await using (server)
            {
                ClientSettings settings = ClientSettings.FromState(state) ?? throw new CliException("the demo's server has no address.");
                using var client = new ApiClient(settings);
                screen.Line($"server {settings.Server}");
                IReadOnlyList<Step> all = DemoSteps.All(new DemoContext(client, settings, state, directory, TimeProvider.System));
                foreach (Step step in all)
                {
                    held += await ShowAsync(step, ++steps, all.Count + 1, screen, cancellationToken) ? 1 : 0;
                    if (server.HasEnded)
                    {
                        steps = all.Count; // those that were not reached did not hold either
                        screen.Line("     the server ended; the steps that follow cannot be shown. Its last log line:");
                        screen.Line("     " + (File.ReadLines(Path.Combine(directory, "server.log")).LastOrDefault(line => line.Contains("critical", StringComparison.Ordinal)) ?? "none"));
                        break;
                    }
                }
            }

            leftovers = LocalLeftovers.Find(state);
            var cleanUp = new Step(
                "Nothing is left behind",
                "the server stopped; no process, mount, cgroup or directory of its sandboxes is on this machine",
                _ => Task.FromResult(new Observation(leftovers.Count == 0, ("found", leftovers.Count == 0 ? "nothing" : string.Join("; ", leftovers)))));
            held += await ShowAsync(cleanUp, ++steps, steps, screen, cancellationToken) ? 1 : 0;
        }
        finally
        {
            if (keep)
            {
                screen.Line($"Kept: {directory}");
            }
            else
            {
                Directory.Delete(directory, recursive: true);
            }
        }

        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        screen.Line();
        screen.Rich.MarkupLine(held == steps
            ? string.Create(CultureInfo.InvariantCulture, $"[green]All {steps} steps held[/] ({seconds:0.0} s).")
            : string.Create(CultureInfo.InvariantCulture, $"[red]{steps - held} of {steps} steps did not hold[/] ({seconds:0.0} s)."));
        if (held == steps)
        {
            screen.Line();
            screen.Line("How to go on:");
            screen.Line("  ./rynxs up                                                  a server of your own, in one terminal");
            screen.Line("  ./rynxs apply -f examples/                                  agents, in another");
            screen.Line("  ./rynxs task my-agent \"run uname -a in sandbox\" --wait      give one something to do");
            screen.Line("  ./rynxs logs my-agent                                       see what it did; then: ./rynxs audit verify my-agent");
            screen.Line("  docs/getting-started.md                                     the same in more words");
        }

        return held == steps ? ExitCodes.Ok : ExitCodes.Failure;
    }

    private static async Task<bool> ShowAsync(Step step, int number, int count, Screen screen, CancellationToken cancellationToken)
    {
        screen.Line();
        screen.Rich.MarkupLine(string.Create(CultureInfo.InvariantCulture, $"[bold]{number}/{count}  {Markup.Escape(step.Title)}[/]"));
        Fact(screen, "expected", step.Expected);
        long started = Stopwatch.GetTimestamp();
        Observation observation;
        try
        {
            observation = await step.RunAsync(cancellationToken);
        }
        catch (Exception exception) when (exception is CliException or ApiException or IOException or System.Text.Json.JsonException)
        {
            observation = new Observation(false, ("failed", exception.Message));
        }

        foreach ((string label, string text) in observation.Facts)
        {
            Fact(screen, label, text);
        }

        string seconds = string.Create(CultureInfo.InvariantCulture, $"{Stopwatch.GetElapsedTime(started).TotalSeconds:0.0} s");
        screen.Rich.MarkupLine(observation.Held ? $"     [green]held[/]      {seconds}" : $"     [red]NOT HELD[/]  {seconds}");
        return observation.Held;
    }

    private static void Fact(Screen screen, string label, string text)
    {
        string[] lines = text.Trim().Split('\n');
        foreach ((int index, string line) in lines.Take(12).Index())
        {
            screen.Line($"     {(index == 0 ? label : ""),-10}{line}");
        }
    }
}
