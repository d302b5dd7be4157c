using System.Text;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;
using Rynxs.Resources.Tasks;

namespace Rynxs.Cli.Tasks;

/// <summary>Sends a task and waits for its end.</summary>
internal static class TaskSubmission
{
    /// <summary>A name that sorts by time: <c>task-</c> and 20 hexadecimal digits of a version 7 UUID.</summary>
    public static string NewName() => "task-" + Guid.CreateVersion7().ToString("N")[..20];

    /// <summary>The first line of the instruction, cut to a title's length.</summary>
    public static string TitleOf(string text)
    {
        string line = text.Split('\n')[0].Trim();
        string title = string.Concat(line.Where(c => !char.IsControl(c)).Take(120));
        return title.Length > 0 ? title : "task";
    }

    public static async Task CreateAsync(ApiClient client, TaskResource task, CancellationToken cancellationToken) =>
        await client.SendAsync(
            HttpMethod.Post,
            ResourcePath.Collection(ResourceTypes.Task, task.Metadata.Namespace),
            Encoding.UTF8.GetString(ResourceJson.Serialize(task)),
            cancellationToken);

    /// <summary>The task in its final phase. A watch that ends early is begun again; between them the task is read, so that no change is missed.</summary>
    public static async Task<JsonElement> WaitAsync(ApiClient client, string resourceNamespace, string name, CancellationToken cancellationToken)
    {
        string collection = ResourcePath.Collection(ResourceTypes.Task, resourceNamespace);
        string query = "fieldSelector=" + Uri.EscapeDataString("metadata.name=" + name);
        while (true)
        {
            JsonElement list = await client.GetAsync($"{collection}?{query}", cancellationToken);
            JsonElement? current = list.Items("items").Cast<JsonElement?>().FirstOrDefault();
            if (current is null)
            {
                throw new CliException($"task {name} was deleted before it ended.");
            }

            if (IsFinal(current.Value))
            {
                return current.Value;
            }

            string version = Uri.EscapeDataString(list.Text("metadata.resourceVersion") ?? "0");
            await foreach (byte[] line in client.StreamAsync($"{collection}?{query}&watch=1&resourceVersion={version}", cancellationToken))
            {
                using JsonDocument change = JsonDocument.Parse(line);
                if (change.RootElement.Text("type") is "DELETED" or "ERROR")
                {
                    break;
                }

                if (change.RootElement.At("object") is { } item && IsFinal(item))
                {
                    return item.Clone();
                }
            }
        }
    }

    /// <summary>The answer: the result's text, or the whole result when it has none.</summary>
    public static string? ResultText(JsonElement task) => task.Text("status.result.text") ?? task.At("status.result")?.GetRawText();

    private static bool IsFinal(JsonElement task) => task.Text("status.phase") is "Completed" or "Failed" or "Cancelled";
}
