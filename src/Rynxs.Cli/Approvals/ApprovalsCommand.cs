using System.CommandLine;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Meta;

namespace Rynxs.Cli.Approvals;

/// <summary><c>rynxs approvals [list|request|revoke]</c>: the one queue of questions, and asking for hosts.</summary>
internal static class ApprovalsCommand
{
    public static Command Create(Screen screen) => new("approvals", "Questions that wait for a person; 'rynxs approve NAME' answers one.") { List(screen), Request(screen), Revoke(screen) };

    private static Command List(Screen screen)
    {
        var all = new Option<bool>("--all") { Description = "Also those that were decided or expired." };
        var command = new Command("list", "Lists the questions that are open.") { all };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ClientSettings settings = ClientSettings.Resolve(parsed);
            using var client = new ApiClient(settings);
            JsonElement list = await client.GetAsync($"/apis/universe.ai/v1alpha1/namespaces/{Uri.EscapeDataString(settings.Namespace)}/approvals", cancellationToken);
            var table = new ColumnTable("NAME", "AGENT", "WHAT", "REQUESTER", "DECISION", "EXPIRES", "SUMMARY");
            foreach (JsonElement one in list.GetProperty("items").EnumerateArray().Where(one => parsed.GetValue(all) || Text(one, "status.decision").Length == 0))
            {
                table.Add(
                    Text(one, "metadata.name"), Text(one, "spec.agent"), Text(one, "spec.tool") is { Length: > 0 } tool ? tool : Text(one, "spec.kind"), Text(one, "spec.requester"),
                    Text(one, "status.decision") is { Length: > 0 } decision ? decision : "open", Text(one, "spec.expires"), Text(one, "spec.summary"));
            }

            table.WriteTo(screen);
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command Request(Screen screen)
    {
        var name = new Argument<string>("name") { Description = "Of the EgressApproval that is made." };
        var agent = new Option<string>("--agent") { Description = "The agent.", HelpName = "AGENT", Required = true };
        var host = new Option<string[]>("--host") { Description = "HOST, HOST:PORT, or http://HOST for plain HTTP. May be repeated.", HelpName = "HOST", Required = true };
        var reason = new Option<string>("--reason") { Description = "Why, on one line.", HelpName = "TEXT", Required = true };
        var ttl = new Option<int>("--hours") { Description = "For how long, from the decision on: 1 to 168.", HelpName = "HOURS", DefaultValueFactory = _ => 24 };
        var command = new Command("request", "Asks for hosts to be opened to an agent for a time. Somebody else has to approve.") { name, agent, host, reason, ttl };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ClientSettings settings = ClientSettings.Resolve(parsed);
            using var client = new ApiClient(settings);
            JsonElement self = await client.GetAsync("/api/v1/whoami", cancellationToken);
            using var buffer = new MemoryStream();
            using (var writer = new Utf8JsonWriter(buffer))
            {
                writer.WriteStartObject();
                writer.WriteString("apiVersion", Resource.GroupVersion);
                writer.WriteString("kind", "EgressApproval");
                writer.WriteStartObject("metadata");
                writer.WriteString("name", parsed.GetRequiredValue(name));
                writer.WriteString("namespace", settings.Namespace);
                writer.WriteEndObject();
                writer.WriteStartObject("spec");
                writer.WriteString("agent", parsed.GetRequiredValue(agent));
                writer.WriteString("reason", parsed.GetRequiredValue(reason));
                writer.WriteString("requester", Text(self, "name"));
                writer.WriteNumber("ttlSeconds", parsed.GetValue(ttl) * 3600L);
                writer.WriteStartArray("hosts");
                foreach (string target in parsed.GetRequiredValue(host))
                {
                    WriteHost(writer, target);
                }

                writer.WriteEndArray();
                writer.WriteEndObject();
                writer.WriteEndObject();
            }

            await client.SendAsync(
                HttpMethod.Post, $"/apis/universe.ai/v1alpha1/namespaces/{Uri.EscapeDataString(settings.Namespace)}/egressapprovals", Encoding.UTF8.GetString(buffer.ToArray()), cancellationToken);
            screen.Line($"egressapproval/{parsed.GetRequiredValue(name)} requested; somebody else decides: rynxs approve {parsed.GetRequiredValue(name)}");
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command Revoke(Screen screen)
    {
        var name = new Argument<string>("name") { Description = "The EgressApproval." };
        var command = new Command("revoke", "Takes a permission of egress away at once: what is open is cut.") { name };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ClientSettings settings = ClientSettings.Resolve(parsed);
            using var client = new ApiClient(settings);
            await client.SendAsync(HttpMethod.Delete, ResourcePath.Object(ResourceTypes.EgressApproval, settings.Namespace, parsed.GetRequiredValue(name)), null, cancellationToken);
            screen.Line($"egressapproval/{parsed.GetRequiredValue(name)} revoked");
            return ExitCodes.Ok;
        });
        return command;
    }

    private static void WriteHost(Utf8JsonWriter writer, string target)
    {
        const string Plain = "http://";
        bool isPlain = target.StartsWith(Plain, StringComparison.OrdinalIgnoreCase);
        string authority = isPlain ? target[Plain.Length..].TrimEnd('/') : target;
        int colon = authority.LastIndexOf(':');
        int port = isPlain ? 80 : 443;
        if (colon > 0 && !int.TryParse(authority.AsSpan(colon + 1), System.Globalization.CultureInfo.InvariantCulture, out port))
        {
            throw new CliException($"--host: '{target}' has no port after its colon", ExitCodes.Usage);
        }

        writer.WriteStartObject();
        writer.WriteString("host", colon > 0 ? authority[..colon] : authority);
        writer.WriteNumber("port", port);
        writer.WriteString("protocol", isPlain ? "http" : "tls");
        writer.WriteEndObject();
    }

    private static string Text(JsonElement element, string path) => element.Text(path) ?? "";
}
