using System.CommandLine;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Meta;

namespace Rynxs.Cli.Objects;

/// <summary><c>rynxs describe KIND NAME</c>: everything about one object, and what it is doing.</summary>
internal static class DescribeCommand
{
    private const int ShownRecords = 10;

    public static Command Create(Screen screen)
    {
        Argument<string> kind = GetCommand.KindArgument();
        var name = new Argument<string>("name") { Description = "The object." };
        var command = new Command("describe", "Shows one object in full; for an agent also its last records.") { kind, name };
        command.SetAction((parsed, cancellationToken) => RunAsync(
            ClientSettings.Resolve(parsed),
            ResourcePath.FindKind(parsed.GetRequiredValue(kind)),
            parsed.GetRequiredValue(name),
            screen,
            cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(ClientSettings settings, ResourceType type, string name, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings);
        JsonElement item = await client.GetAsync(ResourcePath.Object(type, settings.Namespace, name), cancellationToken);
        OutputFormat.Write(screen, item, OutputFormat.Yaml);
        if (type == ResourceTypes.Agent)
        {
            screen.Line();
            screen.Line($"Last records (rynxs logs {name} shows more):");
            await foreach (byte[] line in client.StreamAsync(
                ResourcePath.Agent(settings.Namespace, name, $"logs?follow=0&tail={ShownRecords}"), cancellationToken))
            {
                using JsonDocument record = JsonDocument.Parse(line);
                screen.Line("  " + Tasks.RecordLine.Format(record.RootElement));
            }
        }

        return ExitCodes.Ok;
    }
}
