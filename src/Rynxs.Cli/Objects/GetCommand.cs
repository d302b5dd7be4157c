using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.Client;
using Rynxs.Cli.Output;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Meta;

namespace Rynxs.Cli.Objects;

/// <summary><c>rynxs get KIND [NAME…]</c>, for every kind that the server serves.</summary>
internal static class GetCommand
{
    public static Command Create(Screen screen)
    {
        Argument<string[]> objects = ObjectsArgument("KIND, KIND NAME…, KIND/NAME…; kinds may be a list (agents,tasks) or a category (all).");
        Option<string?> output = OutputForm.Option();
        var labels = new Option<string?>("--selector", "-l") { Description = "Label selector, such as app=x,tier!=old.", HelpName = "SELECTOR" };
        var fields = new Option<string?>("--field-selector") { Description = "Field selector, such as status.phase=Running.", HelpName = "SELECTOR" };
        var all = new Option<bool>("--all-namespaces", "-A") { Description = "All namespaces that the token may see." };
        var watch = new Option<bool>("--watch", "-w") { Description = "Goes on with each change, until interrupted." };
        var command = new Command("get", "Lists objects, or shows some.") { objects, output, labels, fields, all, watch };
        command.SetAction((parsed, cancellationToken) =>
        {
            var request = new GetRequest(
                parsed.GetRequiredValue(objects),
                OutputForm.Parse(parsed.GetValue(output)),
                parsed.GetValue(labels),
                parsed.GetValue(fields),
                parsed.GetValue(all),
                parsed.GetValue(watch));
            return RunAsync(ClientSettings.Resolve(parsed), request, screen, cancellationToken);
        });
        return command;
    }

    /// <summary>Kinds and names, completed with the kinds of Rynxs.</summary>
    public static Argument<string[]> ObjectsArgument(string description)
    {
        var objects = new Argument<string[]>("object") { Description = description, Arity = ArgumentArity.OneOrMore };
        objects.CompletionSources.Add([.. ResourceTypes.All.Select(type => type.Plural)]);
        return objects;
    }

    private static async Task<int> RunAsync(ClientSettings settings, GetRequest request, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings) { Warning = text => screen.Note("Warning: " + text) };
        ServerKinds kinds = await ServerKinds.FetchAsync(client, cancellationToken);
        IReadOnlyList<(ApiKind Kind, string? Name)> targets = ObjectNames.Resolve(kinds, request.Objects);
        if (request.Watch)
        {
            (ApiKind kind, string? name) = targets.Count == 1 ? targets[0] : throw new CliException("--watch follows one kind or one object.", ExitCodes.Usage);
            return await WatchAsync(client, settings, request, kind, name, screen, cancellationToken);
        }

        string accept = request.Form is OutputForm.Table ? ServerTable.Accept : "application/json";
        List<(ApiKind Kind, JsonElement Answer)> answers = [];
        foreach ((ApiKind kind, string? name) in targets)
        {
            string path = name is not null
                ? kind.Object(settings.Namespace, name)
                : WithQuery(kind.Collection(request.AllNamespaces ? null : settings.Namespace), Query(request, name: null));
            answers.Add((kind, await client.GetAsync(path, cancellationToken, accept)));
        }

        Show(screen, request, answers, settings.Namespace);
        return ExitCodes.Ok;
    }

    private static async Task<int> WatchAsync(
        ApiClient client, ClientSettings settings, GetRequest request, ApiKind kind, string? name, Screen screen, CancellationToken cancellationToken)
    {
        string accept = request.Form is OutputForm.Table ? ServerTable.Accept : "application/json";
        string path = kind.Collection(request.AllNamespaces ? null : settings.Namespace);
        string query = Query(request, name);
        var printer = new ObjectPrinter(screen, request.Form, WithNamespace(request, kind));
        while (true)
        {
            JsonElement list = await client.GetAsync(WithQuery(path, query), cancellationToken, accept);
            printer.WriteAll(kind, list);
            string version = list.Text("metadata.resourceVersion") ?? "0";
            bool expired = false;
            await foreach (byte[] line in client.StreamAsync(
                WithQuery(path, Join(query, $"watch=1&allowWatchBookmarks=true&resourceVersion={Uri.EscapeDataString(version)}")), cancellationToken, accept))
            {
                using JsonDocument change = JsonDocument.Parse(line);
                string? type = change.RootElement.Text("type");
                if (type == "ERROR")
                {
                    // The history no longer reaches back: list again. Whatever else it is, the list will say.
                    expired = true;
                    break;
                }

                if (type is not (null or "BOOKMARK") && change.RootElement.At("object") is { } item)
                {
                    printer.WriteOne(kind, item);
                }
            }

            if (!expired)
            {
                return ExitCodes.Ok; // the server ended the watch
            }
        }
    }

    private static void Show(Screen screen, GetRequest request, List<(ApiKind Kind, JsonElement Answer)> answers, string resourceNamespace)
    {
        if (request.Form is OutputForm.Json or OutputForm.Yaml or OutputForm.JsonPath && answers.Count > 1)
        {
            var list = new JsonObject
            {
                ["apiVersion"] = "v1",
                ["kind"] = "List",
                ["items"] = new JsonArray([.. answers.SelectMany(answer => answer.Answer.At("items") is null ? [answer.Answer] : answer.Answer.Items("items"))
                    .Select(item => JsonNode.Parse(item.GetRawText()))]),
            };
            new ObjectPrinter(screen, request.Form, withNamespace: false).WriteAll(answers[0].Kind, JsonSerializer.SerializeToElement(list, CliJson.Default.JsonObject));
            return;
        }

        bool first = true;
        foreach (IGrouping<ApiKind, (ApiKind Kind, JsonElement Answer)> group in answers.GroupBy(answer => answer.Kind))
        {
            var printer = new ObjectPrinter(screen, request.Form, WithNamespace(request, group.Key));
            bool any = false;
            foreach ((ApiKind kind, JsonElement answer) in group)
            {
                bool empty = (answer.Text("kind") == "Table" ? answer.Items("rows") : answer.At("items") is null ? [answer] : answer.Items("items")).Any() == false;
                if (!empty && !any && !first && request.Form is OutputForm.Table)
                {
                    screen.Line();
                }

                any |= !empty;
                printer.WriteAll(kind, answer);
            }

            first &= !any;
            if (!any && request.Form is OutputForm.Table && request.Objects.Count == 1 && answers.Count == 1)
            {
                screen.Note($"No {group.Key.Plural}{(group.Key.Namespaced && !request.AllNamespaces ? " in namespace " + resourceNamespace : "")}.");
            }
        }
    }

    private static bool WithNamespace(GetRequest request, ApiKind kind) => request.AllNamespaces && kind.Namespaced;

    private static string Query(GetRequest request, string? name)
    {
        string? fields = name is null ? request.Fields : string.Join(',', ((string?[])[request.Fields, "metadata.name=" + name]).OfType<string>());
        return string.Join('&', new[] { ("labelSelector", request.Labels), ("fieldSelector", fields) }
            .Where(pair => !string.IsNullOrEmpty(pair.Item2))
            .Select(pair => $"{pair.Item1}={Uri.EscapeDataString(pair.Item2 ?? "")}"));
    }

    private static string WithQuery(string path, string query) => query.Length == 0 ? path : $"{path}?{query}";

    private static string Join(string one, string other) => one.Length == 0 ? other : $"{one}&{other}";

    private sealed record GetRequest(IReadOnlyList<string> Objects, OutputForm Form, string? Labels, string? Fields, bool AllNamespaces, bool Watch);
}
