using System.Runtime.InteropServices;

namespace Rynxs.Cli.Diagnostics;

/// <summary>One check and what it saw.</summary>
/// <param name="Name">Short name.</param>
/// <param name="Status"><c>ok</c>, <c>warn</c> or <c>fail</c>.</param>
/// <param name="Detail">What was seen.</param>
/// <param name="Hint">What to do; null when nothing.</param>
internal sealed record Check(string Name, string Status, string Detail, string? Hint = null);

/// <summary>What can be said about this machine without a server. Whether sandboxes really run, only the server's own probe says.</summary>
internal static class HostChecks
{
    private static readonly (string Program, string Package, string Purpose)[] Programs =
    [
        ("runsc", "runsc", "gVisor, runs sandboxes"),
        ("mmdebstrap", "mmdebstrap", "builds the sandboxes' root filesystem"),
        ("mkfs.erofs", "erofs-utils", "packs it"),
    ];

    public static IReadOnlyList<Check> Run(string stateDirectory) =>
    [
        Architecture(),
        new Check("kernel", "ok", $"{Environment.OSVersion} ({RuntimeInformation.OSDescription})"),
        Environment.IsPrivilegedProcess
            ? new Check("root", "ok", "this user may create sandboxes")
            : new Check("root", "warn", "not root: 'up' and 'demo' need it, clients do not", "sudo ./rynxs up"),
        Cgroups(),
        .. Programs.Select(Program),
        State(stateDirectory),
    ];

    private static Check Architecture() => RuntimeInformation.OSArchitecture is System.Runtime.InteropServices.Architecture.X64 or System.Runtime.InteropServices.Architecture.Arm64
        ? new Check("architecture", "ok", RuntimeInformation.OSArchitecture.ToString())
        : new Check("architecture", "fail", $"{RuntimeInformation.OSArchitecture}: gVisor runs on x86_64 and arm64 only");

    private static Check Cgroups()
    {
        if (File.Exists("/sys/fs/cgroup/cgroup.controllers"))
        {
            return new Check("cgroups", "ok", "version 2");
        }

        return Directory.Exists("/sys/fs/cgroup/memory")
            ? new Check("cgroups", "ok", "version 1")
            : new Check("cgroups", "fail", "none mounted on /sys/fs/cgroup: limits cannot be enforced, so sandboxes are refused");
    }

    private static Check Program((string Program, string Package, string Purpose) wanted)
    {
        string? path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries)
            .Select(directory => Path.Combine(directory, wanted.Program))
            .FirstOrDefault(File.Exists);
        return path is not null
            ? new Check(wanted.Program, "ok", path)
            : new Check(wanted.Program, "warn", $"not installed ({wanted.Purpose})", $"./rynxs up installs it, or: apt-get install {wanted.Package}");
    }

    private static Check State(string stateDirectory)
    {
        string existing = stateDirectory;
        while (!Directory.Exists(existing) && Path.GetDirectoryName(existing) is { } parent)
        {
            existing = parent;
        }

        long free = new DriveInfo(existing).AvailableFreeSpace / (1024 * 1024);
        return free >= 1024
            ? new Check("state", "ok", $"{stateDirectory}, {free} MiB free")
            : new Check("state", "warn", $"{stateDirectory}, only {free} MiB free", "A root filesystem and workspaces need about 1 GiB.");
    }
}
