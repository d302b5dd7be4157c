using System.Security.Cryptography;
using System.Text;

namespace Rynxs.Cli.Diagnostics;

/// <summary>
/// What a server of one state directory left on this machine, seen from outside it: the run directory, cgroups, mounts and processes that
/// carry the state's id. Only meaningful while no server runs.
/// </summary>
internal static class LocalLeftovers
{
    private const string CgroupRoot = "/sys/fs/cgroup";

    /// <summary>12 hexadecimal digits of SHA-256 of the real state path, as in names of run directories and cgroups (docs/architecture.md).</summary>
    public static string ScopeOf(string stateDirectory)
    {
        string full = Path.GetFullPath(stateDirectory);
        string real = Directory.Exists(full) ? Directory.ResolveLinkTarget(full, returnFinalTarget: true)?.FullName ?? full : full;
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(real)))[..12];
    }

    public static IReadOnlyList<string> Find(string stateDirectory)
    {
        string scope = ScopeOf(stateDirectory);
        string run = "/run/rynxs/" + scope;
        List<string> found = [];
        if (Directory.Exists(run))
        {
            // The lock file and empty directories stay between runs; a file or socket in them belongs to a sandbox that should be gone.
            found.AddRange(Directory.EnumerateFiles(run, "*", SearchOption.AllDirectories)
                .Where(file => Path.GetFileName(file) != "lock")
                .Select(file => "file " + file));
        }

        found.AddRange(Cgroups(scope).Select(path => "cgroup " + path));
        found.AddRange(File.ReadLines("/proc/self/mountinfo").Where(line => line.Contains(run, StringComparison.Ordinal)).Select(line => "mount " + line.Split(' ')[4]));
        found.AddRange(Processes(run).Select(process => "process " + process));
        return found;
    }

    private static IEnumerable<string> Cgroups(string scope)
    {
        // cgroup v2 has one tree, v1 one for each controller.
        IEnumerable<string> roots = Directory.Exists(CgroupRoot) ? [CgroupRoot, .. Directory.EnumerateDirectories(CgroupRoot)] : [];
        // The namespaces tier adds a letter to the state's name.
        return roots.SelectMany(root => (string[])[Path.Combine(root, "rynxs", scope), Path.Combine(root, "rynxs", scope + "n")]).Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories);
    }

    private static IEnumerable<string> Processes(string run)
    {
        foreach (string directory in Directory.EnumerateDirectories("/proc").Where(path => char.IsAsciiDigit(Path.GetFileName(path)[0])))
        {
            string commandLine;
            try
            {
                commandLine = File.ReadAllText(directory + "/cmdline").Replace('\0', ' ');
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                continue; // it ended while we looked, or it is not ours to see
            }

            if (commandLine.Contains(run, StringComparison.Ordinal) && !directory.EndsWith("/" + Environment.ProcessId, StringComparison.Ordinal))
            {
                yield return $"{Path.GetFileName(directory)} {commandLine.Trim()}";
            }
        }
    }
}
