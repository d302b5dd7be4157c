using System.CommandLine;
using System.Net;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Meta;

namespace Rynxs.Cli.Objects;

/// <summary><c>rynxs delete KIND NAME…</c> or <c>rynxs delete -f FILE</c>.</summary>
internal static class DeleteCommand
{
    public static Command Create(Screen screen)
    {
        Argument<string?> kind = new("kind") { Description = "Kind of the objects.", Arity = ArgumentArity.ZeroOrOne };
        kind.CompletionSources.Add([.. ResourceTypes.All.Select(type => type.Plural)]);
        var names = new Argument<string[]>("name") { Description = "The objects.", Arity = ArgumentArity.ZeroOrMore };
        Option<string[]> files = ManifestFiles.Option();
        var ignore = new Option<bool>("--ignore-not-found") { Description = "An object that does not exist is no failure." };
        var command = new Command("delete", "Deletes objects, by name or by manifest. An agent's audit chain stays.") { kind, names, files, ignore };
        command.SetAction((parsed, cancellationToken) =>
        {
            string resourceNamespace = parsed.GetValue(GlobalOptions.Namespace) ?? "rynxs";
            string[] paths = parsed.GetValue(files) ?? [];
            string[] given = parsed.GetValue(names) ?? [];
            List<(ResourceType Type, NamespacedName Id)> targets = (paths, parsed.GetValue(kind), given) switch
            {
                ([], { } kindName, { Length: > 0 }) when ResourcePath.FindKind(kindName) is var type =>
                    [.. given.Select(name => (type, new NamespacedName(type.Namespaced ? resourceNamespace : "", name)))],
                ({ Length: > 0 }, null, []) =>
                    [.. ManifestFiles.Read(paths, resourceNamespace).Select(resource => (ResourceTypes.Of(resource), resource.Id))],
                _ => throw new CliException("give a kind and names, or -f FILE.", ExitCodes.Usage, "See: rynxs delete --help"),
            };
            return RunAsync(ClientSettings.Resolve(parsed), targets, parsed.GetValue(ignore), screen, cancellationToken);
        });
        return command;
    }

    private static async Task<int> RunAsync(
        ClientSettings settings, List<(ResourceType Type, NamespacedName Id)> targets, bool ignoreNotFound, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings);
        int exitCode = ExitCodes.Ok;
        foreach ((ResourceType type, NamespacedName id) in targets)
        {
            try
            {
                await client.SendAsync(HttpMethod.Delete, ResourcePath.Object(type, id.Namespace, id.Name), body: null, cancellationToken);
                screen.Line($"{type.Singular}/{id.Name} deleted");
            }
            catch (ApiException exception) when (exception.Status == HttpStatusCode.NotFound)
            {
                if (!ignoreNotFound)
                {
                    screen.Failure($"{type.Singular}/{id.Name} does not exist, or this token may not see it.", []);
                    exitCode = ExitCodes.Failure;
                }
            }
        }

        return exitCode;
    }
}
