using System.Net;

namespace Rynxs.Sandbox.Violations;

/// <summary>
/// The table of rules; the first match of an event decides. Prevention is the sandbox itself (gVisor's kernel, no network, read-only root): a rule
/// makes an attempt visible, and ends the program where the attempt alone proves intent.
/// </summary>
internal static class DetectionRules
{
    // Linux numbers of socket families and flags.
    private const int Inet = 2;
    private const int Inet6 = 10;
    private const int Key = 15;
    private const int Netlink = 16;
    private const int Packet = 17;
    private const int Rxrpc = 33;
    private const int Alg = 38;
    private const int Vsock = 40;
    private const int RawType = 3;
    private const int NetlinkXfrm = 6;
    private const ulong CloneNamespaces = 0x7e02_0000; // NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
    private const ulong CloneNewTime = 0x80; // in clone this bit belongs to the exit signal
    private const string NotNeeded = "Remove the attempt; the sandbox does not offer it.";
    private const string FamilyAdvice = "Use TCP, UDP or unix sockets; this family reaches kernel code with a history of escapes (CVE-2026-31431, CVE-2026-43284).";

    public static IReadOnlyList<DetectionRule> All { get; } =
    [
        Rule("device_access", Severity.High, "Opened a device that reaches memory, disks or the host", NotNeeded, new RuleMatch.OpenPath(
            "/dev/mem", "/dev/kmem", "/dev/port", "/dev/sd*", "/dev/vd*", "/dev/hd*", "/dev/xvd*", "/dev/nvme*", "/dev/loop*", "/dev/dm-*",
            "/dev/mapper/**", "/dev/disk/**", "/dev/kvm", "/dev/fuse", "/dev/vhost-*", "/dev/kmsg")),
        Rule("kernel_memory_access", Severity.High, "Opened an interface to the kernel's memory or controls", NotNeeded, new RuleMatch.OpenPath(
            "/proc/kcore", "/proc/kpagecount", "/proc/kpageflags", "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern",
            "/proc/sys/kernel/modprobe", "/sys/firmware/**", "/sys/kernel/debug/**", "/sys/kernel/security/**", "/sys/kernel/uevent_helper")),
        Rule("kernel_memory_access", Severity.High, "Tried to write a kernel control", NotNeeded, new RuleMatch.OpenPath(
            "/proc/kallsyms", "/proc/sys/kernel/**", "/proc/sys/vm/**", "/proc/sys/fs/binfmt_misc/**", "/sys/fs/cgroup/**") { WriteOnly = true }),
        Rule("process_memory_access", Severity.Medium, "Opened the memory of a process by number", "Use pipes or files between processes.",
            new RuleMatch.OpenPath("/proc/#/mem")),
        Rule("host_file_access", Severity.Low, "Opened a file that holds secrets of a host", "Give the program its own credentials, if any.",
            new RuleMatch.OpenPath("/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/sudoers", "/root/.ssh/**", "/etc/kubernetes/**", "/var/lib/kubelet/**",
                "/run/secrets/kubernetes.io/**", "/var/run/secrets/kubernetes.io/**", "/var/lib/docker/**")),

        // Recorded, not killed: client libraries probe for a container runtime when they are imported.
        Rule("container_runtime_access", Severity.Critical, "Reached for a container runtime's socket", "Ask for a sandbox through the API instead.",
            new RuleMatch.LocalSocket(
                ["docker.sock", "containerd.sock", "crio.sock", "podman.sock", "cri-dockerd.sock", "buildkitd.sock"], "/containerd-shim")),

        Rule("mount_attempt", Severity.High, "Tried to change mounts", NotNeeded, new RuleMatch.Call(
            SystemCalls.Mount, SystemCalls.Unmount, SystemCalls.PivotRoot, SystemCalls.OpenTree, SystemCalls.MoveMount, SystemCalls.FsOpen,
            SystemCalls.FsMount)),
        Rule("chroot_attempt", Severity.Medium, "Tried to change the root directory", NotNeeded, new RuleMatch.ChangeRoot()),
        Rule("namespace_escape", Severity.High, "Tried to make new namespaces", NotNeeded,
            new RuleMatch.Call(SystemCalls.Unshare) { Argument = 0, Mask = CloneNamespaces | CloneNewTime }),
        Rule("namespace_escape", Severity.High, "Tried to join a namespace", NotNeeded, new RuleMatch.Call(SystemCalls.SetNamespace)),
        Rule("namespace_escape", Severity.High, "Tried to start a process in new namespaces", NotNeeded, new RuleMatch.CloneFlags(CloneNamespaces)),
        Rule("file_handle_escape", Severity.High, "Opened a file by its handle, past every directory", NotNeeded, new RuleMatch.Call(SystemCalls.OpenByHandle)),
        Rule("ptrace_attempt", Severity.Medium, "Traced a process", "Debug outside of the sandbox.", new RuleMatch.Call(SystemCalls.Ptrace)),
        Rule("process_memory_access", Severity.Medium, "Read or wrote another process's memory", "Use pipes or files between processes.",
            new RuleMatch.Call(SystemCalls.ProcessVmRead, SystemCalls.ProcessVmWrite)),

        // Killed: no program that belongs in a sandbox loads kernel code or stops the machine.
        Rule("kernel_module", Severity.Critical, "Tried to load or remove a kernel module", NotNeeded, new RuleMatch.Call(
            SystemCalls.InitModule, SystemCalls.FinitModule, SystemCalls.DeleteModule), RuleAction.Kill),
        Rule("kexec", Severity.Critical, "Tried to start another kernel", NotNeeded, new RuleMatch.Call(
            SystemCalls.KexecLoad, SystemCalls.KexecFileLoad), RuleAction.Kill),
        Rule("system_control", Severity.Critical, "Tried to restart the machine", NotNeeded, new RuleMatch.Call(SystemCalls.Reboot), RuleAction.Kill),

        Rule("system_control", Severity.High, "Tried to control swap or I/O ports", NotNeeded, new RuleMatch.Call(
            SystemCalls.SwapOn, SystemCalls.IoPrivilege, SystemCalls.IoPermission)),
        Rule("bpf", Severity.High, "Used bpf", NotNeeded, new RuleMatch.Call(SystemCalls.Bpf)),
        Rule("perf_event", Severity.Medium, "Used performance events", "Profile outside of the sandbox.", new RuleMatch.Call(SystemCalls.PerfEventOpen)),
        Rule("userfaultfd", Severity.High, "Used userfaultfd, a common step of kernel exploits", NotNeeded, new RuleMatch.Call(SystemCalls.UserFault)),
        Rule("keyring", Severity.Medium, "Used the kernel's key rings", "Keep keys in the program.", new RuleMatch.Call(
            SystemCalls.AddKey, SystemCalls.RequestKey, SystemCalls.KeyControl)),

        // Low: some versions of libuv try it at start and fall back.
        Rule("io_uring", Severity.Low, "Used io_uring", "Use ordinary file calls.", new RuleMatch.Call(SystemCalls.IoUringSetup)),
        Rule("time_change", Severity.Medium, "Tried to set the clock", NotNeeded, new RuleMatch.Call(
            SystemCalls.SetTimeOfDay, SystemCalls.ClockSetTime)),

        Rule("raw_socket", Severity.High, "Opened a packet socket", NotNeeded, new RuleMatch.NewSocket(Packet)),
        Rule("raw_socket", Severity.High, "Opened a raw socket", NotNeeded, new RuleMatch.NewSocket(Inet) { Type = RawType }),
        Rule("raw_socket", Severity.High, "Opened a raw socket", NotNeeded, new RuleMatch.NewSocket(Inet6) { Type = RawType }),

        // Killed: these families serve the kernel's crypto and IPsec; agents have no use for them and recent escapes begin here.
        Rule("dangerous_socket_family", Severity.Critical, "Opened an AF_ALG socket", FamilyAdvice, new RuleMatch.NewSocket(Alg), RuleAction.Kill),
        Rule("dangerous_socket_family", Severity.Critical, "Opened an AF_KEY socket", FamilyAdvice, new RuleMatch.NewSocket(Key), RuleAction.Kill),
        Rule("dangerous_socket_family", Severity.Critical, "Opened an AF_RXRPC socket", FamilyAdvice, new RuleMatch.NewSocket(Rxrpc), RuleAction.Kill),
        Rule("dangerous_socket_family", Severity.Critical, "Opened an XFRM netlink socket", FamilyAdvice,
            new RuleMatch.NewSocket(Netlink) { Protocol = NetlinkXfrm }, RuleAction.Kill),

        // Recorded: tools that detect virtual machines open one.
        Rule("dangerous_socket_family", Severity.High, "Opened an AF_VSOCK socket", FamilyAdvice, new RuleMatch.NewSocket(Vsock)),

        // Recorded: cloud client libraries ask for credentials there by default.
        Rule("metadata_access", Severity.Critical, "Reached for a cloud's metadata service", "Pass credentials through the gateway; never read them from the host.",
            new RuleMatch.Address(
                IPAddress.Parse("169.254.169.254"), IPAddress.Parse("100.100.100.200"), IPAddress.Parse("168.63.129.16"),
                IPAddress.Parse("169.254.170.2"), IPAddress.Parse("fd00:ec2::254"))),
        Rule("network_egress", Severity.Medium, "Reached for the network", "Use the gateway's tools; the sandbox has no network.", new RuleMatch.NotLoopback()),
    ];

    private static DetectionRule Rule(
        string type, Severity severity, string description, string remediation, RuleMatch match, RuleAction action = RuleAction.Record) =>
        new() { Type = type, Severity = severity, Description = description, Remediation = remediation, Match = match, Action = action };
}
