using System.Text.Json;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Meta;

namespace Rynxs.Cli.Objects;

/// <summary>Which columns each kind shows.</summary>
internal static class ObjectTable
{
    public static void Write(Screen screen, ResourceType type, IReadOnlyList<JsonElement> items, bool wide, bool allNamespaces, TimeProvider timeProvider)
    {
        IReadOnlyList<(string Header, Func<JsonElement, string?> Cell)> columns = Columns(type, wide);
        bool withNamespace = type.Namespaced && allNamespaces;
        var table = new ColumnTable([.. withNamespace ? (string[])["NAMESPACE"] : [], "NAME", .. columns.Select(column => column.Header), "AGE"]);
        foreach (JsonElement item in items)
        {
            table.Add([
                .. withNamespace ? (string[])[item.Text("metadata.namespace") ?? ""] : [],
                item.Text("metadata.name") ?? "",
                .. columns.Select(column => column.Cell(item) ?? ""),
                item.Age("metadata.creationTimestamp", timeProvider)]);
        }

        table.WriteTo(screen);
    }

    private static IReadOnlyList<(string Header, Func<JsonElement, string?> Cell)> Columns(ResourceType type, bool wide) => type.Kind switch
    {
        "Agent" => [
            ("ROLE", item => item.Text("spec.role")),
            ("PHASE", item => item.Text("status.phase") ?? "Pending"),
            ("READY", item => Condition(item, "Ready")),
            .. wide ? Wide(("IMAGE", Image), ("DIGEST", item => Shorten(item.Text("status.imageDigest"), 19)), ("UNIVERSE", item => item.Text("spec.universeRef"))) : []],
        "Task" => [
            ("PHASE", item => item.Text("status.phase") ?? "Pending"),
            ("AGENT", item => item.Text("status.assignedAgent") ?? item.Text("spec.assignee")),
            ("PRIORITY", item => item.Text("spec.priority")),
            ("ATTEMPTS", item => item.Text("status.attempts") ?? "0"),
            .. wide ? Wide(("TITLE", item => Shorten(item.Text("spec.title"), 60)), ("ERROR", item => Shorten(item.Text("status.error"), 60))) : []],
        "Approval" => [
            ("DECISION", item => item.Text("status.decision") ?? "open"),
            ("AGENT", item => item.Text("spec.agent")),
            ("TOOL", item => item.Text("spec.tool")),
            ("EXPIRES", item => item.Text("spec.expires")),
            .. wide ? Wide(("SUMMARY", item => Shorten(item.Text("spec.summary"), 80)), ("APPROVER", item => item.Text("status.approver"))) : []],
        _ => [],
    };

    private static (string Header, Func<JsonElement, string?> Cell)[] Wide(params (string Header, Func<JsonElement, string?> Cell)[] columns) => columns;

    /// <summary>Status of a condition, with its reason when it is not True.</summary>
    public static string? Condition(JsonElement item, string type)
    {
        foreach (JsonElement condition in item.Items("status.conditions"))
        {
            if (condition.Text("type") == type)
            {
                string? status = condition.Text("status");
                return status == "True" ? status : $"{status}/{condition.Text("reason")}";
            }
        }

        return null;
    }

    private static string? Image(JsonElement item) =>
        item.Text("spec.image") ?? (item.Text("spec.image.repository") is { } repository ? $"{repository}:{item.Text("spec.image.tag")}" : null);

    private static string? Shorten(string? text, int length) => text is null || text.Length <= length ? text : text[..(length - 1)] + "…";
}
