using System.CommandLine;
using System.Diagnostics;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Objects;

/// <summary><c>rynxs diff -f FILE</c>: what apply would change, told by a dry run of the server and shown by diff(1).</summary>
internal static class DiffCommand
{
    public const string Name = "diff";

    /// <summary>There are differences, as with diff(1).</summary>
    private const int Differs = 1;

    public static Command Create(Screen screen)
    {
        Option<string[]> files = ManifestFiles.Option();
        files.Required = true;
        var serverSide = new Option<bool>("--server-side") { Description = "What 'apply --server-side --force-conflicts' would change." };
        var manager = new Option<string?>("--field-manager") { Description = "With --server-side: under which name the dry run applies (default: rynxs).", HelpName = "NAME" };
        var command = new Command(Name, "Shows what apply would change. Exit code 0 nothing, 1 something, 2 failure.") { files, serverSide, manager };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            IReadOnlyList<System.Text.Json.Nodes.JsonObject> documents = ManifestFiles.Read(parsed.GetRequiredValue(files));
            ClientSettings settings = ClientSettings.Resolve(parsed);
            using var client = new ApiClient(settings);
            ServerKinds kinds = await ServerKinds.FetchAsync(client, cancellationToken);
            var options = new ApplyOptions { ServerSide = parsed.GetValue(serverSide), Force = true, DryRun = true, Manager = parsed.GetValue(manager) ?? ApplyCommand.DefaultManager };
            return await RunAsync(client, Manifest.Bind(kinds, documents, settings.Namespace, parsed.GetValue(GlobalOptions.Namespace)), options, screen, cancellationToken);
        });
        return command;
    }

    private static async Task<int> RunAsync(
        ApiClient client, IReadOnlyList<Manifest> manifests, ApplyOptions options, Screen screen, CancellationToken cancellationToken)
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("rynxs-diff-");
        try
        {
            string live = directory.CreateSubdirectory("live").FullName, merged = directory.CreateSubdirectory("merged").FullName;
            foreach (Manifest manifest in manifests)
            {
                string file = Uri.EscapeDataString($"{manifest.Kind.ApiVersion}.{manifest.Kind.Kind}.{manifest.Namespace}.{manifest.Name}");
                JsonElement? before = await client.TryGetAsync(manifest.Path, cancellationToken);
                JsonElement? after = await ApplyCommand.PreviewAsync(client, manifest, options, before, cancellationToken);
                await WriteAsync(Path.Combine(live, file), before, cancellationToken);
                await WriteAsync(Path.Combine(merged, file), after, cancellationToken);
            }

            return await CompareAsync(directory.FullName, screen, cancellationToken);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    private static async Task WriteAsync(string path, JsonElement? item, CancellationToken cancellationToken)
    {
        string text = item is { } given ? YamlWriter.Write(DescribeCommand.WithoutManagedFields(given)) : "";
        await File.WriteAllTextAsync(path, text, cancellationToken);
    }

    private static async Task<int> CompareAsync(string directory, Screen screen, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo("diff")
        {
            WorkingDirectory = directory,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
        };
        foreach (string argument in (string[])["-u", "-N", "-r", "live", "merged"])
        {
            start.ArgumentList.Add(argument);
        }

        using Process diff = Process.Start(start) ?? throw new CliException("diff(1) did not start.", ExitCodes.DiffFailed);
        Task<string> output = diff.StandardOutput.ReadToEndAsync(cancellationToken), error = diff.StandardError.ReadToEndAsync(cancellationToken);
        await diff.WaitForExitAsync(cancellationToken);
        screen.Text(await output);
        screen.ErrorText(await error);
        return diff.ExitCode switch { 0 => ExitCodes.Ok, 1 => Differs, _ => ExitCodes.DiffFailed };
    }
}
