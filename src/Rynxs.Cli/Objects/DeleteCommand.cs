using System.CommandLine;
using System.Net;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Objects;

/// <summary><c>rynxs delete KIND NAME…</c> or <c>rynxs delete -f FILE</c>.</summary>
internal static class DeleteCommand
{
    public static Command Create(Screen screen)
    {
        Argument<string[]> objects = GetCommand.ObjectsArgument("KIND NAME… or KIND/NAME….");
        objects.Arity = ArgumentArity.ZeroOrMore;
        Option<string[]> files = ManifestFiles.Option();
        var ignore = new Option<bool>("--ignore-not-found") { Description = "An object that does not exist is no failure." };
        var command = new Command("delete", "Deletes objects, by name or by manifest. An agent's audit chain stays.") { objects, files, ignore };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string[] paths = parsed.GetValue(files) ?? [], given = parsed.GetValue(objects) ?? [];
            bool byName = given.Length > 1 || (given.Length == 1 && given[0].Contains('/', StringComparison.Ordinal));
            if (byName == paths.Length > 0 || (paths.Length > 0 && given.Length > 0))
            {
                throw new CliException("give a kind and names, or -f FILE.", ExitCodes.Usage, "See: rynxs delete --help");
            }

            var documents = paths.Length > 0 ? ManifestFiles.Read(paths) : [];
            ClientSettings settings = ClientSettings.Resolve(parsed);
            using var client = new ApiClient(settings);
            ServerKinds kinds = await ServerKinds.FetchAsync(client, cancellationToken);
            IEnumerable<(string Label, string Path)> targets = byName
                ? ObjectNames.Resolve(kinds, given).Select(target => ($"{target.Kind.Label}/{target.Name}", target.Kind.Object(settings.Namespace, target.Name ?? "")))
                : Manifest.Bind(kinds, documents, settings.Namespace, parsed.GetValue(GlobalOptions.Namespace)).Select(manifest => (manifest.Label, manifest.Path));
            return await RunAsync(client, [.. targets], parsed.GetValue(ignore), screen, cancellationToken);
        });
        return command;
    }

    private static async Task<int> RunAsync(
        ApiClient client, IReadOnlyList<(string Label, string Path)> targets, bool ignoreNotFound, Screen screen, CancellationToken cancellationToken)
    {
        int exitCode = ExitCodes.Ok;
        foreach ((string label, string path) in targets)
        {
            try
            {
                await client.SendAsync(HttpMethod.Delete, path, body: null, cancellationToken);
                screen.Line($"{label} deleted");
            }
            catch (ApiException exception) when (exception.Status == HttpStatusCode.NotFound)
            {
                if (!ignoreNotFound)
                {
                    screen.Failure($"{label} does not exist, or this token may not see it.", []);
                    exitCode = ExitCodes.Failure;
                }
            }
        }

        return exitCode;
    }
}
