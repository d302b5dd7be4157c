namespace Rynxs.Resources.Client;

/// <summary>"Did you mean": the nearest of the allowed words.</summary>
internal static class Suggestion
{
    private const int MaxLength = 64;

    /// <summary>A sentence with a leading comma and space, or nothing when no word is near.</summary>
    public static string For(string given, IEnumerable<string> allowed)
    {
        if (given.Length is 0 or > MaxLength)
            return "";

        string? best = null;
        int bestDistance = int.MaxValue;
        foreach (string candidate in allowed)
        {
            int distance = Distance(given.ToLowerInvariant(), candidate.ToLowerInvariant());
            if (distance < bestDistance)
                (best, bestDistance) = (candidate, distance);
        }

        // A third of the word may be wrong: more is another word.
        return best is not null && bestDistance <= Math.Max(1, Math.Max(given.Length, best.Length) / 3) ? $", did you mean \"{best}\"?" : "";
    }

    /// <summary>Edits, neighbours swapped counting as one (optimal string alignment).</summary>
    internal static int Distance(string a, string b)
    {
        int[] previous2 = new int[b.Length + 1];
        int[] previous = [.. Enumerable.Range(0, b.Length + 1)];
        int[] current = new int[b.Length + 1];
        for (int i = 1; i <= a.Length; i++)
        {
            current[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int cost = a[i - 1] == b[j - 1] ? 0 : 1;
                current[j] = Math.Min(Math.Min(current[j - 1] + 1, previous[j] + 1), previous[j - 1] + cost);
                if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                    current[j] = Math.Min(current[j], previous2[j - 2] + 1);
            }

            (previous2, previous, current) = (previous, current, previous2);
        }

        return previous[b.Length];
    }
}
