using System.Globalization;
using Rynxs.Sandbox.Cgroups;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Processes;

/// <summary>Ends every process of a sandbox's cgroup and reaps those that became our children.</summary>
/// <remarks>
/// Whatever outlives its parent becomes our child (subreaper), and a child that nobody waits for stays as a zombie: runsc then waits
/// five seconds for it. A dead process is no longer listed in its cgroup, so the dead are known by their session, which only the
/// sandbox's processes share. Children of System.Diagnostics.Process have other sessions and are never touched.
/// </remarks>
internal static class ProcessGroupEnd
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(2);

    /// <summary>Sessions of a cgroup's processes, to recognise them by when they are dead.</summary>
    public static IReadOnlySet<int> SessionsOf(SandboxCgroup cgroup)
    {
        int ours = TryStat(Environment.ProcessId)?.Session ?? 0;
        return cgroup.Processes().Select(pid => TryStat(pid)?.Session ?? 0).Where(session => session > 1 && session != ours).ToHashSet();
    }

    /// <summary>Kills until the cgroup is empty and its dead are reaped; false when something is still there after the time given.</summary>
    /// <param name="cgroup">Whose processes.</param>
    /// <param name="sessions">From <see cref="SessionsOf"/>; empty for sandboxes of another process, whose children are not ours.</param>
    /// <param name="time">Clock of the waits.</param>
    /// <param name="atMost">When to give up.</param>
    public static async Task<bool> KillAsync(SandboxCgroup cgroup, IReadOnlySet<int> sessions, TimeProvider time, TimeSpan atMost)
    {
        long begin = time.GetTimestamp();
        while (true)
        {
            IReadOnlyList<int> alive = cgroup.Processes();
            KillAll(cgroup, alive);

            // Looking for the dead walks /proc, so it waits until nothing is alive.
            if (alive.Count == 0 && !AnyChildLeft(sessions))
            {
                return true;
            }

            if (time.GetElapsedTime(begin) > atMost)
            {
                return false;
            }

            await Task.Delay(Poll, time);
        }
    }

    /// <summary>Held by pidfd and looked up once more before the signal, so that a number which went to another process meanwhile is left alone.</summary>
    private static void KillAll(SandboxCgroup cgroup, IReadOnlyList<int> pids)
    {
        List<(int Pid, ProcessHandle Handle)> held = [.. pids.Select(pid => (Pid: pid, Handle: ProcessHandle.Open(pid))).Where(process => process.Handle is not null)
            .Select(process => (process.Pid, process.Handle!))]; // just filtered
        HashSet<int> still = held.Count > 0 ? [.. cgroup.Processes()] : [];
        foreach ((int pid, ProcessHandle handle) in held)
        {
            using (handle)
            {
                if (still.Contains(pid))
                {
                    handle.Kill();
                }
            }
        }
    }

    /// <summary>Reaps the dead children of these sessions; true when one of them has still to die.</summary>
    private static unsafe bool AnyChildLeft(IReadOnlySet<int> sessions)
    {
        if (sessions.Count == 0)
        {
            return false;
        }

        bool left = false;
        foreach (string directory in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(directory), CultureInfo.InvariantCulture, out int pid)
                && TryStat(pid) is var (parent, session) && parent == Environment.ProcessId && sessions.Contains(session))
            {
                const int noHang = 1;
                int status;
                left |= Libc.waitpid(pid, &status, noHang) == 0;
            }
        }

        return left;
    }

    private static (int Parent, int Session)? TryStat(int pid)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{pid}/stat");
            // pid (name) state parent group session ...; the name may hold anything, so count from its end.
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            return (int.Parse(fields[1], CultureInfo.InvariantCulture), int.Parse(fields[3], CultureInfo.InvariantCulture));
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
