using System.Globalization;
using System.Text;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Limits;

namespace Rynxs.Sandbox.Namespaces;

/// <summary>What of the host a program sees.</summary>
/// <param name="Root">Mount of the image.</param>
/// <param name="Tmp">Becomes /tmp.</param>
/// <param name="Files">Becomes /workspace/files.</param>
/// <param name="Places">Both, with what of them may be written where a caller names it, parents first.</param>
internal sealed record SandboxView(string Root, string Tmp, string Files, IReadOnlyList<SandboxPlace> Places);

/// <summary>A directory of the host and where a program sees it.</summary>
internal readonly record struct SandboxPlace(string Source, string Target, bool IsWritable);

/// <summary>
/// The command that confines one program: limits by prlimit, another user by setpriv, everything else by bubblewrap. The user is changed before bubblewrap, because a process of the host's root is obeyed by
/// much of /proc/sys without any capability.
/// </summary>
internal static class BubblewrapCommand
{
    /// <summary>Numbers by which the child knows what it is given besides standard input, output and error.</summary>
    public const int ArgumentsDescriptor = 3, FilterDescriptor = 4, StatusDescriptor = 5;

    /// <summary>bubblewrap takes 9,000 arguments; each variable costs three.</summary>
    public const int MaxVariables = 2500;

    /// <summary>What stays visible in the host's process list: no variable and no path of the sandbox.</summary>
    public static IReadOnlyList<string> Build(string bubblewrap, SandboxLimits limits, IReadOnlyList<string> program) =>
    [
        "prlimit", "--core=0", "--rtprio=0", $"--nofile={Number(limits.OpenFiles)}", $"--fsize={Number(limits.FileBytes)}", "--",
        "setpriv", $"--reuid={Number(OciBundle.AgentUid)}", $"--regid={Number(OciBundle.AgentUid)}", "--clear-groups", "--inh-caps=-all", "--no-new-privs", "--",
        bubblewrap, "--args", Number(ArgumentsDescriptor), "--", .. program,
    ];

    /// <summary>The rest of bubblewrap's arguments, as it reads them from <see cref="ArgumentsDescriptor"/>.</summary>
    public static byte[] Arguments(SandboxView view, SandboxLimits limits, IReadOnlyDictionary<string, string> environment, string workingDirectory)
    {
        List<string> words =
        [
            "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup", "--disable-userns", "--assert-userns-disabled",
            "--uid", Number(OciBundle.AgentUid), "--gid", Number(OciBundle.AgentUid), "--hostname", "sandbox",
            "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv",
            "--ro-bind", view.Root, "/", "--proc", "/proc",
        ];

        // Readable by root of the host only, and not needed by anybody: nothing is left of them to try.
        foreach (string hidden in (string[])["/proc/kcore", "/proc/sysrq-trigger", "/proc/keys", "/proc/timer_list"])
        {
            if (File.Exists(hidden))
            {
                words.AddRange(["--ro-bind", "/dev/null", hidden]);
            }
        }

        words.AddRange(
        [
            "--dev", "/dev", "--size", Number(limits.TmpBytes), "--tmpfs", "/dev/shm", "--remount-ro", "/dev",
            .. view.Places.SelectMany(place => (string[])[place.IsWritable ? "--bind" : "--ro-bind", place.Source, place.Target]),
            "--seccomp", Number(FilterDescriptor), "--json-status-fd", Number(StatusDescriptor), "--chdir", workingDirectory,
        ]);
        foreach ((string name, string value) in environment)
        {
            words.AddRange(["--setenv", name, value]);
        }

        return Encoding.UTF8.GetBytes(string.Concat(words.Select(word => word + '\0')));
    }

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}
