using System.Globalization;
using Rynxs.Sandbox.Cgroups;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Processes;

namespace Rynxs.Sandbox.GVisor;

/// <summary>Finds and removes what sandboxes of one state left on the host. Everything is found by the state's key, so no other state is touched.</summary>
internal static class Sweep
{
    /// <summary>File in the run directory that its owner holds locked.</summary>
    public const string LockName = "lock";

    /// <summary>The spawner's lock (see <see cref="Spawning.SandboxSpawner"/>).</summary>
    public const string SpawnerLockName = "spawner.lock";

    /// <summary>Begin of the names of checkpoints' directories.</summary>
    public const string CheckpointPrefix = "img-";

    private static readonly TimeSpan CgroupDeadline = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(5);

    /// <summary>Leftovers, without those of sandboxes that are alive.</summary>
    public static IReadOnlyList<Leftover> Find(GVisorOptions options, RunscCommand runsc, IReadOnlySet<string> alive)
    {
        List<Leftover> found = [];
        found.AddRange(ProcessesOf(runsc, alive).Select(pid => new Leftover("process", pid.ToString(CultureInfo.InvariantCulture))));
        foreach (string id in SandboxCgroup.SandboxesOf(options.StateKey).Where(id => !alive.Contains(id)))
        {
            var cgroup = new SandboxCgroup(options.StateKey, id);
            found.AddRange(cgroup.Processes().Select(pid => new Leftover("process", pid.ToString(CultureInfo.InvariantCulture))));
            found.Add(new Leftover("cgroup", cgroup.Path));
        }

        found.AddRange(HostMounts.Below(options.RunDirectory).Select(mount => new Leftover("mount", mount)));
        foreach (string entry in Entries(options.RunDirectory))
        {
            string name = Path.GetFileName(entry);
            if ((name.StartsWith("sb-", StringComparison.Ordinal) && !alive.Contains(name)) || (name.StartsWith(CheckpointPrefix, StringComparison.Ordinal) && !alive.Contains(name)))
            {
                found.Add(new Leftover("directory", entry));
            }
        }

        foreach (string entry in Entries(runsc.Root).Where(entry => !alive.Any(id => entry.Contains(id, StringComparison.Ordinal))))
        {
            found.Add(new Leftover(entry.EndsWith(".sock", StringComparison.Ordinal) ? "socket" : "directory", entry));
        }

        return [.. found.Distinct()];
    }

    public static async Task<SweepReport> RunAsync(GVisorOptions options, RunscCommand runsc, IReadOnlySet<string> alive, CancellationToken cancellationToken)
    {
        IReadOnlyList<Leftover> before = Find(options, runsc, alive);
        cancellationToken.ThrowIfCancellationRequested();
        foreach (int pid in ProcessesOf(runsc, alive))
        {
            Kill(runsc, pid);
        }

        IEnumerable<string> ids = SandboxCgroup.SandboxesOf(options.StateKey)
            .Concat(Entries(options.RunDirectory).Select(entry => Path.GetFileName(entry)).Where(name => name.StartsWith("sb-", StringComparison.Ordinal)))
            .Distinct().Where(id => !alive.Contains(id));
        foreach (string id in ids.ToArray())
        {
            await ProcessGroupEnd.KillAsync(new SandboxCgroup(options.StateKey, id), new HashSet<int>(), options.TimeProvider, CgroupDeadline);
            await RemoveAsync(options, runsc, id);
        }

        foreach (string entry in Entries(runsc.Root).Where(entry => !alive.Any(id => entry.Contains(id, StringComparison.Ordinal))).ToArray())
        {
            Delete(entry);
        }

        foreach (string checkpoint in Entries(options.RunDirectory).Where(entry => Path.GetFileName(entry).StartsWith(CheckpointPrefix, StringComparison.Ordinal) && !alive.Contains(Path.GetFileName(entry))).ToArray())
        {
            Delete(checkpoint);
        }

        foreach (string mount in HostMounts.Below(options.RunDirectory).Reverse())
        {
            _ = Libc.umount2(mount, HostMounts.Detach);
        }

        if (alive.Count == 0)
        {
            SandboxCgroup.RemoveStateDirectory(options.StateKey);
        }

        // Killed processes of another parent are gone a moment after the signal.
        long begin = options.TimeProvider.GetTimestamp();
        IReadOnlyList<Leftover> after = Find(options, runsc, alive);
        while (after.Count > 0 && options.TimeProvider.GetElapsedTime(begin) < CgroupDeadline)
        {
            await Task.Delay(Poll, options.TimeProvider, cancellationToken);
            after = Find(options, runsc, alive);
        }

        return new SweepReport([.. before.Except(after)], after);
    }

    /// <summary>Removes the cgroup, mounts, runsc's own state and the directory of one sandbox whose processes have ended.</summary>
    public static async Task<bool> RemoveAsync(GVisorOptions options, RunscCommand runsc, string id)
    {
        var cgroup = new SandboxCgroup(options.StateKey, id);
        long begin = options.TimeProvider.GetTimestamp();
        bool removed;
        // The kernel lets go of a cgroup a moment after its last process was reaped.
        while (!(removed = cgroup.Remove()) && options.TimeProvider.GetElapsedTime(begin) < CgroupDeadline)
        {
            await Task.Delay(Poll, options.TimeProvider);
        }

        string directory = Path.Combine(options.RunDirectory, id);
        foreach (string mount in HostMounts.Below(directory).Reverse())
        {
            _ = Libc.umount2(mount, HostMounts.Detach);
        }

        if (HostMounts.Below(directory).Count > 0)
        {
            // Deleting through a mount would delete what is mounted: a workspace.
            return false;
        }

        foreach (string entry in Entries(runsc.Root).Where(entry => entry.Contains(id, StringComparison.Ordinal)).ToArray())
        {
            Delete(entry);
        }

        Delete(directory);
        return removed && !Directory.Exists(directory);
    }

    public static void KillByCommandLine(RunscCommand runsc, string id)
    {
        foreach (int pid in CommandLines(runsc).Where(line => line.Words.Contains(id)).Select(line => line.Pid))
        {
            Kill(runsc, pid);
        }
    }

    /// <summary>Removes the run directory when nothing but our own lock and runsc's empty directory is in it; what is left otherwise is found by a sweep.</summary>
    public static void RemoveEmptyRunDirectory(GVisorOptions options, RunscCommand runsc)
    {
        if (Entries(runsc.Root).Any() || Entries(options.RunDirectory).Any(entry => entry != runsc.Root && Path.GetFileName(entry) is not (LockName or SpawnerLockName)))
        {
            return;
        }

        Directory.Delete(runsc.Root);
        File.Delete(Path.Combine(options.RunDirectory, SpawnerLockName));
        File.Delete(Path.Combine(options.RunDirectory, LockName));
        Directory.Delete(options.RunDirectory);
    }

    /// <summary>The number may belong to another process by now: it is held first, then looked at again.</summary>
    private static void Kill(RunscCommand runsc, int pid)
    {
        using ProcessHandle? process = ProcessHandle.Open(pid);
        if (process is not null && CommandLine(runsc, pid) is not null)
        {
            process.Kill();
        }
    }

    private static void Delete(string path)
    {
        if (Directory.Exists(path))
        {
            Directory.Delete(path, recursive: true);
        }
        else
        {
            File.Delete(path);
        }
    }

    private static IEnumerable<string> Entries(string directory) => Directory.Exists(directory) ? Directory.EnumerateFileSystemEntries(directory) : [];

    private static IEnumerable<int> ProcessesOf(RunscCommand runsc, IReadOnlySet<string> alive) =>
        // A gofer names its sandbox only inside the path of its bundle, so a whole word is not enough to know a living one.
        CommandLines(runsc).Where(line => !line.Words.Any(word => alive.Any(id => word.Contains(id, StringComparison.Ordinal)))).Select(line => line.Pid);

    /// <summary>runsc processes whose command line names our run directory.</summary>
    private static IEnumerable<(int Pid, string[] Words)> CommandLines(RunscCommand runsc)
    {
        foreach (string directory in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(directory), CultureInfo.InvariantCulture, out int pid) || pid == Environment.ProcessId)
            {
                continue;
            }

            if (CommandLine(runsc, pid) is { } words)
            {
                yield return (pid, words);
            }
        }
    }

    /// <summary>The words of a runsc process of our run directory; null for anything else.</summary>
    private static string[]? CommandLine(RunscCommand runsc, int pid)
    {
        try
        {
            string[] words = File.ReadAllText($"/proc/{pid}/cmdline").Split('\0');
            return words.Contains("--root=" + runsc.Root) && Path.GetFileName(words[0]).StartsWith("runsc", StringComparison.Ordinal) ? words : null;
        }
        catch (Exception ended) when (ended is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
