using System.Text.Json;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Output;

/// <summary>Prints objects in one form over several answers; what is a header comes once.</summary>
internal sealed class ObjectPrinter(Screen screen, OutputForm form, bool withNamespace)
{
    private readonly ServerTable _table = new(screen, form is OutputForm.Table { Wide: true }, withNamespace);
    private bool _headerWritten;
    private int[] _widths = [];

    /// <summary>A whole answer: an object or a list.</summary>
    public void WriteAll(ApiKind kind, JsonElement answer)
    {
        if (form is OutputForm.Table)
        {
            _table.Write(answer);
        }
        else if (form is OutputForm.Json or OutputForm.Yaml or OutputForm.JsonPath)
        {
            WriteOne(kind, answer);
        }
        else
        {
            IReadOnlyList<JsonElement> items = answer.At("items") is null ? [answer] : [.. answer.Items("items")];
            if (form is OutputForm.Columns columns)
            {
                WriteColumns(columns, items);
                return;
            }

            foreach (JsonElement item in items)
            {
                WriteOne(kind, item);
            }
        }
    }

    /// <summary>One object, or one change of a watch.</summary>
    public void WriteOne(ApiKind kind, JsonElement item)
    {
        switch (form)
        {
            case OutputForm.Table:
                _table.Write(item);
                break;
            case OutputForm.Json:
                OutputFormat.Write(screen, item, OutputFormat.Json);
                break;
            case OutputForm.Yaml:
                if (_headerWritten)
                {
                    screen.Line("---");
                }

                _headerWritten = true;
                OutputFormat.Write(screen, item, OutputFormat.Yaml);
                break;
            case OutputForm.Name:
                screen.Line($"{kind.Label}/{item.Text("metadata.name")}");
                break;
            case OutputForm.JsonPath path:
                screen.Text(path.Template.Evaluate(item));
                if (screen.IsInteractive)
                {
                    screen.Line();
                }

                break;
            case OutputForm.Columns columns:
                WriteColumns(columns, [item]);
                break;
        }
    }

    private void WriteColumns(OutputForm.Columns columns, IReadOnlyList<JsonElement> items)
    {
        List<string[]> rows = [.. items.Select(item => columns.List
            .Select(column => string.Join(',', column.Path.Values(item).Select(JsonPathTemplate.Print)) is { Length: > 0 } text ? Screen.Visible(text).ReplaceLineEndings("\\n") : "<none>")
            .ToArray())];
        if (!_headerWritten)
        {
            rows.Insert(0, [.. columns.List.Select(column => column.Header)]);
            _widths = new int[columns.List.Count];
            _headerWritten = true;
        }

        foreach (string[] row in rows)
        {
            for (int i = 0; i < row.Length; i++)
            {
                _widths[i] = Math.Max(_widths[i], row[i].Length);
            }
        }

        rows.ForEach(row => screen.Line(string.Concat(row.Select((cell, i) => cell.PadRight(_widths[i] + 3))).TrimEnd()));
    }
}
