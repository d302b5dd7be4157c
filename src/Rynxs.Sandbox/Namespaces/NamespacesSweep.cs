using System.Globalization;
using Rynxs.Sandbox.Cgroups;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Processes;

namespace Rynxs.Sandbox.Namespaces;

/// <summary>Finds and removes what sandboxes of one state left. Everything is found by the state's key, so no other state is touched.</summary>
internal static class NamespacesSweep
{
    private static readonly TimeSpan Deadline = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(5);

    /// <param name="options">Whose.</param>
    /// <param name="alive">Ids of living sandboxes, and names of mounted images in use.</param>
    public static IReadOnlyList<Leftover> Find(NamespacesOptions options, IReadOnlySet<string> alive)
    {
        List<Leftover> found = [];
        foreach (string id in SandboxCgroup.SandboxesOf(options.Key).Where(id => !alive.Contains(id)))
        {
            var cgroup = new SandboxCgroup(options.Key, id);
            found.AddRange(cgroup.Processes().Select(pid => new Leftover("process", pid.ToString(CultureInfo.InvariantCulture))));
            found.Add(new Leftover("cgroup", cgroup.Path));
        }

        foreach (string directory in Directories(options).Where(directory => !alive.Contains(Path.GetFileName(directory))))
        {
            found.AddRange(MountsOf(directory).Select(mount => new Leftover("mount", mount)));
            found.Add(new Leftover("directory", directory));
        }

        return found;
    }

    public static async Task<SweepReport> RunAsync(NamespacesOptions options, IReadOnlySet<string> alive, CancellationToken cancellationToken)
    {
        IReadOnlyList<Leftover> before = Find(options, alive);
        cancellationToken.ThrowIfCancellationRequested();
        IEnumerable<string> names = SandboxCgroup.SandboxesOf(options.Key).Concat(Directories(options).Select(directory => Path.GetFileName(directory))).Distinct();
        // Sandboxes before the images that they are mounted on.
        foreach (string name in names.Where(name => !alive.Contains(name)).OrderBy(name => name.StartsWith(SandboxMounts.RootPrefix, StringComparison.Ordinal)).ToArray())
        {
            await ProcessGroupEnd.KillAsync(new SandboxCgroup(options.Key, name), new HashSet<int>(), options.TimeProvider, Deadline);
            await RemoveAsync(options, name);
        }

        if (alive.Count == 0)
        {
            SandboxCgroup.RemoveStateDirectory(options.Key);
        }

        IReadOnlyList<Leftover> after = Find(options, alive);
        return new SweepReport([.. before.Except(after)], after);
    }

    /// <summary>Removes the cgroup, mounts and directory of one sandbox whose processes have ended; false when something stays.</summary>
    public static async Task<bool> RemoveAsync(NamespacesOptions options, string name)
    {
        var cgroup = new SandboxCgroup(options.Key, name);
        long begin = options.TimeProvider.GetTimestamp();
        bool removed;
        // The kernel lets go of a cgroup a moment after its last process was reaped.
        while (!(removed = cgroup.Remove()) && options.TimeProvider.GetElapsedTime(begin) < Deadline)
        {
            await Task.Delay(Poll, options.TimeProvider);
        }

        string directory = Path.Combine(options.RunDirectory, name);
        foreach (string mount in MountsOf(directory).Reverse())
        {
            _ = Libc.umount2(mount, HostMounts.Detach);
        }

        if (MountsOf(directory).Count > 0)
        {
            return false; // deleting through a mount would delete what is mounted: a workspace
        }

        if (Directory.Exists(directory))
        {
            Directory.Delete(directory, recursive: true);
        }

        return removed;
    }

    /// <summary>Removes the run directory when nothing but our own lock is in it.</summary>
    public static void RemoveEmptyRunDirectory(NamespacesOptions options)
    {
        if (Directory.Exists(options.RunDirectory) && !Directory.EnumerateFileSystemEntries(options.RunDirectory).Any(entry => Path.GetFileName(entry) != GVisor.Sweep.LockName))
        {
            Directory.Delete(options.RunDirectory, recursive: true);
        }
    }

    private static IReadOnlyList<string> MountsOf(string directory) => HostMounts.Below(directory);

    private static string[] Directories(NamespacesOptions options) => Directory.Exists(options.RunDirectory)
        ? [.. Directory.EnumerateDirectories(options.RunDirectory).Where(directory =>
            Path.GetFileName(directory).StartsWith("sb-", StringComparison.Ordinal) || Path.GetFileName(directory).StartsWith(SandboxMounts.RootPrefix, StringComparison.Ordinal))]
        : [];
}
