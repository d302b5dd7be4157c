namespace Rynxs.Cli.Terminal;

/// <summary>"Did you mean": the closest of some names, when one is close.</summary>
internal static class NearestName
{
    /// <summary>The name within a third of its length in edits (at least one), or null.</summary>
    public static string? Find(string given, IEnumerable<string> names)
    {
        if (given.Length is 0 or > 64)
        {
            return null;
        }

        (string Name, int Distance) best = names
            .Select(name => (Name: name, Distance: Distance(given.ToLowerInvariant(), name.ToLowerInvariant())))
            .OrderBy(candidate => candidate.Distance)
            .FirstOrDefault((Name: "", Distance: int.MaxValue));
        return best.Distance <= Math.Max(1, best.Name.Length / 3) ? best.Name : null;
    }

    /// <summary>A suffix for an error message: empty, or <c> (did you mean 'x'?)</c>.</summary>
    public static string Hint(string given, IEnumerable<string> names) =>
        Find(given, names) is { } near ? $" (did you mean '{near}'?)" : "";

    // Optimal string alignment: a swapped pair counts as one edit.
    private static int Distance(string a, string b)
    {
        int[,] cost = new int[a.Length + 1, b.Length + 1];
        for (int i = 0; i <= a.Length; i++)
        {
            cost[i, 0] = i;
        }

        for (int j = 0; j <= b.Length; j++)
        {
            cost[0, j] = j;
        }

        for (int i = 1; i <= a.Length; i++)
        {
            for (int j = 1; j <= b.Length; j++)
            {
                int change = a[i - 1] == b[j - 1] ? 0 : 1;
                int best = Math.Min(Math.Min(cost[i - 1, j] + 1, cost[i, j - 1] + 1), cost[i - 1, j - 1] + change);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                {
                    best = Math.Min(best, cost[i - 2, j - 2] + 1);
                }

                cost[i, j] = best;
            }
        }

        return cost[a.Length, b.Length];
    }
}
