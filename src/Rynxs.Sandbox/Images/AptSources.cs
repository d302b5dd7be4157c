namespace Rynxs.Sandbox.Images;

/// <summary>
/// The part of this host's apt configuration that serves one release, so that images come from where the host's own packages come
/// from and are checked with the keys that the host trusts.
/// </summary>
internal static class AptSources
{
    /// <summary>Writes the sources of a release into files for mmdebstrap and returns their paths; empty when the host has none.</summary>
    public static IReadOnlyList<string> Write(string aptDirectory, string release, string targetDirectory)
    {
        List<string> lines = [];
        List<string> stanzas = [];
        foreach (string file in Files(aptDirectory))
        {
            string text = File.ReadAllText(file);
            if (file.EndsWith(".sources", StringComparison.Ordinal))
            {
                stanzas.AddRange(Stanzas(text).Where(stanza => ServesRelease(stanza, release)));
            }
            else
            {
                lines.AddRange(text.Split('\n').Where(line => IsLineOfRelease(line, release)));
            }
        }

        List<string> written = [];
        if (lines.Count > 0)
        {
            written.Add(Path.Combine(targetDirectory, "host.list"));
            File.WriteAllText(written[^1], string.Join('\n', lines) + "\n");
        }

        if (stanzas.Count > 0)
        {
            written.Add(Path.Combine(targetDirectory, "host.sources"));
            File.WriteAllText(written[^1], string.Join("\n\n", stanzas) + "\n");
        }

        return written;
    }

    private static IEnumerable<string> Files(string aptDirectory)
    {
        string main = Path.Combine(aptDirectory, "sources.list");
        string parts = Path.Combine(aptDirectory, "sources.list.d");
        IEnumerable<string> files = Directory.Exists(parts) ? Directory.EnumerateFiles(parts).Order(StringComparer.Ordinal) : [];
        return (File.Exists(main) ? files.Prepend(main) : files)
            .Where(file => file.EndsWith(".list", StringComparison.Ordinal) || file.EndsWith(".sources", StringComparison.Ordinal));
    }

    private static IEnumerable<string> Stanzas(string text) =>
        string.Join('\n', text.Split('\n').Where(line => !line.StartsWith('#')).Select(line => line.TrimEnd()))
            .Split("\n\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    private static bool ServesRelease(string stanza, string release)
    {
        string? suites = stanza.Split('\n').FirstOrDefault(line => line.StartsWith("Suites:", StringComparison.OrdinalIgnoreCase));
        bool disabled = stanza.Split('\n').Any(line => line.Replace(" ", "", StringComparison.Ordinal).Equals("Enabled:no", StringComparison.OrdinalIgnoreCase));
        bool binary = stanza.Split('\n').Any(line =>
            line.StartsWith("Types:", StringComparison.OrdinalIgnoreCase) && line.Split(' ', ':').Contains("deb"));
        return binary && !disabled && suites is not null
            && suites["Suites:".Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).All(suite => IsSuite(suite, release));
    }

    private static bool IsLineOfRelease(string line, string release)
    {
        string[] words = line.Split((char[])[' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
        return words is ["deb", ..] && words.Any(word => IsSuite(word, release));
    }

    /// <summary>The release and its updates; not backports, which would mix versions in.</summary>
    private static bool IsSuite(string suite, string release) =>
        suite == release || suite == release + "-updates" || suite == release + "-security" || suite == release + "/updates";
}
