using System.Text.Json;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Output;

/// <summary>
/// Prints the tables that the server makes (<c>meta.k8s.io/v1 Table</c>). Over several answers, as in a watch, the header comes once and columns never get
/// narrower.
/// </summary>
internal sealed class ServerTable(Screen screen, bool wide, bool withNamespace)
{
    /// <summary>Asks for a table, and takes plain JSON from a server that makes none.</summary>
    public const string Accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

    private string[] _headers = [];
    private int[] _shown = [];
    private int[] _widths = [];
    private bool _headerWritten;

    public void Write(JsonElement answer)
    {
        List<string[]> rows = [.. Rows(answer)];
        if (rows.Count == 0)
        {
            return;
        }

        string[] headers = withNamespace ? ["NAMESPACE", .. _headers] : _headers;
        if (_widths.Length != headers.Length)
        {
            _widths = [.. headers.Select(header => header.Length)];
        }

        foreach (string[] row in rows)
        {
            for (int column = 0; column < row.Length; column++)
            {
                _widths[column] = Math.Max(_widths[column], row[column].Length);
            }
        }

        if (!_headerWritten)
        {
            Line(headers);
            _headerWritten = true;
        }

        rows.ForEach(Line);
    }

    private IEnumerable<string[]> Rows(JsonElement answer)
    {
        if (answer.Text("kind") != "Table")
        {
            _headers = ["NAME"];
            IEnumerable<JsonElement> items = answer.At("items") is not null ? answer.Items("items") : [answer];
            return items.Select(item => Row(item, [Cell(item.Text("metadata.name"))]));
        }

        JsonElement[] columns = [.. answer.Items("columnDefinitions")];
        if (columns.Length > 0) // a watch tells them once
        {
            _shown = [.. Enumerable.Range(0, columns.Length).Where(i => wide || (columns[i].Integer("priority") ?? 0) == 0)];
            _headers = [.. _shown.Select(i => (columns[i].Text("name") ?? "").ToUpperInvariant())];
        }

        return answer.Items("rows").Select(row =>
        {
            JsonElement[] cells = [.. row.Items("cells")];
            return Row(row.At("object") ?? default, [.. _shown.Select(i => i < cells.Length ? Cell(JsonPathTemplate.Print(cells[i])) : "")]);
        });
    }

    private string[] Row(JsonElement item, string[] cells) =>
        withNamespace ? [Cell(item.ValueKind == JsonValueKind.Object ? item.Text("metadata.namespace") : null), .. cells] : cells;

    // A newline in a cell would forge a row.
    private static string Cell(string? text) =>
        Screen.Visible(text ?? "").Replace("\n", "\\n", StringComparison.Ordinal).Replace("\t", "\\t", StringComparison.Ordinal);

    private void Line(string[] cells) =>
        screen.Line(string.Concat(cells.Select((cell, column) => cell.PadRight(_widths[column] + 3))).TrimEnd());
}
