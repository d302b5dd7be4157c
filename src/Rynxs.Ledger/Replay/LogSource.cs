using System.Globalization;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Replay;

/// <summary>One chain, to be read without a lock and without a server: files, or the lines of another store.</summary>
public sealed record LogSource
{
    private const string OriginalSegment = ".seg-";

    /// <summary><c>control</c>, <c>agents/NAMESPACE/NAME</c>, or the name of a single file.</summary>
    public required string Chain { get; init; }

    /// <summary>In the order of the chain. Of another store: one name, for messages.</summary>
    public required IReadOnlyList<string> Files { get; init; }

    /// <summary>
    /// The chain's whole lines from its first on, from a store that is not files; each piece is valid until the next. Null for files. They are
    /// verified like those of a file.
    /// </summary>
    internal Func<IEnumerable<ReadOnlyMemory<byte>>>? Lines { get; init; }

    /// <summary>Whether it lies in files, which a <see cref="LogFollower"/> can follow.</summary>
    public bool IsFiles => Lines is null;

    /// <summary>
    /// One chain: a log file (with the rotated segments <c>FILE.seg-NNNNNN</c> of the original before it), a chain's directory, or the
    /// control chain of a ledger's or a state directory.
    /// </summary>
    /// <exception cref="FileNotFoundException">Nothing of that kind is there.</exception>
    public static LogSource Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        if (File.Exists(path))
        {
            return OfFile(path);
        }

        foreach (string candidate in (string[])[path, Path.Combine(path, "control"), Path.Combine(path, "ledger", "control")])
        {
            if (TryDirectory(candidate, candidate == path ? ChainName(path) : "control") is { } source)
            {
                return source;
            }
        }

        throw new FileNotFoundException($"'{path}' is neither a log file nor the directory of a chain, a ledger or a state.", path);
    }

    /// <summary>Every chain below a ledger's or a state directory, the control chain first; for anything else its one chain.</summary>
    /// <exception cref="FileNotFoundException">Nothing of that kind is there.</exception>
    public static IReadOnlyList<LogSource> OpenAll(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string root = Directory.Exists(Path.Combine(path, "ledger", "control")) ? Path.Combine(path, "ledger") : path;
        if (File.Exists(root) || TryDirectory(root, "") is not null)
        {
            return [Open(root)];
        }

        var sources = new List<LogSource>();
        if (TryDirectory(Path.Combine(root, "control"), "control") is { } control)
        {
            sources.Add(control);
        }

        string agents = Path.Combine(root, "agents");
        if (Directory.Exists(agents))
        {
            foreach (string chain in Directory.EnumerateDirectories(agents).SelectMany(Directory.EnumerateDirectories).Order(StringComparer.Ordinal))
            {
                string agentNamespace = Path.GetFileName(Path.GetDirectoryName(chain) ?? "");
                if (ChainId.TryAgent(agentNamespace, Path.GetFileName(chain)) is { } id && TryDirectory(chain, id.RelativePath) is { } source)
                {
                    sources.Add(source);
                }
            }
        }

        return sources.Count > 0 ? sources : [Open(path)];
    }

    private static LogSource? TryDirectory(string directory, string chain)
    {
        if (!Directory.Exists(directory))
        {
            return null;
        }

        IReadOnlyList<(long FirstSeq, string Path)> segments = SegmentName.ListHolding(directory);
        return segments.Count == 0 ? null : new LogSource { Chain = chain, Files = [.. segments.Select(segment => segment.Path)] };
    }

    private static LogSource OfFile(string path)
    {
        string full = Path.GetFullPath(path);
        string prefix = Path.GetFileName(full) + OriginalSegment;
        IEnumerable<string> rotated = Directory.EnumerateFiles(Path.GetDirectoryName(full) ?? "/", prefix + "*")
            .Where(file => int.TryParse(Path.GetFileName(file.AsSpan())[prefix.Length..], NumberStyles.None, CultureInfo.InvariantCulture, out _))
            .Order(StringComparer.Ordinal);
        return new LogSource { Chain = Path.GetFileName(full), Files = [.. rotated, full] };
    }

    /// <summary>The agent's chain for a path that ends in <c>agents/NAMESPACE/NAME</c>; else the last name.</summary>
    private static string ChainName(string path)
    {
        string[] parts = Path.GetFullPath(path).TrimEnd('/').Split('/');
        return parts.Length >= 3 && parts[^3] == "agents" ? string.Join('/', parts[^3..]) : parts[^1];
    }
}
