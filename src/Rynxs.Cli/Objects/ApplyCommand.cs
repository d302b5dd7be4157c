using System.CommandLine;
using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Objects;

/// <summary>
/// <c>rynxs apply -f FILE</c>: creates what is missing, changes what exists by what the manifest says now and said last time; with <c>--server-side</c> the
/// server keeps who owns which field.
/// </summary>
internal static class ApplyCommand
{
    public const string DefaultManager = "rynxs";

    public static Command Create(Screen screen)
    {
        Option<string[]> files = ManifestFiles.Option();
        files.Required = true;
        var serverSide = new Option<bool>("--server-side") { Description = "The server merges, keeps who owns which field, and refuses conflicts." };
        var force = new Option<bool>("--force-conflicts") { Description = "With --server-side: takes over fields that others own." };
        var manager = new Option<string?>("--field-manager") { Description = "With --server-side: under which name fields are owned (default: rynxs).", HelpName = "NAME" };
        var dryRun = new Option<string?>("--dry-run") { Description = "'server': everything but the change itself.", HelpName = "server" };
        dryRun.AcceptOnlyFromAmong("server");
        var command = new Command("apply", "Creates or changes objects from manifests. Every document is checked before the first is sent.") { files, serverSide, force, manager, dryRun };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var options = new ApplyOptions
            {
                ServerSide = parsed.GetValue(serverSide),
                Force = parsed.GetValue(force),
                Manager = parsed.GetValue(manager) ?? DefaultManager,
                DryRun = parsed.GetValue(dryRun) is not null,
            };
            if (!options.ServerSide && (options.Force || parsed.GetValue(manager) is not null))
            {
                throw new CliException("--force-conflicts and --field-manager need --server-side.", ExitCodes.Usage);
            }

            // Read first: a wrong manifest is reported without a server.
            IReadOnlyList<JsonObject> documents = ManifestFiles.Read(parsed.GetRequiredValue(files));
            ClientSettings settings = ClientSettings.Resolve(parsed);
            using var client = new ApiClient(settings) { Warning = text => screen.Note("Warning: " + text) };
            ServerKinds kinds = await ServerKinds.FetchAsync(client, cancellationToken);
            return await ApplyAsync(client, Manifest.Bind(kinds, documents, settings.Namespace, parsed.GetValue(GlobalOptions.Namespace)), options, screen, cancellationToken);
        });
        return command;
    }

    /// <summary>Applies each; a refused one does not keep the others from being applied.</summary>
    public static async Task<int> ApplyAsync(
        ApiClient client, IReadOnlyList<Manifest> manifests, ApplyOptions options, Screen screen, CancellationToken cancellationToken)
    {
        int exitCode = ExitCodes.Ok;
        foreach (Manifest manifest in manifests)
        {
            try
            {
                string outcome = options.ServerSide
                    ? await ApplyOnServerAsync(client, manifest, options, cancellationToken)
                    : await MergeAsync(client, manifest, options, cancellationToken);
                screen.Line($"{manifest.Label} {outcome}{(options.DryRun ? " (server dry run)" : "")}");
            }
            catch (ApiException exception) when (exception.Status is HttpStatusCode.UnprocessableEntity or HttpStatusCode.Conflict or HttpStatusCode.BadRequest)
            {
                string[] hints = exception.Status == HttpStatusCode.Conflict && options.ServerSide
                    ? ["Take the fields over with --force-conflicts, or leave them out of the manifest."]
                    : [];
                screen.Failure($"{manifest.Label}: {exception.Message}", [.. exception.Details.Select(detail => "- " + detail), .. hints]);
                exitCode = ExitCodes.Failure;
            }
        }

        return exitCode;
    }

    /// <summary>What applying one document would make of it: a dry run, whatever the options say. Null: it is as the manifest wants it.</summary>
    public static async Task<JsonElement?> PreviewAsync(ApiClient client, Manifest manifest, ApplyOptions options, JsonElement? live, CancellationToken cancellationToken)
    {
        options = options with { DryRun = true };
        if (options.ServerSide)
        {
            return await SendAsync(client, manifest, options, cancellationToken);
        }

        // The note of what was applied last is no difference that anybody asks for.
        return live is { } before
            ? await PatchAsync(client, manifest, before, remembers: false, options, cancellationToken) ?? before
            : await client.SendAsync(HttpMethod.Post, manifest.Collection + Query(options), Text(LastApplied.Wanted(manifest.Content, remembers: false)), cancellationToken);
    }

    /// <summary>Server-side apply of one document; the object as it then is.</summary>
    private static Task<JsonElement?> SendAsync(ApiClient client, Manifest manifest, ApplyOptions options, CancellationToken cancellationToken) =>
        client.SendAsync(
            HttpMethod.Patch,
            $"{manifest.Path}{Query(options)}{(options.Force ? "&force=true" : "")}",
            manifest.Text, cancellationToken, "application/apply-patch+yaml");

    private static async Task<string> ApplyOnServerAsync(ApiClient client, Manifest manifest, ApplyOptions options, CancellationToken cancellationToken)
    {
        await SendAsync(client, manifest, options, cancellationToken);
        return "serverside-applied";
    }

    /// <returns><c>created</c>, <c>configured</c> or <c>unchanged</c>.</returns>
    private static async Task<string> MergeAsync(ApiClient client, Manifest manifest, ApplyOptions options, CancellationToken cancellationToken)
    {
        if (await client.TryGetAsync(manifest.Path, cancellationToken) is not { } before)
        {
            try
            {
                await client.SendAsync(HttpMethod.Post, manifest.Collection + Query(options), Text(LastApplied.Wanted(manifest.Content, remembers: true)), cancellationToken);
                return "created";
            }
            catch (ApiException exception) when (exception.Code == "AlreadyExists")
            {
                // Somebody created it between the two requests: merge into that one.
                before = await client.GetAsync(manifest.Path, cancellationToken);
            }
        }

        if (await PatchAsync(client, manifest, before, remembers: true, options, cancellationToken) is not { } changed)
        {
            return "unchanged";
        }

        // A dry run gets no version of its own, so what was said is compared as well.
        bool same = options.DryRun
            ? JsonElement.DeepEquals(DescribeCommand.WithoutManagedFields(changed), DescribeCommand.WithoutManagedFields(before))
            : changed.Text("metadata.resourceVersion") == before.Text("metadata.resourceVersion");
        return same ? "unchanged" : "configured";
    }

    /// <summary>Null when there is nothing to send.</summary>
    private static async Task<JsonElement?> PatchAsync(
        ApiClient client, Manifest manifest, JsonElement live, bool remembers, ApplyOptions options, CancellationToken cancellationToken)
    {
        JsonObject now = JsonNode.Parse(live.GetRawText())?.AsObject() ?? [];
        JsonObject patch = LastApplied.Patch(LastApplied.Of(now), LastApplied.Wanted(manifest.Content, remembers), now);
        return patch.Count == 0
            ? null
            : await client.SendAsync(HttpMethod.Patch, manifest.Path + Query(options), Text(patch), cancellationToken, "application/merge-patch+json");
    }

    private static string Query(ApplyOptions options) =>
        $"?fieldManager={Uri.EscapeDataString(options.Manager)}&fieldValidation=Strict{(options.DryRun ? "&dryRun=All" : "")}";

    private static string Text(JsonObject document) => JsonSerializer.Serialize(document, CliJson.Default.JsonObject);
}

/// <summary>How to apply.</summary>
internal sealed record ApplyOptions
{
    public bool ServerSide { get; init; }

    public bool Force { get; init; }

    public string Manager { get; init; } = ApplyCommand.DefaultManager;

    public bool DryRun { get; init; }
}
