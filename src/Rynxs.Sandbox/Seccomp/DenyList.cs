namespace Rynxs.Sandbox.Seccomp;

/// <summary>
/// What a program in the namespaces tier may not ask of the host's kernel: the one list from which the filter, the profile for containerd and the table in
/// docs/security/namespaces-tier.md are made. Every call is listed for what it opens, with capabilities or without: a program here has none.
/// </summary>
/// <remarks>
/// The controller that this follows denied fork, vfork, clone, execve and execveat, too, and allowed no way to open a file, so nothing could start. Here new processes are allowed and
/// counted (pids cgroup), and clone is denied by its namespace flags. clone3 has its flags in memory, which a filter cannot read: it is said not to exist, and the C library uses clone.
/// </remarks>
internal static class DenyList
{
    private const int NoSuchCall = 38, NoSuchFamily = 97;

    /// <summary>NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWNS. NEWTIME cannot be asked of clone: its bit is the exit signal's.</summary>
    private const uint NamespaceFlags = 0x7e02_0000;

    private const uint Inet = 2, Inet6 = 10, Netlink = 16;
    private const uint SocketKind = 0xf; // The rest of a socket's type is flags.

    // unix, inet, inet6 and netlink are all that a program without a network has a use for; the others load and reach kernel code that nothing else here does.
    private static readonly uint[] AllowedFamilies = [1, Inet, Inet6, Netlink];
    private const uint FamiliesKnown = 46;

    private static readonly DeniedWhen[] Families =
    [
        .. Enumerable.Range(0, (int)FamiliesKnown).Select(family => (uint)family).Except(AllowedFamilies).Select(family => new DeniedWhen(
            FamilyName(family), new ArgumentTest.Equal(0, family))),
        new DeniedWhen("any family that came later", new ArgumentTest.AtLeast(0, FamiliesKnown)),
    ];

    private static readonly DeniedWhen[] Sockets =
    [
        .. Families,
        new DeniedWhen("netlink but for routes (XFRM: CVE-2026-43284)", new ArgumentTest.Equal(0, Netlink), new ArgumentTest.AtLeast(2, 1)),
        .. ((uint[])[Inet, Inet6]).SelectMany(family => (DeniedWhen[])
        [
            Kind(family, 3, "raw"),
            Kind(family, 5, "SCTP"),
            Kind(family, 6, "DCCP"),
            Kind(family, 10, "packets"),
            new DeniedWhen("SCTP", new ArgumentTest.Equal(0, family), new ArgumentTest.Equal(2, 132)),
        ]),
    ];

    public static IReadOnlyList<DeniedCall> All { get; } =
    [
        .. Group("A namespace of its own gives a program capabilities over kernel code that is otherwise out of reach (CVE-2022-0492 and most kernel escapes since).",
            Call("unshare", 272, 97), Call("setns", 308, 268),
            Call("clone", 56, 220) with { When = [new("a namespace flag", new ArgumentTest.AnyBit(0, NamespaceFlags))] },
            Call("clone3", 435, 435) with { Error = NoSuchCall }),
        .. Group("Mounts decide what a path means.",
            Call("mount", 165, 40), Call("umount2", 166, 39), Call("pivot_root", 155, 41), Call("chroot", 161, 51), Call("open_tree", 428, 428), Call("move_mount", 429, 429),
            Call("fsopen", 430, 430), Call("fsconfig", 431, 431), Call("fsmount", 432, 432), Call("fspick", 433, 433), Call("mount_setattr", 442, 442), Call("open_tree_attr", 467, 467)),
        .. Group("Reaches into another process.",
            Call("ptrace", 101, 117), Call("process_vm_readv", 310, 270), Call("process_vm_writev", 311, 271), Call("process_madvise", 440, 440), Call("kcmp", 312, 272),
            Call("pidfd_getfd", 438, 438)),
        .. Group("Code or settings of the kernel itself.",
            Call("init_module", 175, 105), Call("finit_module", 313, 273), Call("delete_module", 176, 106), Call("create_module", 174, null), Call("query_module", 178, null),
            Call("get_kernel_syms", 177, null), Call("kexec_load", 246, 104), Call("kexec_file_load", 320, 294), Call("reboot", 169, 142), Call("syslog", 103, 116),
            Call("acct", 163, 89), Call("swapon", 167, 224), Call("swapoff", 168, 225), Call("quotactl", 179, 60), Call("quotactl_fd", 443, 443),
            Call("sethostname", 170, 161), Call("setdomainname", 171, 162), Call("vhangup", 153, 58), Call("nfsservctl", 180, 42), Call("_sysctl", 156, null), Call("sysfs", 139, null),
            Call("ustat", 136, null), Call("uselib", 134, null), Call("lookup_dcookie", 212, 18)),
        .. Group("The host's clock.",
            Call("settimeofday", 164, 170), Call("clock_settime", 227, 112), Call("adjtimex", 159, 171), Call("clock_adjtime", 305, 266)),
        .. Group("I/O ports and segments of the processor.", Call("iopl", 172, null), Call("ioperm", 173, null), Call("modify_ldt", 154, null)),
        .. Group("Opens files past every directory, or watches whole mounts (the \"shocker\" escape: a handle leads out of a container).",
            Call("name_to_handle_at", 303, 264), Call("open_by_handle_at", 304, 265), Call("fanotify_init", 300, 262)),
        .. Group("Large, young parts of the kernel that most escapes of the last years went through.",
            Call("bpf", 321, 280), Call("userfaultfd", 323, 282), Call("perf_event_open", 298, 241)),
        .. Group("As above; libraries try it and do without.",
            Call("io_uring_setup", 425, 425) with { Error = NoSuchCall }, Call("io_uring_enter", 426, 426) with { Error = NoSuchCall },
            Call("io_uring_register", 427, 427) with { Error = NoSuchCall }),
        .. Group("Key rings are the host user's, not the sandbox's (CVE-2016-0728).", Call("keyctl", 250, 219), Call("add_key", 248, 217), Call("request_key", 249, 218)),
        .. Group("Switches off address randomisation, or makes all memory executable.", Call("personality", 135, 92)),
        .. Group("Moves pages of other processes.", Call("move_pages", 279, 239), Call("migrate_pages", 256, 238)),
        .. Group("Types into the terminal that started the server (CVE-2017-5226, CVE-2023-28100).",
            Call("ioctl", 16, 29)
            with
            {
                When = [new("TIOCSTI", new ArgumentTest.Equal(1, 0x5412)), new("TIOCLINUX", new ArgumentTest.Equal(1, 0x541c))],
            }),
        .. Group("Families of sockets whose kernel code has a history of escapes: AF_ALG (CVE-2026-31431), AF_RXRPC (CVE-2026-43500), AF_KEY and XFRM (CVE-2026-43284), AF_PACKET, AF_VSOCK.",
            Call("socket", 41, 198) with { Error = NoSuchFamily, When = Sockets },
            Call("socketpair", 53, 199) with { Error = NoSuchFamily, When = Families }),
    ];

    private static IEnumerable<DeniedCall> Group(string why, params DeniedCall[] calls) => calls.Select(call => call with { Why = why });

    private static DeniedCall Call(string name, int amd64, int? arm64) => new(name, amd64, arm64) { Why = "" };

    private static DeniedWhen Kind(uint family, uint kind, string meaning) =>
        new(meaning, new ArgumentTest.Equal(0, family), new ArgumentTest.Equal(1, kind, SocketKind));

    private static string FamilyName(uint family) => family switch
    {
        15 => "AF_KEY",
        17 => "AF_PACKET",
        33 => "AF_RXRPC",
        38 => "AF_ALG",
        40 => "AF_VSOCK",
        _ => "family " + family.ToString(System.Globalization.CultureInfo.InvariantCulture),
    };
}
