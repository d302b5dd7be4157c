using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;

namespace Rynxs.Cli.Tasks;

/// <summary><c>rynxs task AGENT TEXT</c>.</summary>
internal static class TaskCommand
{
    private const int MaxTextBytes = 1024 * 1024;

    public static Command Create(Screen screen)
    {
        var agent = new Argument<string>("agent") { Description = "Agent that shall do it." };
        var text = new Argument<string>("text") { Description = "The instruction; - reads it from standard input." };
        var wait = new Option<bool>("--wait") { Description = "Waits for the end, shows progress, prints the result; exit code 1 when the task failed." };
        var name = new Option<string?>("--name") { Description = "Name of the task; made up without it.", HelpName = "NAME" };
        var priority = new Option<string>("--priority") { Description = "low, normal, high or critical.", DefaultValueFactory = _ => "normal" };
        priority.AcceptOnlyFromAmong("low", "normal", "high", "critical");
        var deadline = new Option<string?>("--deadline")
        {
            Description = "Moment (RFC 3339) or span from now (90s, 15m, 2h, 1d) after which it fails.",
            HelpName = "TIME",
        };
        var dependsOn = new Option<string[]>("--depends-on") { Description = "Task that must complete first. May be repeated.", HelpName = "TASK" };
        var attempts = new Option<int>("--max-attempts") { Description = "Attempts in all, 1 to 10.", HelpName = "N", DefaultValueFactory = _ => 1 };
        var command = new Command("task", "Gives an agent a task.") { agent, text, wait, name, priority, deadline, dependsOn, attempts };
        command.SetAction((parsed, cancellationToken) =>
        {
            ClientSettings settings = ClientSettings.Resolve(parsed);
            string description = parsed.GetRequiredValue(text) is "-" ? ReadInput() : parsed.GetRequiredValue(text);
            var task = new TaskResource
            {
                Metadata = new ObjectMeta { Name = parsed.GetValue(name) ?? TaskSubmission.NewName(), Namespace = settings.Namespace },
                Spec = new TaskSpec
                {
                    Title = TaskSubmission.TitleOf(description),
                    Description = description,
                    Assignee = parsed.GetRequiredValue(agent),
                    Priority = parsed.GetRequiredValue(priority),
                    Deadline = parsed.GetValue(deadline) is { } moment ? Moment.Parse("--deadline", moment, TimeProvider.System) : null,
                    Dependencies = parsed.GetValue(dependsOn) ?? [],
                    MaxAttempts = parsed.GetValue(attempts),
                },
            };
            return RunAsync(settings, task, parsed.GetRequiredValue(agent), parsed.GetValue(wait), screen, cancellationToken);
        });
        return command;
    }

    private static string ReadInput()
    {
        using Stream input = Console.OpenStandardInput();
        ReadOnlyMemory<byte> bytes = BoundedInput.Read(input, MaxTextBytes + 1);
        return bytes.Length <= MaxTextBytes
            ? System.Text.Encoding.UTF8.GetString(bytes.Span)
            : throw new CliException($"the instruction is longer than {MaxTextBytes} bytes.", ExitCodes.Usage);
    }

    private static async Task<int> RunAsync(
        ClientSettings settings, TaskResource task, string agent, bool wait, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings);
        if (await client.TryGetAsync(ResourcePath.Object(ResourceTypes.Agent, settings.Namespace, agent), cancellationToken) is null)
        {
            // The server would keep the task waiting for an agent that may come; a person at a command line mistyped.
            throw new CliException($"there is no agent '{agent}' in namespace {settings.Namespace}.", hints: ["See: rynxs get agents -A"]);
        }

        await TaskSubmission.CreateAsync(client, task, cancellationToken);
        if (!wait)
        {
            screen.Line($"task/{task.Metadata.Name} created");
            return ExitCodes.Ok;
        }

        screen.Note($"task/{task.Metadata.Name} created");
        using var finished = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task progress = TaskProgress.FollowAsync(client, settings.Namespace, agent, task.Metadata.Name, screen, finished.Token);
        JsonElement final;
        try
        {
            final = await TaskSubmission.WaitAsync(client, settings.Namespace, task.Metadata.Name, cancellationToken);
        }
        finally
        {
            await finished.CancelAsync();
            await progress;
        }

        if (TaskSubmission.ResultText(final) is { } result)
        {
            screen.Line(result.TrimEnd('\n'));
        }

        if (final.Text("status.phase") == "Completed")
        {
            return ExitCodes.Ok;
        }

        screen.Failure(
            string.Create(CultureInfo.InvariantCulture, $"task {task.Metadata.Name} {final.Text("status.phase")}: {final.Text("status.error") ?? "no error was given"}"),
            [$"See: rynxs logs {agent}"]);
        return ExitCodes.Failure;
    }
}
