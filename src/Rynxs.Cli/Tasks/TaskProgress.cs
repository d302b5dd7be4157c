using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Tasks;

/// <summary>What an agent does for one task, as its records arrive: a convenience, so a server that will not show them is no failure.</summary>
internal static class TaskProgress
{
    public static async Task FollowAsync(ApiClient client, string resourceNamespace, string agent, string task, Screen screen, CancellationToken cancellationToken)
    {
        bool ours = false;
        try
        {
            await foreach (byte[] line in client.StreamAsync(ResourcePath.Agent(resourceNamespace, agent, "logs?follow=1&tail=50"), cancellationToken))
            {
                using JsonDocument record = JsonDocument.Parse(line);
                string type = record.RootElement.Text("type") ?? "";
                if (type is "TaskStarted" or "TaskFinished")
                {
                    ours = type == "TaskStarted" && record.RootElement.Text("payload.task") == task;
                }

                if (ours && Describe(type, record.RootElement) is { } text)
                {
                    screen.Note("  " + text);
                }
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The task is final: nothing more to show.
        }
        catch (Exception exception) when (exception is ApiException or CliException or JsonException)
        {
            screen.Note($"  (no progress: {exception.Message})");
        }
    }

    private static string? Describe(string type, JsonElement record) => type switch
    {
        "TaskStarted" => $"started, attempt {record.Text("payload.attempt")}",
        "PolicyDecided" when record.Text("payload.verdict") != "allow" =>
            $"policy: {record.Text("payload.verdict")} {record.Text("payload.tool")} ({record.Text("payload.reason")}{(record.Text("payload.rule") is { } rule ? ", rule " + rule : "")})",
        "ApprovalRequested" => $"waits for approval: rynxs approve {record.Text("payload.approval")}",
        "ApprovalDecided" => $"approval {record.Text("payload.approval")}: {record.Text("payload.decision")} by {record.Text("payload.approver")}",
        "ToolIntent" => $"{record.Text("payload.tool")} …",
        "ToolOutcome" => $"{record.Text("payload.tool")}: {record.Text("payload.status")}"
            + (record.Text("payload.exit_code") is { } code ? $", exit code {code}" : "")
            + (record.Text("payload.duration_ms") is { } duration ? $", {duration} ms" : ""),
        "SandboxViolation" => $"violation: {record.Text("payload.violation_type")} ({record.Text("payload.severity")}{(record.IsTrue("payload.blocked") ? ", blocked" : "")})",
        _ => null,
    };
}
