using System.CommandLine;
using System.Net;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Meta;

namespace Rynxs.Cli.Approvals;

/// <summary><c>rynxs approve NAME</c> and <c>rynxs reject NAME</c>.</summary>
internal static class DecisionCommand
{
    public static Command Create(Screen screen, bool approve)
    {
        var name = new Argument<string>("name") { Description = "The approval; 'rynxs get approvals' lists them." };
        var reason = new Option<string?>("--reason") { Description = "Why, up to 1024 characters.", HelpName = "TEXT" };
        Command command = approve
            ? new Command("approve", "Lets a waiting call go ahead. Nobody decides about what they asked for themselves.") { name, reason }
            : new Command("reject", "Refuses a waiting call.") { name, reason };
        command.SetAction((parsed, cancellationToken) =>
            RunAsync(ClientSettings.Resolve(parsed), parsed.GetRequiredValue(name), approve, parsed.GetValue(reason), screen, cancellationToken));
        return command;
    }

    /// <summary>Sends a decision; the approval as it then is.</summary>
    internal static async Task<JsonElement?> DecideAsync(
        ApiClient client, string resourceNamespace, string name, bool approve, string? reason, CancellationToken cancellationToken)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("decision", approve ? "approve" : "reject");
            if (reason is not null)
            {
                writer.WriteString("reason", reason);
            }

            writer.WriteEndObject();
        }

        return await client.SendAsync(
            HttpMethod.Post,
            $"/api/v1/namespaces/{Uri.EscapeDataString(resourceNamespace)}/approvals/{Uri.EscapeDataString(name)}/decision",
            Encoding.UTF8.GetString(buffer.ToArray()),
            cancellationToken);
    }

    private static async Task<int> RunAsync(
        ClientSettings settings, string name, bool approve, string? reason, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings);
        // Shows what is being decided, and refuses "." and the like as a name.
        JsonElement approval = await client.GetAsync(ResourcePath.Object(ResourceTypes.Approval, settings.Namespace, name), cancellationToken);
        screen.Note($"{approval.Text("spec.agent")} wants {approval.Text("spec.tool")}: {approval.Text("spec.summary")}");
        try
        {
            await DecideAsync(client, settings.Namespace, name, approve, reason, cancellationToken);
        }
        catch (ApiException exception) when (exception.Status is HttpStatusCode.Forbidden or HttpStatusCode.Conflict)
        {
            throw new CliException($"not decided ({exception.Code}): {exception.Message}");
        }

        screen.Line($"approval/{name} {(approve ? "approved" : "rejected")}");
        return ExitCodes.Ok;
    }
}
