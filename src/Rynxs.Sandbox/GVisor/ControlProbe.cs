using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Events;
using Rynxs.Sandbox.Limits;

namespace Rynxs.Sandbox.GVisor;

/// <summary>
/// Shows that the controls of a sandbox work by trying them in it. What depends only on version, image and limits is tried in the first
/// sandbox of that kind; what can differ from one sandbox to the next is read back in each.
/// </summary>
internal sealed class ControlProbe
{
    private const string Script = """
        import os,socket,json,resource
        def tried(f):
            try:
                f(); return 'worked'
            except OSError as e: return e.strerror or type(e).__name__
        s=socket.socket(); s.settimeout(2)
        st={l.split(':')[0]:l.split(':')[1].strip() for l in open('/proc/self/status') if ':' in l}
        t=os.statvfs('/tmp')
        root=[l.split()[5].split(',')[0] for l in open('/proc/self/mountinfo') if l.split()[4]=='/'][0]
        print(json.dumps({'dmesg':os.popen('dmesg').read(2000),'connect':tried(lambda:s.connect(('192.0.2.1',80))),
         'uid':str(os.getuid()),'caps':st.get('CapEff',''),'root':root,'write':tried(lambda:open('/etc/rynxs-probe','w')),
         'workspace':','.join(sorted(os.listdir('/workspace'))),'nproc':str(resource.getrlimit(resource.RLIMIT_NPROC)[0]),
         'nofile':str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),'fsize':str(resource.getrlimit(resource.RLIMIT_FSIZE)[0]),
         'tmp':str(t.f_blocks*t.f_frsize)}))
        """;

    private readonly ConcurrentDictionary<(string Version, string Digest, string Platform, bool Bound, bool Egress, SandboxLimits Limits), IReadOnlyList<SandboxControl>> _known = new();

    /// <summary>The sandbox's controls.</summary>
    /// <exception cref="SandboxRefusedException">One of them cannot be shown to work.</exception>
    public async Task<IReadOnlyList<SandboxControl>> ProbeAsync(GVisorSandbox sandbox, string version, string deadlineResult, CancellationToken cancellationToken)
    {
        SandboxLimits limits = sandbox.Spec.Limits;
        var kind = (version, sandbox.Image.Digest, sandbox.Platform, sandbox.Spec.WorkspaceDirectory is not null, sandbox.Spec.Egress is not null, limits);
        if (!_known.TryGetValue(kind, out IReadOnlyList<SandboxControl>? common))
        {
            common = await TryInsideAsync(sandbox, cancellationToken);
            _known[kind] = common;
        }

        IReadOnlyList<SandboxControl> controls = WithOwn(sandbox, common, deadlineResult);
        return sandbox.Spec.WritablePaths is { } writable ? [.. controls, await TryWritableAsync(sandbox, writable, cancellationToken)] : controls;
    }

    /// <summary>Writes where it may, and where it may not, in this very sandbox.</summary>
    private static async Task<SandboxControl> TryWritableAsync(GVisorSandbox sandbox, IReadOnlyList<string> writable, CancellationToken cancellationToken)
    {
        const string script = """
            import os,sys
            def tried(d):
                try:
                    p=d+'/.rynxs-probe'; os.close(os.open(p,os.O_CREAT|os.O_WRONLY)); os.unlink(p); return True
                except OSError: return False
            n=int(sys.argv[1]); may=sys.argv[2:2+n]; maynot=sys.argv[2+n:]
            print('held' if all(map(tried,may)) and not any(map(tried,maynot)) else 'not held')
            """;
        string[] closed = [.. ((string[])["/tmp", "/workspace/files", "/dev/shm", "/"]).Except(writable)];
        ExecutionResult result = await sandbox.ExecuteAsync(
            new ExecutionRequest
            {
                ExecutionId = "probe-writable", Arguments = ["/usr/bin/python3", "-I", "-S", "-c", script, Number(writable.Count), .. writable, .. closed], WorkingDirectory = "/",
                Timeout = TimeSpan.FromSeconds(30), OutputBytes = 1024,
            },
            cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();
        string seen = Encoding.UTF8.GetString(result.StandardOutput.Span).Trim();
        return Checked("filesystem_access", string.Join(", ", writable), "read-only mounts", "a write to each named directory and to each other place", seen, seen == "held");
    }

    /// <summary>What was seen in another sandbox of the same kind, with what is read back in this one.</summary>
    /// <exception cref="SandboxRefusedException">The kernel does not hold a limit.</exception>
    public static IReadOnlyList<SandboxControl> WithOwn(GVisorSandbox sandbox, IReadOnlyList<SandboxControl> common, string deadlineResult)
    {
        SandboxLimits limits = sandbox.Spec.Limits;
        long memory = limits.MemoryBytes + OciBundle.RuntimeMemoryBytes;
        int pids = OciBundle.HostPids(limits, sandbox.Platform);
        return
        [
            .. common,
            Checked("memory_limit", Number(limits.MemoryBytes), "cgroup, with room for the runtime", "limit read back from the kernel", Text(sandbox.Cgroup.MemoryLimit),
                sandbox.Cgroup.MemoryLimit is { } held && held <= memory && held > memory - (1 << 20)),
            Checked("pids_limit", Number(limits.Pids), "RLIMIT_NPROC inside, cgroup outside", "cgroup limit read back from the kernel", Text(sandbox.Cgroup.PidsLimit), sandbox.Cgroup.PidsLimit == pids),
            Checked("cpu_limit", limits.Cpus.ToString(CultureInfo.InvariantCulture), "cgroup", "quota and period read back from the kernel", sandbox.Cgroup.CpuLimit ?? "unreadable", sandbox.Cgroup.CpuLimit is not null),
            new("trace_session", "every program watched", "gVisor trace session, receiver in this process; detects and kills, does not prevent", sandbox.Start == SandboxStart.Plain ? "the sandbox's start event was received" : "an attempt that only this sandbox makes was received", "received"),
            new("deadline", "per program", "this process kills the sandbox", "a program that sleeps was killed at its deadline", deadlineResult),
            new("workspace_quota", Number(sandbox.Spec.WorkspaceBytes), sandbox.Spec.WorkspaceDirectory is null ? "tmpfs size" : "this process measures and kills; does not prevent", "not probed", "stated"),
            new("kernel", "none shared with programs", "gVisor's sentry; the sentry itself runs on the host's kernel behind seccomp", "not probed", "stated"),
        ];
    }

    /// <summary>Tries the controls from inside.</summary>
    /// <exception cref="SandboxRefusedException">One of them cannot be shown to work.</exception>
    public static async Task<IReadOnlyList<SandboxControl>> TryInsideAsync(GVisorSandbox sandbox, CancellationToken cancellationToken)
    {
        ExecutionResult result = await sandbox.ExecuteAsync(new ExecutionRequest
        {
            ExecutionId = "probe",
            Arguments = ["/usr/bin/python3", "-I", "-S", "-c", Script],
            WorkingDirectory = "/",
            Timeout = TimeSpan.FromSeconds(30),
            OutputBytes = 16 * 1024,
        }, cancellationToken);
        cancellationToken.ThrowIfCancellationRequested();
        if (result.Reason != TerminationReason.Completed)
        {
            throw new SandboxRefusedException("runtime", $"The probing program ended with {result.Reason}: {RunscCommand.Bounded(Encoding.UTF8.GetString(result.StandardError.Span))}");
        }

        Dictionary<string, string> seen = JsonSerializer.Deserialize(result.StandardOutput.Span, ProbeJson.Default.DictionaryStringString) ?? [];
        string Seen(string key) => seen.GetValueOrDefault(key, "");
        SandboxLimits limits = sandbox.Spec.Limits;
        bool attemptTraced = result.Violations.Any(violation => violation.ViolationType == "network_egress");
        return
        [
            Checked("isolation_kernel", "gvisor", "runsc, platform " + sandbox.Platform, "the kernel's log inside", Seen("dmesg").Contains("gVisor", StringComparison.Ordinal) ? "Starting gVisor" : "other kernel",
                Seen("dmesg").Contains("gVisor", StringComparison.Ordinal)),
            Checked("network", "none", "runsc --network=none", "connect to 192.0.2.1:80", Seen("connect"), Seen("connect") is not ("worked" or "")),
            Checked("violation_detection", "attempts are seen", "gVisor trace session", "that connect was reported", attemptTraced ? "reported" : "not reported", attemptTraced),
            Checked("user", "1000, no capabilities", "sandbox kernel", "getuid and CapEff", $"{Seen("uid")}, {Seen("caps")}", Seen("uid") == "1000" && Seen("caps").Trim('0').Length == 0),
            Checked("root_filesystem", "read-only", "EROFS image, mounted read-only", "mount option and a write to /etc", $"{Seen("root")}, {Seen("write")}", Seen("root") == "ro" && Seen("write") is not ("worked" or "")),
            Checked("workspace_mount", "files only", "bind mount of one directory", "names in /workspace", Seen("workspace"), Seen("workspace") == "files"),
            Checked("rlimits", $"nproc {limits.Pids}, nofile {limits.OpenFiles}, fsize {limits.FileBytes}", "sandbox kernel", "getrlimit",
                $"nproc {Seen("nproc")}, nofile {Seen("nofile")}, fsize {Seen("fsize")}",
                Seen("nproc") == Number(limits.Pids) && Seen("nofile") == Number(limits.OpenFiles) && Seen("fsize") == Number(limits.FileBytes)),
            Checked("tmp_size", Number(limits.TmpBytes), "tmpfs size", "statvfs", Seen("tmp"), long.TryParse(Seen("tmp"), CultureInfo.InvariantCulture, out long size) && size <= limits.TmpBytes),
        ];
    }

    internal static SandboxControl Checked(string control, string requested, string enforcedBy, string probe, string result, bool holds) =>
        holds
            ? new SandboxControl(control, requested, enforcedBy, probe, result)
            : throw new SandboxRefusedException(control, $"control {control} ({requested}) cannot be shown to work: {probe} gave '{Violations.ViolationDetector.Sanitise(result)}'");

    internal static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);

    internal static string Text(long? value) => value is { } number ? Number(number) : "unreadable";
}

[System.Text.Json.Serialization.JsonSerializable(typeof(Dictionary<string, string>))]
internal sealed partial class ProbeJson : System.Text.Json.Serialization.JsonSerializerContext;
