using System.CommandLine;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Meta;

namespace Rynxs.Cli.Objects;

/// <summary><c>rynxs get KIND [NAME]</c>.</summary>
internal static class GetCommand
{
    public static Command Create(Screen screen)
    {
        Argument<string> kind = KindArgument();
        var name = new Argument<string?>("name") { Description = "One object; all without it.", Arity = ArgumentArity.ZeroOrOne };
        Option<string> output = OutputFormat.Create(OutputFormat.Table, OutputFormat.Wide, OutputFormat.Json, OutputFormat.Yaml, OutputFormat.Name);
        var labels = new Option<string?>("--selector", "-l") { Description = "Label selector, such as app=x,tier!=old.", HelpName = "SELECTOR" };
        var fields = new Option<string?>("--field-selector") { Description = "Field selector, such as status.phase=Running.", HelpName = "SELECTOR" };
        var all = new Option<bool>("--all-namespaces", "-A") { Description = "All namespaces that the token may see." };
        var watch = new Option<bool>("--watch", "-w") { Description = "Goes on with each change, until interrupted." };
        var command = new Command("get", "Lists objects, or shows one.") { kind, name, output, labels, fields, all, watch };
        command.SetAction((parsed, cancellationToken) =>
        {
            var request = new GetRequest(
                ResourcePath.FindKind(parsed.GetRequiredValue(kind)),
                parsed.GetValue(name),
                parsed.GetRequiredValue(output),
                parsed.GetValue(labels),
                parsed.GetValue(fields),
                parsed.GetValue(all),
                parsed.GetValue(watch));
            return RunAsync(ClientSettings.Resolve(parsed), request, screen, cancellationToken);
        });
        return command;
    }

    /// <summary>A kind by any of its names, completed.</summary>
    public static Argument<string> KindArgument()
    {
        var kind = new Argument<string>("kind") { Description = string.Join(", ", ResourceTypes.All.Select(type => type.Plural)) + "." };
        kind.CompletionSources.Add([.. ResourceTypes.All.Select(type => type.Plural)]);
        return kind;
    }

    private static async Task<int> RunAsync(ClientSettings settings, GetRequest request, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings);
        if (request.Name is not null && !request.Watch)
        {
            JsonElement item = await client.GetAsync(ResourcePath.Object(request.Type, settings.Namespace, request.Name), cancellationToken);
            Show(screen, request, [item], item);
            return ExitCodes.Ok;
        }

        string path = ResourcePath.Collection(request.Type, request.AllNamespaces ? null : settings.Namespace);
        string query = Query(request);
        JsonElement list = await client.GetAsync(query.Length == 0 ? path : path + "?" + query, cancellationToken);
        JsonElement[] items = [.. list.Items("items")];
        if (items.Length == 0 && request.Output is OutputFormat.Table or OutputFormat.Wide && !request.Watch)
        {
            screen.Note($"No {request.Type.Plural}{(request.Type.Namespaced && !request.AllNamespaces ? " in namespace " + settings.Namespace : "")}.");
            return ExitCodes.Ok;
        }

        Show(screen, request, items, list);
        if (request.Watch)
        {
            string version = Uri.EscapeDataString(list.Text("metadata.resourceVersion") ?? "0");
            await foreach (byte[] line in client.StreamAsync($"{path}?{query}&watch=1&resourceVersion={version}", cancellationToken))
            {
                using JsonDocument change = JsonDocument.Parse(line);
                if (change.RootElement.At("object") is { } item && change.RootElement.Text("type") is { } type and not "BOOKMARK")
                {
                    screen.Note(type);
                    Show(screen, request, [item], item);
                }
            }
        }

        return ExitCodes.Ok;
    }

    private static string Query(GetRequest request)
    {
        string? fields = request.Name is null ? request.Fields : string.Join(',', ((string?[])[request.Fields, "metadata.name=" + request.Name]).OfType<string>());
        return string.Join('&', new[] { ("labelSelector", request.Labels), ("fieldSelector", fields) }
            .Where(pair => !string.IsNullOrEmpty(pair.Item2))
            .Select(pair => $"{pair.Item1}={Uri.EscapeDataString(pair.Item2 ?? "")}"));
    }

    private static void Show(Screen screen, GetRequest request, IReadOnlyList<JsonElement> items, JsonElement whole)
    {
        switch (request.Output)
        {
            case OutputFormat.Json or OutputFormat.Yaml:
                OutputFormat.Write(screen, whole, request.Output);
                break;
            case OutputFormat.Name:
                foreach (JsonElement item in items)
                {
                    screen.Line($"{request.Type.Singular}/{item.Text("metadata.name")}");
                }

                break;
            default:
                ObjectTable.Write(screen, request.Type, items, request.Output == OutputFormat.Wide, request.AllNamespaces, TimeProvider.System);
                break;
        }
    }

    private sealed record GetRequest(ResourceType Type, string? Name, string Output, string? Labels, string? Fields, bool AllNamespaces, bool Watch);
}
