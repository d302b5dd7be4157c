using System.CommandLine;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Output;
using Rynxs.Cli.Tasks;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Objects;

/// <summary><c>rynxs wait KIND NAME --for=…</c>: until a condition holds, follow by follow, never by polling.</summary>
internal static class WaitCommand
{
    public static Command Create(Screen screen)
    {
        Argument<string[]> objects = GetCommand.ObjectsArgument("KIND NAME… or KIND/NAME….");
        var goal = new Option<string>("--for")
        {
            Description = "create, delete, condition=NAME[=STATUS] (True without one), or jsonpath=PATH[=VALUE].",
            HelpName = "GOAL",
            Required = true,
        };
        var timeout = new Option<string>("--timeout") { Description = "How long, such as 90s or 5m.", HelpName = "TIME", DefaultValueFactory = _ => "30s" };
        var command = new Command("wait", "Waits until something holds for objects. Exit code 1 when the time is over first.") { objects, goal, timeout };
        command.SetAction((parsed, cancellationToken) =>
        {
            // What is wrong with the command line is said first, server or no server.
            var asked = Goal.Parse(parsed.GetRequiredValue(goal));
            TimeSpan patience = Span(parsed.GetRequiredValue(timeout));
            return RunAsync(ClientSettings.Resolve(parsed), parsed.GetRequiredValue(objects), asked, patience, screen, cancellationToken);
        });
        return command;
    }

    private static TimeSpan Span(string text)
    {
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        return Moment.Parse("--timeout", text, TimeProvider.System) - now;
    }

    private static async Task<int> RunAsync(
        ClientSettings settings, string[] given, Goal goal, TimeSpan timeout, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings);
        ServerKinds kinds = await ServerKinds.FetchAsync(client, cancellationToken);
        IReadOnlyList<(ApiKind Kind, string? Name)> targets = ObjectNames.Resolve(kinds, given);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(timeout < TimeSpan.FromDays(7) ? timeout : TimeSpan.FromDays(7));
        foreach ((ApiKind kind, string? name) in targets)
        {
            string label = $"{kind.Label}/{name ?? throw new CliException("give names: KIND NAME… or KIND/NAME….", ExitCodes.Usage)}";
            try
            {
                await UntilAsync(client, kind, settings.Namespace, ResourcePath.CheckedName(name), goal, deadline.Token);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new CliException($"{label}: the time is over, and {goal.Words} does not hold.");
            }

            screen.Line($"{label} {goal.Outcome}");
        }

        return ExitCodes.Ok;
    }

    private static async Task UntilAsync(ApiClient client, ApiKind kind, string resourceNamespace, string name, Goal goal, CancellationToken cancellationToken)
    {
        string collection = kind.Collection(resourceNamespace), query = "fieldSelector=" + Uri.EscapeDataString("metadata.name=" + name);
        bool first = true;
        while (true)
        {
            JsonElement list = await client.GetAsync($"{collection}?{query}", cancellationToken);
            JsonElement? current = list.Items("items").Cast<JsonElement?>().FirstOrDefault();
            if (goal.Holds(current))
            {
                return;
            }

            if (first && current is null && goal is not Goal.Create)
            {
                throw new CliException($"{kind.Label}/{name} does not exist, or this token may not see it.");
            }

            first = false;
            string version = Uri.EscapeDataString(list.Text("metadata.resourceVersion") ?? "0");
            await foreach (byte[] line in client.StreamAsync($"{collection}?{query}&watch=1&resourceVersion={version}", cancellationToken))
            {
                using JsonDocument change = JsonDocument.Parse(line);
                string? type = change.RootElement.Text("type");
                if (type == "ERROR")
                {
                    break;
                }

                JsonElement? item = type == "DELETED" ? null : change.RootElement.At("object");
                if (type != "BOOKMARK" && goal.Holds(item))
                {
                    return;
                }
            }
        }
    }

    private abstract record Goal
    {
        /// <summary>As it is asked for.</summary>
        public abstract string Words { get; }

        public virtual string Outcome => "condition met";

        public abstract bool Holds(JsonElement? item);

        public static Goal Parse(string text)
        {
            string[] parts = text.Split('=', 2);
            switch (parts)
            {
                case ["delete"]:
                    return new Delete();
                case ["create"]:
                    return new Create();
                case ["condition", { Length: > 0 } condition]:
                    string[] named = condition.Split('=', 2);
                    return new Condition(named[0], named.Length == 2 ? named[1] : "True");
                case ["jsonpath", { Length: > 0 } path]:
                    try
                    {
                        int brace = path.LastIndexOf('}');
                        int equals = path.IndexOf('=', brace < 0 ? 0 : brace);
                        return equals < 0
                            ? new Path(JsonPathTemplate.Parse(path), null, path)
                            : new Path(JsonPathTemplate.Parse(path[..equals]), path[(equals + 1)..].Trim('"', '\''), path);
                    }
                    catch (FormatException exception)
                    {
                        throw new CliException($"--for: {exception.Message}.", ExitCodes.Usage);
                    }

                default:
                    throw new CliException($"--for: '{text}' is not create, delete, condition=NAME[=STATUS] or jsonpath=PATH[=VALUE].", ExitCodes.Usage);
            }
        }

        public sealed record Delete : Goal
        {
            public override string Words => "'deleted'";

            public override string Outcome => "deleted";

            public override bool Holds(JsonElement? item) => item is null;
        }

        public sealed record Create : Goal
        {
            public override string Words => "'created'";

            public override string Outcome => "created";

            public override bool Holds(JsonElement? item) => item is not null;
        }

        public sealed record Condition(string Name, string Status) : Goal
        {
            public override string Words => $"condition {Name}={Status}";

            public override bool Holds(JsonElement? item) => item is { } found && found.Items("status.conditions").Any(condition =>
                string.Equals(condition.Text("type"), Name, StringComparison.OrdinalIgnoreCase)
                && string.Equals(condition.Text("status"), Status, StringComparison.OrdinalIgnoreCase)
                // A condition about an older spec says nothing of this one.
                && !(condition.Integer("observedGeneration") is { } observed && found.Integer("metadata.generation") is { } generation && observed < generation));
        }

        public sealed record Path(JsonPathTemplate Template, string? Value, string Text) : Goal
        {
            public override string Words => $"jsonpath {Text}";

            public override bool Holds(JsonElement? item) =>
                item is { } found && Template.Values(found) is { Count: > 0 } values && (Value is null || values.All(value => JsonPathTemplate.Print(value) == Value));
        }
    }
}
