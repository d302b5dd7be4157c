using System.CommandLine;
using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Objects;

/// <summary><c>rynxs describe KIND NAME</c>: everything about one object, its events, and for an agent what it is doing.</summary>
internal static class DescribeCommand
{
    private const int ShownRecords = 10;
    private const int ShownEvents = 50;

    public static Command Create(Screen screen)
    {
        Argument<string[]> objects = GetCommand.ObjectsArgument("One object: KIND NAME or KIND/NAME.");
        var command = new Command("describe", "Shows one object in full with its events; for an agent also its last records.") { objects };
        command.SetAction((parsed, cancellationToken) => RunAsync(ClientSettings.Resolve(parsed), parsed.GetRequiredValue(objects), screen, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(ClientSettings settings, string[] given, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings);
        ServerKinds kinds = await ServerKinds.FetchAsync(client, cancellationToken);
        (ApiKind kind, string name) = ObjectNames.One(kinds, given);
        JsonElement item = await client.GetAsync(kind.Object(settings.Namespace, name), cancellationToken);
        OutputFormat.Write(screen, Shown(kind, WithoutManagedFields(item)), OutputFormat.Yaml);
        await ShowEventsAsync(client, kinds, kind, item, screen, cancellationToken);
        if (kind is { Group: "universe.ai", Plural: "agents" })
        {
            await ShowRecordsAsync(client, settings.Namespace, name, screen, cancellationToken);
        }

        return ExitCodes.Ok;
    }

    /// <summary>For people who look: without the note of what was applied last, which says everything twice, and with the sizes of a Secret's values.</summary>
    private static JsonElement Shown(ApiKind kind, JsonElement item)
    {
        if (JsonNode.Parse(item.GetRawText()) is not JsonObject whole)
        {
            return item;
        }

        if (whole["metadata"]?["annotations"] is JsonObject annotations && annotations.Remove(LastApplied.Annotation) && annotations.Count == 0)
        {
            (whole["metadata"] as JsonObject)?.Remove("annotations");
        }

        if (kind is { Group: "", Plural: "secrets" } && whole["data"] is JsonObject data)
        {
            whole["data"] = new JsonObject(data.Select(entry => KeyValuePair.Create(entry.Key, (JsonNode?)JsonValue.Create(Size(entry.Value)))));
        }

        return JsonSerializer.SerializeToElement(whole, CliJson.Default.JsonObject);

        static string Size(JsonNode? value)
        {
            string text = value is JsonValue given && given.TryGetValue(out string? encoded) ? encoded : "";
            byte[] bytes = new byte[text.Length];
            return Convert.TryFromBase64String(text, bytes, out int length) ? $"{length} bytes" : "not base64";
        }
    }

    /// <summary>Who set which field is the business of apply, and three quarters of the text.</summary>
    public static JsonElement WithoutManagedFields(JsonElement item)
    {
        if (item.At("metadata.managedFields") is null || JsonNode.Parse(item.GetRawText()) is not JsonObject whole)
        {
            return item;
        }

        (whole["metadata"] as JsonObject)?.Remove("managedFields");
        return JsonSerializer.SerializeToElement(whole, CliJson.Default.JsonObject);
    }

    private static async Task ShowEventsAsync(ApiClient client, ServerKinds kinds, ApiKind kind, JsonElement item, Screen screen, CancellationToken cancellationToken)
    {
        if (kinds.Find("v1", "Event") is not { } events || item.Text("metadata.uid") is not { } uid)
        {
            return;
        }

        string selector = $"involvedObject.kind={kind.Kind},involvedObject.name={item.Text("metadata.name")},involvedObject.uid={uid}";
        JsonElement list;
        try
        {
            list = await client.GetAsync(
                $"{events.Collection(item.Text("metadata.namespace") ?? "default")}?fieldSelector={Uri.EscapeDataString(selector)}", cancellationToken);
        }
        catch (ApiException exception) when (exception.Status is HttpStatusCode.Forbidden or HttpStatusCode.NotFound)
        {
            screen.Note("Events: this token may not read them.");
            return;
        }

        JsonElement[] found = [.. list.Items("items").OrderBy(happened => happened.Text("lastTimestamp") ?? happened.Text("eventTime"), StringComparer.Ordinal).TakeLast(ShownEvents)];
        screen.Line();
        if (found.Length == 0)
        {
            screen.Line("Events: none");
            return;
        }

        screen.Line("Events:");
        var table = new ColumnTable("TYPE", "REASON", "AGE", "FROM", "MESSAGE");
        foreach (JsonElement happened in found)
        {
            table.Add(
                happened.Text("type") ?? "", happened.Text("reason") ?? "",
                happened.Age(happened.Text("lastTimestamp") is null ? "eventTime" : "lastTimestamp", TimeProvider.System),
                happened.Text("source.component") ?? happened.Text("reportingComponent") ?? "", happened.Text("message") ?? "");
        }

        table.WriteTo(screen);
    }

    private static async Task ShowRecordsAsync(ApiClient client, string resourceNamespace, string name, Screen screen, CancellationToken cancellationToken)
    {
        screen.Line();
        screen.Line($"Last records (rynxs logs {name} shows more):");
        await foreach (byte[] line in client.StreamAsync(ResourcePath.Agent(resourceNamespace, name, $"logs?follow=0&tail={ShownRecords}"), cancellationToken))
        {
            using JsonDocument record = JsonDocument.Parse(line);
            screen.Line("  " + Tasks.RecordLine.Format(record.RootElement));
        }
    }
}
