using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Events;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Limits;
using static Rynxs.Sandbox.GVisor.ControlProbe;

namespace Rynxs.Sandbox.Namespaces;

/// <summary>Shows that the controls of a sandbox work by trying them in it: what depends on image and limits in the first of a kind, what can differ in each.</summary>
internal sealed class NamespacesControls
{
    private static readonly string[] Namespaces = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

    /// <summary>Attempts beyond those of gVisor's script: what a shared kernel must refuse by itself.</summary>
    private const string Script = """
        import os,socket,json,resource,ctypes
        def tried(f):
            try:
                f(); return 'worked'
            except OSError as e: return e.strerror or type(e).__name__
        def nested():
            if ctypes.CDLL(None,use_errno=True).unshare(0x10000000): raise OSError(ctypes.get_errno(),os.strerror(ctypes.get_errno()))
        s=socket.socket(); s.settimeout(2)
        st={l.split(':')[0]:l.split(':')[1].strip() for l in open('/proc/self/status') if ':' in l}
        t=os.statvfs('/tmp')
        root=[l.split()[5].split(',')[0] for l in open('/proc/self/mountinfo') if l.split()[4]=='/'][0]
        r=lambda n:str(resource.getrlimit(n)[0])
        print(json.dumps({'ns':','.join(os.readlink('/proc/self/ns/'+n) for n in ('cgroup','ipc','mnt','net','pid','user','uts')),
         'connect':tried(lambda:s.connect(('192.0.2.1',80))),'links':','.join(n for _,n in socket.if_nameindex()),
         'vsock':tried(lambda:socket.socket(40,1)),'nested':tried(nested),'user':str(os.getuid()),
         'caps':'/'.join(st.get(n,'?') for n in ('CapEff','CapPrm','CapInh','CapBnd','CapAmb')),'privileges':st.get('NoNewPrivs',''),
         'seccomp':st.get('Seccomp','')+'/'+st.get('Seccomp_filters','?'),'root':root,'write':tried(lambda:open('/etc/rynxs-probe','w')),
         'device':tried(lambda:open('/dev/rynxs-probe','w')),'workspace':','.join(sorted(os.listdir('/workspace'))),
         'nofile':r(resource.RLIMIT_NOFILE),'fsize':r(resource.RLIMIT_FSIZE),'core':r(resource.RLIMIT_CORE),'tmp':str(t.f_blocks*t.f_frsize),
         'first':open('/proc/1/environ').read()[:200]}))
        """;

    private readonly ConcurrentDictionary<(string Digest, bool Bound, SandboxLimits Limits), IReadOnlyList<SandboxControl>> _known = new();

    /// <exception cref="SandboxRefusedException">One of them cannot be shown to work.</exception>
    public async Task<IReadOnlyList<SandboxControl>> ProbeAsync(NamespacesSandbox sandbox, string deadline, CancellationToken cancellationToken)
    {
        SandboxLimits limits = sandbox.Spec.Limits;
        var kind = (sandbox.Image.Digest, sandbox.Spec.WorkspaceDirectory is not null, limits);
        if (!_known.TryGetValue(kind, out IReadOnlyList<SandboxControl>? common))
        {
            _known[kind] = common = await TryInsideAsync(sandbox, cancellationToken);
        }

        long memory = limits.MemoryBytes + NamespacesSandbox.StarterMemoryBytes;
        int tasks = limits.Pids + NamespacesSandbox.StarterTasks;
        return
        [
            .. common,
            Checked("memory_limit", Number(limits.MemoryBytes), "cgroup", "limit read back from the kernel", Text(sandbox.Cgroup.MemoryLimit),
                sandbox.Cgroup.MemoryLimit is { } held && held <= memory && held > memory - (1 << 20)),
            Checked("pids_limit", Number(limits.Pids), "cgroup", "limit read back from the kernel, with the starter's own", Text(sandbox.Cgroup.PidsLimit), sandbox.Cgroup.PidsLimit == tasks),
            Checked("cpu_limit", limits.Cpus.ToString(CultureInfo.InvariantCulture), "cgroup", "quota and period read back from the kernel", sandbox.Cgroup.CpuLimit ?? "unreadable", sandbox.Cgroup.CpuLimit is not null),
            new("deadline", "per program", "this process kills the sandbox", "a program that sleeps was killed at its deadline", deadline),
            new("workspace_quota", Number(sandbox.Spec.WorkspaceBytes), sandbox.Spec.WorkspaceDirectory is null ? "tmpfs size" : "this process measures and kills; does not prevent", "not probed", "stated"),
            new("kernel", "shared kernel", "nothing: programs run on the host's own kernel, behind a seccomp deny list; for code that is trusted", "not probed", "stated"),
        ];
    }

    private static async Task<IReadOnlyList<SandboxControl>> TryInsideAsync(NamespacesSandbox sandbox, CancellationToken cancellationToken)
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
        bool Refused(string key) => Seen(key) is not ("worked" or "");
        SandboxLimits limits = sandbox.Spec.Limits;
        string[] inside = Seen("ns").Split(',');
        string[] shared = [.. Namespaces.Where((name, i) => i >= inside.Length || inside[i].Length == 0 || inside[i] == new FileInfo("/proc/self/ns/" + name).LinkTarget)];
        bool isReported = result.Violations.Any(violation => violation.ViolationType == "dangerous_socket_family") && result.Violations.Any(violation => violation.ViolationType == "namespace_escape");
        return
        [
            Checked("isolation", "namespaces; shared kernel", "bubblewrap: cgroup, ipc, mount, network, pid, user and uts namespaces", "links below /proc/self/ns against this process's",
                shared.Length == 0 ? "all differ" : "shared: " + string.Join(' ', shared), shared.Length == 0),
            Checked("network", "none", "a network namespace without a device but loopback", "connect to 192.0.2.1:80, and names of devices", $"{Seen("connect")}; {Seen("links")}", Refused("connect") && Seen("links") == "lo"),
            Checked("seccomp", "deny list", "two filters, one answered by this process", "Seccomp of /proc/self/status, and an AF_VSOCK socket", $"{Seen("seccomp")}, {Seen("vsock")}", Seen("seccomp").StartsWith("2/", StringComparison.Ordinal) && Refused("vsock")),
            Checked("nested_namespaces", "none", "seccomp and max_user_namespaces", "unshare(CLONE_NEWUSER)", Seen("nested"), Refused("nested")),
            Checked("violation_detection", "attempts are seen", "seccomp user notifications, answered before the call happens", "that socket and that unshare were reported", isReported ? "reported" : "not reported", isReported),
            Checked("user", "1000, no capabilities", "setpriv and a user namespace", "getuid, and the five capability sets", $"{Seen("user")}, {Seen("caps")}", Seen("user") == "1000" && Seen("caps").All(c => c is '0' or '/')),
            Checked("no_new_privileges", "1", "prctl", "NoNewPrivs of /proc/self/status", Seen("privileges"), Seen("privileges") == "1"),
            Checked("root_filesystem", "read-only", "EROFS image, mounted read-only", "mount option, and writes to /etc and /dev", $"{Seen("root")}, {Seen("write")}, {Seen("device")}", Seen("root") == "ro" && Refused("write") && Refused("device")),
            Checked("workspace_mount", "files only", "bind mount of one directory", "names in /workspace", Seen("workspace"), Seen("workspace") == "files"),
            Checked("rlimits", $"nofile {limits.OpenFiles}, fsize {limits.FileBytes}, core 0", "kernel", "getrlimit", $"nofile {Seen("nofile")}, fsize {Seen("fsize")}, core {Seen("core")}",
                Seen("nofile") == Number(limits.OpenFiles) && Seen("fsize") == Number(limits.FileBytes) && Seen("core") == "0"),
            Checked("tmp_size", Number(limits.TmpBytes), "tmpfs size", "statvfs", Seen("tmp"), long.TryParse(Seen("tmp"), CultureInfo.InvariantCulture, out long size) && size <= limits.TmpBytes),
            Checked("host_environment", "hidden", "the starter gets PATH alone", "/proc/1/environ", Seen("first").Split('\0')[0] is var first && first.Length == 0 ? "unreadable" : first[..Math.Min(first.Length, 40)],
                !Seen("first").Split('\0', StringSplitOptions.RemoveEmptyEntries).Any(variable => !variable.StartsWith("PATH=", StringComparison.Ordinal) && !variable.StartsWith("PWD=", StringComparison.Ordinal))),
        ];
    }
}
