using System.Globalization;
using System.Text.Json.Nodes;
using Rynxs.Sandbox.Egress;
using Rynxs.Sandbox.Limits;

namespace Rynxs.Sandbox.GVisor;

/// <summary>The OCI configuration of a sandbox and of a program in it.</summary>
internal static class OciBundle
{
    /// <summary>User of programs.</summary>
    public const int AgentUid = 1000;

    /// <summary>User of the idle first process: another one, so that no program can trace it or keep it alive against us.</summary>
    private const int IdleUid = 65534;

    /// <summary>What the runtime itself (sentry, gofer, stubs) may use on top of the program's memory.</summary>
    public const long RuntimeMemoryBytes = 96L * 1024 * 1024;

    /// <summary>
    /// Reads its standard input to the end and ends. We hold the other end: when we die, however we die, the sandbox ends.
    /// bash, because it also reaps orphans.
    /// </summary>
    private const string IdleScript = "while read -r _; do :; done";

    public static IReadOnlyDictionary<string, string> BaseEnvironment { get; } = new Dictionary<string, string>
    {
        ["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ["HOME"] = "/workspace/files",
        ["USER"] = "agent",
        ["LANG"] = "C.UTF-8",
        ["TMPDIR"] = "/tmp",
        ["PYTHONDONTWRITEBYTECODE"] = "1",
        ["RYNXS_SANDBOX"] = "1",
    };

    /// <summary>Host tasks for a number of guest processes: stubs are two or more per process and linger (measured 2.3 and 6.8).</summary>
    public static int HostPids(SandboxLimits limits, string platform) => (limits.Pids * (platform == "ptrace" ? 10 : 4)) + 100;

    /// <param name="spec">What to bring up.</param>
    /// <param name="platform">systrap or ptrace.</param>
    /// <param name="rootDirectory">An empty directory: the image is mounted there.</param>
    /// <param name="cgroupPath">Where the runtime makes a cgroup; used only when it does.</param>
    /// <param name="withAgent">The first process is our agent with a waiting interpreter (templates); else the idle shell.</param>
    /// <param name="egressDirectory">Host directory of the egress socket; null without one.</param>
    public static JsonObject Configuration(
        SandboxSpec spec, string platform, string rootDirectory, string cgroupPath, bool withAgent = false, string? egressDirectory = null) => new()
    {
        ["ociVersion"] = "1.0.2",
        ["process"] = withAgent ? Privileged(Guest.GuestAgent.Command("first"), Guest.GuestAgent.Capabilities, spec.Limits)
            : egressDirectory is not null ? Privileged(GuestForwarder.Command, ["CAP_NET_BIND_SERVICE"], spec.Limits)
            : Process(["/bin/bash", "-c", IdleScript], BaseEnvironment, "/", spec.Limits, IdleUid),
        ["root"] = new JsonObject { ["path"] = rootDirectory, ["readonly"] = true },
        ["hostname"] = "sandbox",
        ["annotations"] = new JsonObject
        {
            ["dev.gvisor.spec.rootfs.source"] = spec.Image.Path,
            ["dev.gvisor.spec.rootfs.type"] = "erofs",
        },
        ["mounts"] = new JsonArray(
            [
                Mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
                Mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
                .. Places(spec),
                .. egressDirectory is null ? (JsonNode[])[] : [GuestForwarder.Mount(egressDirectory)],
            ]),
        ["linux"] = new JsonObject
        {
            ["namespaces"] = new JsonArray([.. ((string[])["pid", "ipc", "uts", "mount", "network"]).Select(type => (JsonNode)new JsonObject { ["type"] = type })]),
            ["cgroupsPath"] = cgroupPath,
            ["resources"] = new JsonObject
            {
                ["memory"] = new JsonObject { ["limit"] = spec.Limits.MemoryBytes + RuntimeMemoryBytes },
                ["pids"] = new JsonObject { ["limit"] = HostPids(spec.Limits, platform) },
                ["cpu"] = new JsonObject { ["quota"] = (long)(spec.Limits.Cpus * 100_000), ["period"] = 100_000 },
            },
            ["maskedPaths"] = new JsonArray("/proc/kcore", "/proc/keys", "/proc/sysrq-trigger", "/proc/timer_list", "/sys/firmware"),
            ["readonlyPaths"] = new JsonArray("/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq"),
        },
    };

    /// <summary>What programs can write.</summary>
    private static IEnumerable<JsonNode> Places(SandboxSpec spec)
    {
        if (spec.WritablePaths is { } writable)
        {
            foreach ((string path, bool isWritable, long bytes) in WritableTree.Mounts(writable, spec.Limits.TmpBytes, spec.WorkspaceBytes))
            {
                yield return Mount(path, "tmpfs", "tmpfs", isWritable ? "rw" : "ro", "nosuid", "nodev", isWritable ? "mode=1777" : "mode=0755", Size(bytes));
            }

            yield break;
        }

        yield return Mount("/tmp", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777", Size(spec.Limits.TmpBytes));
        yield return spec.WorkspaceDirectory is { } workspace
            ? Mount("/workspace/files", "bind", workspace, "bind", "rw", "nosuid", "nodev")
            : Mount("/workspace/files", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=0777", Size(spec.WorkspaceBytes));
    }

    private static JsonObject Privileged(IReadOnlyList<string> command, IReadOnlyList<string> capabilities, SandboxLimits limits)
    {
        JsonObject process = Process(command, BaseEnvironment, "/", limits, uid: 0);
        process["capabilities"] = new JsonObject(((string[])["bounding", "effective", "permitted"]).Select(set =>
            KeyValuePair.Create(set, (JsonNode?)new JsonArray([.. capabilities.Select(name => (JsonNode)name)]))));
        return process;
    }

    public static JsonObject Process(
        IEnumerable<string> arguments, IEnumerable<KeyValuePair<string, string>> environment, string directory, SandboxLimits limits, int uid = AgentUid) => new()
    {
        ["terminal"] = false,
        ["user"] = new JsonObject { ["uid"] = uid, ["gid"] = uid },
        ["args"] = new JsonArray([.. arguments.Select(argument => (JsonNode)argument)]),
        ["env"] = new JsonArray([.. environment.Select(pair => (JsonNode)$"{pair.Key}={pair.Value}")]),
        ["cwd"] = directory,
        ["noNewPrivileges"] = true,
        ["capabilities"] = new JsonObject
        {
            ["bounding"] = new JsonArray(),
            ["effective"] = new JsonArray(),
            ["inheritable"] = new JsonArray(),
            ["permitted"] = new JsonArray(),
            ["ambient"] = new JsonArray(),
        },
        ["rlimits"] = new JsonArray(
            Limit("RLIMIT_NPROC", limits.Pids), Limit("RLIMIT_NOFILE", limits.OpenFiles), Limit("RLIMIT_FSIZE", limits.FileBytes), Limit("RLIMIT_CORE", 0)),
    };

    private static JsonObject Mount(string destination, string type, string source, params string[] options) => new()
    {
        ["destination"] = destination,
        ["type"] = type,
        ["source"] = source,
        ["options"] = new JsonArray([.. options.Select(option => (JsonNode)option)]),
    };

    private static JsonObject Limit(string type, long value) => new() { ["type"] = type, ["hard"] = value, ["soft"] = value };

    private static string Size(long bytes) => "size=" + bytes.ToString(CultureInfo.InvariantCulture);
}
