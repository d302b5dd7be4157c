using System.CommandLine;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Tasks;

/// <summary><c>rynxs logs AGENT</c>: the agent's records, readable.</summary>
internal static class LogsCommand
{
    public static Command Create(Screen screen)
    {
        var agent = new Argument<string>("agent") { Description = "The agent." };
        var follow = new Option<bool>("--follow", "-f") { Description = "Goes on with each new record, until interrupted." };
        var tail = new Option<int>("--tail") { Description = "How many of the last records, 0 to 10000.", HelpName = "N", DefaultValueFactory = _ => 100 };
        Option<string> output = OutputFormat.Create(OutputFormat.Table, OutputFormat.Json);
        var command = new Command("logs", "Shows what an agent did: its audit records with their texts.") { agent, follow, tail, output };
        command.SetAction((parsed, cancellationToken) =>
        {
            int count = parsed.GetValue(tail);
            if (count is < 0 or > 10_000)
            {
                throw new CliException($"--tail: {count} is not within 0 to 10000.", ExitCodes.Usage);
            }

            return RunAsync(
                ClientSettings.Resolve(parsed),
                parsed.GetRequiredValue(agent),
                $"logs?follow={(parsed.GetValue(follow) ? 1 : 0)}&tail={count}",
                parsed.GetRequiredValue(output) == OutputFormat.Json,
                screen,
                cancellationToken);
        });
        return command;
    }

    private static async Task<int> RunAsync(
        ClientSettings settings, string agent, string endpoint, bool json, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings);
        await foreach (byte[] line in client.StreamAsync(ResourcePath.Agent(settings.Namespace, agent, endpoint), cancellationToken))
        {
            if (json)
            {
                screen.Line(Encoding.UTF8.GetString(line));
                continue;
            }

            using JsonDocument record = JsonDocument.Parse(line);
            screen.Line(RecordLine.Format(record.RootElement));
        }

        return ExitCodes.Ok;
    }
}
