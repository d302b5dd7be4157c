using System.CommandLine;
using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Manifests;

namespace Rynxs.Cli.Objects;

/// <summary>
/// <c>rynxs edit KIND NAME</c>: the object in an editor; what was changed is sent as a merge patch that holds only against the version that was shown. A
/// refused edit is opened again with the reason on top, and is never lost.
/// </summary>
internal static class EditCommand
{
    private const int MaxFileBytes = 4 * 1024 * 1024;

    public static Command Create(Screen screen)
    {
        Argument<string[]> objects = GetCommand.ObjectsArgument("One object: KIND NAME or KIND/NAME.");
        var command = new Command("edit", "Opens an object in RYNXS_EDITOR, KUBE_EDITOR, VISUAL or EDITOR (else vi) and sends what was changed.") { objects };
        command.SetAction((parsed, cancellationToken) => RunAsync(ClientSettings.Resolve(parsed), parsed.GetRequiredValue(objects), screen, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(ClientSettings settings, string[] given, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings) { Warning = text => screen.Note("Warning: " + text) };
        ServerKinds kinds = await ServerKinds.FetchAsync(client, cancellationToken);
        (ApiKind kind, string name) = ObjectNames.One(kinds, given);
        string path = kind.Object(settings.Namespace, name), label = $"{kind.Label}/{name}";
        JsonElement live = DescribeCommand.WithoutManagedFields(await client.GetAsync(path, cancellationToken));
        string file = Path.Combine(Directory.CreateTempSubdirectory("rynxs-edit-").FullName, $"{name}.yaml");
        string body = YamlWriter.Write(live), reason = "";
        while (true)
        {
            string offered = Header(label, reason) + body;
            await File.WriteAllTextAsync(file, offered, cancellationToken);
            await OpenEditorAsync(file, cancellationToken);
            string saved = await ReadAsync(file, cancellationToken);
            body = WithoutHeader(saved);
            if (saved == offered || body.Trim().Length == 0)
            {
                // Unchanged: nothing was wanted, or the person has given up on what was refused.
                return reason.Length == 0 ? Cancelled(screen, file) : throw new CliException($"the edit of {label} was not accepted: {reason}", hints: [$"It is kept in {file}"]);
            }

            (JsonObject? patch, string? problem) = Compare(live, body);
            if (problem is not null)
            {
                reason = problem;
                continue;
            }

            if (patch is not { Count: > 0 })
            {
                return Cancelled(screen, file);
            }

            try
            {
                string text = WithVersion(patch, live.Text("metadata.resourceVersion"));
                await client.SendAsync(HttpMethod.Patch, $"{path}?fieldManager=rynxs-edit&fieldValidation=Strict", text, cancellationToken, "application/merge-patch+json");
                Directory.Delete(Path.GetDirectoryName(file) ?? file, recursive: true);
                screen.Line($"{label} edited");
                return ExitCodes.Ok;
            }
            catch (ApiException exception) when (exception.Status == HttpStatusCode.Conflict)
            {
                // The edit is kept and now stands against the newer object: saved once more, it changes what the person changed and nothing else.
                JsonElement newer = DescribeCommand.WithoutManagedFields(await client.GetAsync(path, cancellationToken));
                body = YamlWriter.Write(Merge(newer, patch));
                live = newer;
                reason = "the object was changed by somebody else meanwhile; below is the newer one with your change. Save it again (with any change of this comment) to send it.";
            }
            catch (ApiException exception) when (exception.Status is HttpStatusCode.UnprocessableEntity or HttpStatusCode.BadRequest or HttpStatusCode.Forbidden)
            {
                reason = string.Join("; ", exception.Details.Prepend(exception.Message));
            }
        }
    }

    private static int Cancelled(Screen screen, string file)
    {
        Directory.Delete(Path.GetDirectoryName(file) ?? file, recursive: true);
        screen.Note("Edit cancelled, nothing was changed.");
        return ExitCodes.Ok;
    }

    private static string Header(string label, string reason)
    {
        var header = new StringBuilder($"# {label}: lines that begin with '#' at the top are ignored; an empty file cancels.\n");
        foreach (string line in reason.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            header.Append("# NOT ACCEPTED: ").Append(Screen.Visible(line)).Append('\n');
        }

        return header.Append("#\n").ToString();
    }

    private static string WithoutHeader(string text) => string.Join('\n', text.Split('\n').SkipWhile(line => line.StartsWith('#')));

    private static (JsonObject? Patch, string? Problem) Compare(JsonElement live, string body)
    {
        try
        {
            if (ManifestDocuments.Read(Encoding.UTF8.GetBytes(body)) is not [{ } edited])
            {
                return (null, "one document is due");
            }

            foreach (string field in (string[])["apiVersion", "kind", "metadata.name", "metadata.namespace", "metadata.uid"])
            {
                JsonElement now = JsonSerializer.SerializeToElement(edited, CliJson.Default.JsonObject);
                if (now.Text(field) != live.Text(field))
                {
                    return (null, $"{field} cannot be changed");
                }
            }

            return (Difference((JsonObject)(JsonNode.Parse(live.GetRawText()) ?? new JsonObject()), edited), null);
        }
        catch (FormatException exception)
        {
            return (null, exception.Message);
        }
    }

    /// <summary>The merge patch (RFC 7396) from one object to another.</summary>
    internal static JsonObject Difference(JsonObject from, JsonObject to)
    {
        var patch = new JsonObject();
        foreach ((string name, JsonNode? value) in to)
        {
            if (from[name] is JsonObject inner && value is JsonObject changed)
            {
                JsonObject deeper = Difference(inner, changed);
                if (deeper.Count > 0)
                {
                    patch[name] = deeper;
                }
            }
            else if (!from.ContainsKey(name) || !JsonNode.DeepEquals(from[name], value))
            {
                patch[name] = value?.DeepClone();
            }
        }

        foreach ((string name, JsonNode? _) in from)
        {
            if (!to.ContainsKey(name))
            {
                patch[name] = null;
            }
        }

        return patch;
    }

    private static JsonElement Merge(JsonElement target, JsonObject patch)
    {
        var merged = (JsonObject)(JsonNode.Parse(target.GetRawText()) ?? new JsonObject());
        Apply(merged, patch);
        return JsonSerializer.SerializeToElement(merged, CliJson.Default.JsonObject);

        static void Apply(JsonObject into, JsonObject change)
        {
            foreach ((string name, JsonNode? value) in change)
            {
                if (value is null)
                {
                    into.Remove(name);
                }
                else if (value is JsonObject inner && into[name] is JsonObject existing)
                {
                    Apply(existing, inner);
                }
                else
                {
                    into[name] = value.DeepClone();
                }
            }
        }
    }

    private static string WithVersion(JsonObject patch, string? version)
    {
        var whole = (JsonObject)patch.DeepClone();
        if (version is not null)
        {
            if (whole["metadata"] is not JsonObject metadata)
            {
                whole["metadata"] = metadata = new JsonObject();
            }

            metadata["resourceVersion"] = version;
        }

        return JsonSerializer.Serialize(whole, CliJson.Default.JsonObject);
    }

    private static async Task<string> ReadAsync(string file, CancellationToken cancellationToken) =>
        new FileInfo(file) is { Exists: true, Length: <= MaxFileBytes }
            ? await File.ReadAllTextAsync(file, cancellationToken)
            : throw new CliException($"the editor left no file of at most {MaxFileBytes} bytes at {file}.");

    // An editor may bring arguments ("code --wait"): the shell splits them, and gets the file as an argument of its own.
    private static async Task OpenEditorAsync(string file, CancellationToken cancellationToken)
    {
        string editor = ((string[])["RYNXS_EDITOR", "KUBE_EDITOR", "VISUAL", "EDITOR"])
            .Select(Environment.GetEnvironmentVariable).FirstOrDefault(value => !string.IsNullOrWhiteSpace(value)) ?? "vi";
        var start = new ProcessStartInfo("/bin/sh");
        foreach (string argument in (string[])["-c", editor + " \"$1\"", "sh", file])
        {
            start.ArgumentList.Add(argument);
        }

        using Process process = Process.Start(start) ?? throw new CliException($"the editor '{editor}' did not start.");
        await process.WaitForExitAsync(cancellationToken);
        if (process.ExitCode != 0)
        {
            throw new CliException($"the editor '{editor}' ended with {process.ExitCode}; nothing was sent.", hints: [$"The file is kept: {file}"]);
        }
    }
}
