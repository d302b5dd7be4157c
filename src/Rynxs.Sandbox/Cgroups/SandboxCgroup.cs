using System.Globalization;
using Rynxs.Sandbox.Limits;

namespace Rynxs.Sandbox.Cgroups;

/// <summary>
/// The control group of one sandbox: <c>/rynxs/KEY/ID</c> in every v1 hierarchy, or in the one v2 hierarchy. The runtime creates it;
/// this reads it back, counts what the kernel did in it, and removes it.
/// </summary>
/// <remarks>The v2 half follows the kernel's documentation and was never exercised on a v2 host; <c>doctor</c> says so.</remarks>
internal sealed class SandboxCgroup(string stateKey, string sandboxId)
{
    private const string Mount = "/sys/fs/cgroup";
    private static readonly string[] Controllers = ["memory", "cpu", "cpuacct", "pids"];

    public static bool IsV2 { get; } = File.Exists(Mount + "/cgroup.controllers");

    /// <summary>As written into the bundle.</summary>
    public string Path { get; } = $"/rynxs/{stateKey}/{sandboxId}";

    /// <summary>Memory limit that the kernel holds, bytes; null when it cannot be read.</summary>
    public long? MemoryLimit => Number("memory", IsV2 ? "memory.max" : "memory.limit_in_bytes");

    public long? PidsLimit => Number("pids", "pids.max");

    public string? CpuLimit => IsV2 ? Text("cpu", "cpu.max") : Text("cpu", "cpu.cfs_quota_us") is { } quota ? $"{quota} {Text("cpu", "cpu.cfs_period_us")}" : null;

    /// <summary>How often the OOM killer acted in it.</summary>
    public long OomKills => Keyed("memory", IsV2 ? "memory.events" : "memory.oom_control", "oom_kill") ?? 0;

    /// <summary>How often the kernel refused a process.</summary>
    public long PidsRefused => Keyed("pids", "pids.events", "max") ?? 0;

    public TimeSpan? Cpu => IsV2
        ? Keyed("cpu", "cpu.stat", "usage_usec") is { } microseconds ? TimeSpan.FromMicroseconds(microseconds) : null
        : Number("cpuacct", "cpuacct.usage") is { } nanoseconds ? TimeSpan.FromTicks(nanoseconds / 100) : null;

    public long? MemoryNow => Number("memory", IsV2 ? "memory.current" : "memory.usage_in_bytes");

    public long? Tasks => Number("pids", "pids.current");

    public long? MemoryPeak => Number("memory", IsV2 ? "memory.peak" : "memory.max_usage_in_bytes");

    /// <summary>Makes it where we do that ourselves (gVisor on v1, namespaces everywhere): in a few hierarchies only, and ahead of time.</summary>
    /// <exception cref="IOException">The kernel refuses.</exception>
    public void Create(SandboxLimits limits, int hostPids, long memoryBytes)
    {
        if (IsV2)
        {
            Directory.CreateDirectory(Mount + Path);
            // Controllers have to be handed down one level at a time.
            string[] levels = [Mount, Mount + "/rynxs", $"{Mount}/rynxs/{stateKey}"];
            foreach (string level in levels)
            {
                File.WriteAllText(level + "/cgroup.subtree_control", "+memory +cpu +pids");
            }

            SetLimits(limits, hostPids, memoryBytes);
            return;
        }

        foreach (string controller in Controllers)
        {
            Directory.CreateDirectory(Directory_(controller));
        }

        SetLimits(limits, hostPids, memoryBytes);
    }

    /// <summary>Moves the calling thread into it (v1), so that what it starts is born there. The thread ends with what it started.</summary>
    /// <exception cref="IOException">The kernel refuses.</exception>
    public void EnterThisThread()
    {
        string thread = ThisThread();
        foreach (string controller in Controllers)
        {
            File.WriteAllText(Directory_(controller) + "/tasks", thread);
        }
    }

    /// <summary>
    /// Moves the calling thread back to this process's CPU cgroup: a thread of ours that is throttled with a sandbox would hold up every garbage collection.
    /// </summary>
    /// <exception cref="IOException">The kernel refuses.</exception>
    public static void LeaveCpuWithThisThread()
    {
        string own = File.ReadLines("/proc/self/cgroup").Select(line => line.Split(':', 3)).Where(fields => fields is [_, var controllers, _] && controllers.Split(',').Contains("cpu"))
            .Select(fields => fields[2]).FirstOrDefault("/");
        File.WriteAllText($"{Mount}/cpu{own.TrimEnd('/')}/tasks", ThisThread());
    }

    private static string ThisThread()
    {
        const long getThreadAmd64 = 186, getThreadArm64 = 178;
        bool isArm = System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.Arm64;
        return Native.Libc.syscall(isArm ? getThreadArm64 : getThreadAmd64, 0, 0, 0, 0).ToString(CultureInfo.InvariantCulture);
    }

    /// <summary>Moves a process into it (v2), before it has children.</summary>
    /// <exception cref="IOException">The kernel refuses.</exception>
    public void Enter(int pid) => File.WriteAllText(Directory_("") + "/cgroup.procs", pid.ToString(CultureInfo.InvariantCulture));

    /// <summary>Writes the limits; the caller reads them back.</summary>
    /// <exception cref="IOException">The kernel refuses.</exception>
    public void SetLimits(SandboxLimits limits, int hostPids, long memoryBytes)
    {
        long quota = (long)(limits.Cpus * 100_000);
        if (IsV2)
        {
            Write("memory", "memory.max", memoryBytes);
            Write("pids", "pids.max", hostPids);
            File.WriteAllText($"{Directory_("cpu")}/cpu.max", string.Create(CultureInfo.InvariantCulture, $"{quota} 100000"));
            return;
        }

        Write("memory", "memory.limit_in_bytes", memoryBytes);
        Write("pids", "pids.max", hostPids);
        Write("cpu", "cpu.cfs_period_us", 100_000);
        Write("cpu", "cpu.cfs_quota_us", quota);
    }

    /// <summary>Cgroups of a state that are there, by sandbox id.</summary>
    public static IReadOnlyList<string> SandboxesOf(string stateKey) =>
        [.. Hierarchies().Select(hierarchy => $"{hierarchy}/rynxs/{stateKey}").Where(Directory.Exists)
            .SelectMany(Directory.EnumerateDirectories).Select(directory => System.IO.Path.GetFileName(directory)).Distinct()];

    /// <summary>Removes the state's own directory once it is empty.</summary>
    public static void RemoveStateDirectory(string stateKey)
    {
        foreach (string hierarchy in Hierarchies())
        {
            TryRemove($"{hierarchy}/rynxs/{stateKey}");
        }
    }

    /// <summary>Starts the peak anew, where the kernel can (v1).</summary>
    public void ResetPeak()
    {
        if (!IsV2 && Directory.Exists(Directory_("memory")))
        {
            File.WriteAllText(Directory_("memory") + "/memory.max_usage_in_bytes", "0");
        }
    }

    /// <summary>Processes in it, over all hierarchies; not this one, whose threads start programs from within it.</summary>
    public IReadOnlyList<int> Processes()
    {
        HashSet<int> pids = [];
        foreach (string directory in Hierarchies().Select(hierarchy => hierarchy + Path))
        {
            try
            {
                pids.UnionWith(File.ReadLines(directory + "/cgroup.procs").Select(line => int.Parse(line, CultureInfo.InvariantCulture)).Where(pid => pid > 1 && pid != Environment.ProcessId));
            }
            catch (IOException)
            {
                // Not there (any more).
            }
        }

        return [.. pids];
    }

    /// <summary>Removes it from every hierarchy; false when the kernel still holds one.</summary>
    public bool Remove() => Hierarchies().Select(hierarchy => TryRemove(hierarchy + Path)).ToArray().All(gone => gone);

    private void Write(string controller, string file, long value) =>
        File.WriteAllText($"{Directory_(controller)}/{file}", value.ToString(CultureInfo.InvariantCulture));

    private static IEnumerable<string> Hierarchies() =>
        IsV2 ? [Mount] : Directory.Exists(Mount) ? Directory.EnumerateDirectories(Mount) : [];

    private static bool TryRemove(string directory)
    {
        if (!Directory.Exists(directory))
        {
            return true;
        }

        try
        {
            // rmdir: a cgroup's files are not entries to delete.
            Directory.Delete(directory);
            return true;
        }
        catch (IOException)
        {
            return false;
        }
        catch (UnauthorizedAccessException)
        {
            return false;
        }
    }

    private string Directory_(string controller) => IsV2 ? Mount + Path : $"{Mount}/{controller}{Path}";

    private string? Text(string controller, string file)
    {
        try
        {
            return File.ReadAllText($"{Directory_(controller)}/{file}").Trim();
        }
        catch (IOException)
        {
            return null;
        }
    }

    private long? Number(string controller, string file) =>
        long.TryParse(Text(controller, file), CultureInfo.InvariantCulture, out long value) ? value : null;

    private long? Keyed(string controller, string file, string key) =>
        Text(controller, file)?.Split('\n').Select(line => line.Split(' '))
            .Where(words => words is [var name, _] && name == key)
            .Select(words => long.TryParse(words[1], CultureInfo.InvariantCulture, out long value) ? value : (long?)null).FirstOrDefault();
}
