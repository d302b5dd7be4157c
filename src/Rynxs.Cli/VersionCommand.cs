using System.CommandLine;
using System.Runtime.InteropServices;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli;

/// <summary><c>rynxs version</c>.</summary>
internal static class VersionCommand
{
    public static Command Create(Screen screen)
    {
        var json = new Option<bool>("--json") { Description = "One JSON object." };
        var command = new Command("version", "Prints the version of this program.") { json };
        command.SetAction(parsed =>
        {
            screen.Line(parsed.GetValue(json)
                ? $$"""{"version":"{{ProductVersion.Text}}","runtime":"{{Environment.Version}}","architecture":"{{RuntimeInformation.ProcessArchitecture}}"}"""
                : $"rynxs {ProductVersion.Text} (.NET {Environment.Version}, {RuntimeInformation.ProcessArchitecture})");
            return ExitCodes.Ok;
        });
        return command;
    }
}
