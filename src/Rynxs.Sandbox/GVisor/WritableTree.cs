namespace Rynxs.Sandbox.GVisor;

/// <summary>Which directories of a sandbox can be written, when a caller names them: the rest of the two places is there, empty and read-only.</summary>
internal static class WritableTree
{
    public const int MaxPaths = 64;
    private const int MaxPathBytes = 1024;
    private const long EmptyBytes = 64 * 1024;
    private static readonly string[] Bases = ["/tmp", "/workspace/files"];

    /// <summary>Whether it is one of the places or below one, with plain names only.</summary>
    public static bool IsPath(string path) =>
        path.Length <= MaxPathBytes && Bases.Any(place => path == place || path.StartsWith(place + "/", StringComparison.Ordinal))
        && path.Split('/').Skip(1).All(name => name is not ("" or "." or "..") && name.All(c => !char.IsControl(c)));

    /// <summary>Mounts in their order, parents first. All paths of one place share its size.</summary>
    public static IEnumerable<(string Path, bool IsWritable, long Bytes)> Mounts(IReadOnlyList<string> paths, long tmpBytes, long workspaceBytes)
    {
        foreach (string place in Bases)
        {
            long bytes = place == Bases[0] ? tmpBytes : workspaceBytes;
            if (paths.Contains(place, StringComparer.Ordinal))
            {
                yield return (place, true, bytes);
                continue;
            }

            yield return (place, false, EmptyBytes);
            List<string> below = [];
            foreach (string path in paths.Where(path => path.StartsWith(place + "/", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
            {
                if (!below.Any(upper => path == upper || path.StartsWith(upper + "/", StringComparison.Ordinal)))
                {
                    below.Add(path);
                }
            }

            foreach (string path in below)
            {
                yield return (path, true, bytes / below.Count);
            }
        }
    }
}
