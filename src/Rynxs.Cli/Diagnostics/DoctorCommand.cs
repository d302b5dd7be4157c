using System.CommandLine;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;
using Spectre.Console;

namespace Rynxs.Cli.Diagnostics;

/// <summary><c>rynxs doctor</c>: what works here, what does not, what was left behind.</summary>
internal static class DoctorCommand
{
    public static Command Create(Screen screen)
    {
        var json = new Option<bool>("--json") { Description = "One JSON object." };
        var probe = new Option<bool>("--probe") { Description = "Also tries to break every control of a sandbox, from inside one. Takes some seconds; needs a running server." };
        var command = new Command("doctor", "Checks this machine and the server, and looks for leftovers. Exit code 1 when a check fails or something is left behind.") { json, probe };
        command.SetAction((parsed, cancellationToken) => RunAsync(parsed, parsed.GetValue(json), parsed.GetValue(probe), screen, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, bool json, bool probe, Screen screen, CancellationToken cancellationToken)
    {
        string state = ClientSettings.StateDirectoryOf(parsed);
        List<Check> checks = [.. HostChecks.Run(state)];
        List<string> leftovers = [];
        try
        {
            ClientSettings settings = ClientSettings.Resolve(parsed);
            using var client = new ApiClient(settings);
            JsonElement report = await client.GetAsync(probe ? "/api/v1/doctor?probe=true" : "/api/v1/doctor", cancellationToken);
            checks.Add(new Check("server", "ok", settings.Server.ToString()));
            checks.AddRange(report.Items("checks").Select(check =>
                new Check(check.Text("name") ?? "?", check.Text("status") ?? "fail", check.Text("detail") ?? "", check.Text("hint"))));
            leftovers.AddRange(report.Items("leftovers").Select(leftover => $"{leftover.Text("kind")} {leftover.Text("name")}"));
        }
        catch (CliException exception) when (exception.ExitCode == ExitCodes.Failure)
        {
            // No server: what one of this state left behind is then visible from here.
            checks.Add(new Check("server", "warn", exception.Message, "rynxs up"));
            leftovers.AddRange(LocalLeftovers.Find(state));
        }

        if (json)
        {
            OutputFormat.Write(screen, ToJson(checks, leftovers), OutputFormat.Json);
        }
        else
        {
            Show(screen, checks, leftovers);
        }

        return leftovers.Count > 0 || checks.Any(check => check.Status is not ("ok" or "warn")) ? ExitCodes.Failure : ExitCodes.Ok;
    }

    private static void Show(Screen screen, List<Check> checks, List<string> leftovers)
    {
        int width = checks.Max(check => check.Name.Length);
        foreach (Check check in checks)
        {
            string colour = check.Status switch { "ok" => "green", "warn" => "yellow", _ => "red" };
            screen.Rich.MarkupLine($"[{colour}]{Markup.Escape(check.Status),-4}[/]  {Markup.Escape(Screen.Visible(check.Name.PadRight(width)))}  {Markup.Escape(Screen.Visible(check.Detail))}");
            if (check.Hint is not null && check.Status != "ok")
            {
                screen.Line(new string(' ', width + 8) + check.Hint);
            }
        }

        screen.Line(leftovers.Count == 0 ? "Nothing was left behind." : "Left behind:");
        foreach (string leftover in leftovers)
        {
            screen.Line("  " + leftover);
        }
    }

    private static JsonElement ToJson(List<Check> checks, List<string> leftovers)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteStartArray("checks");
            foreach (Check check in checks)
            {
                writer.WriteStartObject();
                writer.WriteString("name", check.Name);
                writer.WriteString("status", check.Status);
                writer.WriteString("detail", check.Detail);
                if (check.Hint is not null)
                {
                    writer.WriteString("hint", check.Hint);
                }

                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteStartArray("leftovers");
            foreach (string leftover in leftovers)
            {
                writer.WriteStringValue(leftover);
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        using JsonDocument document = JsonDocument.Parse(Encoding.UTF8.GetString(buffer.ToArray()));
        return document.RootElement.Clone();
    }
}
