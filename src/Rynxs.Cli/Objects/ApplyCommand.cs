using System.CommandLine;
using System.Net;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.Cli.Objects;

/// <summary><c>rynxs apply -f FILE</c>: creates what is missing, merges into what exists.</summary>
internal static class ApplyCommand
{
    public static Command Create(Screen screen)
    {
        Option<string[]> files = ManifestFiles.Option();
        files.Required = true;
        var command = new Command("apply", "Creates or changes objects from manifests. Every document is checked before the first is sent.") { files };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            // Read first: a wrong manifest is reported without a server.
            string resourceNamespace = parsed.GetValue(GlobalOptions.Namespace) ?? "rynxs";
            IReadOnlyList<Resource> resources = ManifestFiles.Read(parsed.GetRequiredValue(files), resourceNamespace);
            using var client = new ApiClient(ClientSettings.Resolve(parsed));
            return await ApplyAsync(client, resources, screen, cancellationToken);
        });
        return command;
    }

    /// <summary>Applies each; a refused one does not keep the others from being applied.</summary>
    public static async Task<int> ApplyAsync(ApiClient client, IReadOnlyList<Resource> resources, Screen screen, CancellationToken cancellationToken)
    {
        int exitCode = ExitCodes.Ok;
        foreach (Resource resource in resources)
        {
            string label = $"{ResourceTypes.Of(resource).Singular}/{resource.Metadata.Name}";
            try
            {
                screen.Line($"{label} {await ApplyAsync(client, resource, cancellationToken)}");
            }
            catch (ApiException exception) when (exception.Status is HttpStatusCode.UnprocessableEntity or HttpStatusCode.Conflict or HttpStatusCode.BadRequest)
            {
                screen.Failure($"{label}: {exception.Message}", exception.Details.Select(detail => "- " + detail));
                exitCode = ExitCodes.Failure;
            }
        }

        return exitCode;
    }

    /// <returns><c>created</c>, <c>configured</c> or <c>unchanged</c>.</returns>
    private static async Task<string> ApplyAsync(ApiClient client, Resource resource, CancellationToken cancellationToken)
    {
        ResourceType type = ResourceTypes.Of(resource);
        string path = ResourcePath.Object(type, resource.Metadata.Namespace, resource.Metadata.Name);
        if (await client.TryGetAsync(path, cancellationToken) is not { } before)
        {
            try
            {
                string body = Encoding.UTF8.GetString(ResourceJson.Serialize(resource));
                await client.SendAsync(HttpMethod.Post, ResourcePath.Collection(type, resource.Metadata.Namespace), body, cancellationToken);
                return "created";
            }
            catch (ApiException exception) when (exception.Code == "AlreadyExists")
            {
                // Somebody created it between the two requests: merge into that one.
                before = await client.GetAsync(path, cancellationToken);
            }
        }

        JsonElement? after = await client.SendAsync(HttpMethod.Patch, path, MergePatch(resource), cancellationToken, "application/merge-patch+json");
        return after is { } changed && changed.Text("metadata.resourceVersion") == before.Text("metadata.resourceVersion") ? "unchanged" : "configured";
    }

    /// <summary>Labels, annotations and spec; what only the server sets is left out.</summary>
    private static string MergePatch(Resource resource)
    {
        JsonElement whole = ResourceJson.ToElement(resource);
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteStartObject("metadata");
            foreach (string name in (string[])["labels", "annotations"])
            {
                if (whole.At("metadata." + name) is { } map)
                {
                    writer.WritePropertyName(name);
                    map.WriteTo(writer);
                }
            }

            writer.WriteEndObject();
            if (whole.At("spec") is { } spec)
            {
                writer.WritePropertyName("spec");
                spec.WriteTo(writer);
            }

            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.ToArray());
    }
}
