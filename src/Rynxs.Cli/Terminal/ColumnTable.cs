using System.Text;

namespace Rynxs.Cli.Terminal;

/// <summary>Rows in aligned columns, three spaces apart, without borders: readable for people, cut and awk alike.</summary>
internal sealed class ColumnTable(params string[] headers)
{
    private readonly List<string[]> _rows = [];

    public void Add(params string[] cells)
    {
        if (cells.Length != headers.Length)
        {
            throw new ArgumentException($"A row has {headers.Length} cells, not {cells.Length}.", nameof(cells));
        }

        // A newline in a cell would forge a row.
        _rows.Add([.. cells.Select(cell => Screen.Visible(cell).Replace("\n", "\\n", StringComparison.Ordinal).Replace("\t", "\\t", StringComparison.Ordinal))]);
    }

    public void WriteTo(Screen screen)
    {
        string[][] all = [headers, .. _rows];
        int[] widths = [.. headers.Select((_, column) => all.Max(row => row[column].Length))];
        foreach (string[] row in all)
        {
            var line = new StringBuilder();
            for (int column = 0; column < row.Length; column++)
            {
                line.Append(row[column].PadRight(widths[column])).Append("   ");
            }

            screen.Line(line.ToString().TrimEnd());
        }
    }
}
