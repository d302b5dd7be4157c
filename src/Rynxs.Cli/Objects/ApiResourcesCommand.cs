using System.CommandLine;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Objects;

/// <summary><c>rynxs api-resources</c>: the kinds that the server serves.</summary>
internal static class ApiResourcesCommand
{
    public static Command Create(Screen screen)
    {
        var group = new Option<string?>("--api-group") { Description = "Only this group; empty for core.", HelpName = "GROUP" };
        var namespaced = new Option<bool?>("--namespaced") { Description = "Only kinds in namespaces (true) or outside (false).", HelpName = "true|false" };
        Option<string> output = OutputFormat.Create(OutputFormat.Table, OutputFormat.Wide, OutputFormat.Name);
        var command = new Command("api-resources", "Lists the kinds that the server serves.") { group, namespaced, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            using var client = new ApiClient(ClientSettings.Resolve(parsed));
            ServerKinds served = await ServerKinds.FetchAsync(client, cancellationToken);
            ApiKind[] kinds = [.. served.Preferred
                .Where(kind => parsed.GetValue(group) is not { } wanted || kind.Group == wanted)
                .Where(kind => parsed.GetValue(namespaced) is not { } wanted || kind.Namespaced == wanted)
                .OrderBy(kind => kind.Group, StringComparer.Ordinal).ThenBy(kind => kind.Plural, StringComparer.Ordinal)];
            Show(screen, kinds, parsed.GetRequiredValue(output));
            return ExitCodes.Ok;
        });
        return command;
    }

    private static void Show(Screen screen, IReadOnlyList<ApiKind> kinds, string form)
    {
        if (form == OutputFormat.Name)
        {
            foreach (ApiKind kind in kinds)
            {
                screen.Line(kind.Group.Length == 0 ? kind.Plural : $"{kind.Plural}.{kind.Group}");
            }

            return;
        }

        bool wide = form == OutputFormat.Wide;
        var table = new ColumnTable(["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", .. wide ? (string[])["VERBS", "CATEGORIES"] : []]);
        foreach (ApiKind kind in kinds)
        {
            table.Add([
                kind.Plural, string.Join(',', kind.ShortNames), kind.ApiVersion, kind.Namespaced ? "true" : "false", kind.Kind,
                .. wide ? (string[])[string.Join(',', kind.Verbs), string.Join(',', kind.Categories)] : []]);
        }

        table.WriteTo(screen);
    }
}
