namespace Rynxs.Sandbox.Tests.Namespaces;

/// <summary>
/// A program that tries to do what it must not. It prints "control ok" when what is allowed works the same way, and a line that ends in "worked" for each thing that it got away with.
/// </summary>
/// <param name="Name">With its code in the catalogue of attacks.</param>
/// <param name="Script">Python.</param>
public sealed record Attack(string Name, string Script)
{
    private const string Prelude = """
        import os,sys,socket,ctypes,errno,subprocess
        libc=ctypes.CDLL(None,use_errno=True); libc.syscall.restype=ctypes.c_long
        def t(name,f):
            try: f(); print(name,'worked',flush=True)
            except OSError as e: print(name,errno.errorcode.get(e.errno,e.errno),flush=True)
        def call(*a):
            r=libc.syscall(*[ctypes.c_long(x) if isinstance(x,int) else x for x in a])
            if r==-1: raise OSError(ctypes.get_errno(),'')
            return r
        def ok(b): print('control ok' if b else 'control bad',flush=True)

        """;

    /// <summary>The violation that must be on the account; null when nothing is reported.</summary>
    public string? Reported { get; init; }

    /// <summary>A rule ends the sandbox at the attempt.</summary>
    public bool IsKilled { get; init; }

    /// <summary>Harmless enough to be made outside of a sandbox, by a user without rights, and successful there.</summary>
    public bool WorksOutside { get; init; }

    public string Program => Prelude + Script;

    /// <summary>Null when the sandbox held, else what went wrong.</summary>
    public string? Failure(ExecutionResult result)
    {
        string[] lines = result.Out().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string[] worked = [.. lines.Where(line => line.EndsWith(" worked", StringComparison.Ordinal))];
        return !lines.Contains("control ok") ? "the positive control failed: " + result.Describe()
            : worked.Length > 0 ? string.Join(", ", worked)
            : IsKilled != (result.Reason == TerminationReason.SecurityViolation) ? $"ended with {result.Reason}: {result.Describe()}"
            : !IsKilled && result.ExitCode != 0 ? "the attack itself failed: " + result.Describe()
            : !IsKilled && lines.Length < 2 ? "nothing was tried"
            : Reported is { } type && result.Violations.All(violation => violation.ViolationType != type) ? $"no violation {type}: {result.Describe()}"
            : null;
    }

    public override string ToString() => Name;

    public static IReadOnlyList<Attack> All { get; } =
    [
        new("A5_Copy_Fail_CVE_2026_31431_AF_ALG", "ok(socket.socket())\nt('alg',lambda:socket.socket(38,5,0))") { Reported = "dangerous_socket_family", IsKilled = true, WorksOutside = true },
        new("A6_Dirty_Frag_CVE_2026_43284_XFRM", "ok(socket.socket(16,3,0))\nt('xfrm',lambda:socket.socket(16,3,6))") { Reported = "dangerous_socket_family", IsKilled = true, WorksOutside = true },
        new("A6_AF_KEY", "ok(socket.socket())\nt('key',lambda:socket.socket(15,3,2))") { Reported = "dangerous_socket_family", IsKilled = true },
        new("A6_Dirty_Frag_CVE_2026_43500_AF_RXRPC", "ok(socket.socket())\nt('rxrpc',lambda:socket.socket(33,2,2))") { Reported = "dangerous_socket_family", IsKilled = true },
        new("A5_other_families_of_sockets", "ok(socket.socket(10,1))\nfor f in list(range(3,10))+list(range(11,15))+list(range(17,33))+[34,35,36,37]+list(range(39,60)): t(f'family {f}',lambda:socket.socket(f,2))\n"
            + "t('raw',lambda:socket.socket(2,3,1))\nt('packet',lambda:socket.socket(17,3))\nt('sctp',lambda:socket.socket(2,1,132))") { Reported = "raw_socket" },
        new("A8_cgroup_release_agent_CVE_2022_0492", "ok(os.listdir('/proc'))\n"
            + "t('unshare user and cgroup',lambda:call(272,0x12000000))\nt('mount cgroup',lambda:call(165,b'none',b'/tmp',b'cgroup',0,b'memory'))\n"
            + "t('list cgroups',lambda:os.listdir('/sys/fs/cgroup'))\nt('release_agent',lambda:open('/sys/fs/cgroup/memory/release_agent','w'))") { Reported = "namespace_escape", WorksOutside = true },
        new("A9_io_uring_bpf_userfaultfd_keyctl_perf", "ok(call(39))\nb=ctypes.create_string_buffer(256)\n"
            + "t('io_uring',lambda:call(425,4,b))\nt('bpf',lambda:call(321,0,b,128))\nt('userfaultfd',lambda:call(323,1))\nt('keyctl',lambda:call(250,0,-3,1))\n"
            + "t('add_key',lambda:call(248,b'user',b'x',b'y',1,-2))\nt('request_key',lambda:call(249,b'user',b'x',0,-2))\nt('perf',lambda:call(298,b,0,-1,-1,0))") { Reported = "keyring", WorksOutside = true },
        new("A15_devices_and_runtime_sockets", "ok(open('/dev/null'))\n"
            + "for p in ('/dev/kvm','/dev/fuse','/dev/mem','/dev/vda','/dev/loop0','/dev/kmsg','/var/run/docker.sock','/run/containerd/containerd.sock','/run/rynxs'): t(p,lambda:os.stat(p))\n"
            + "t('mknod',lambda:os.mknod('/tmp/m',0o20666,os.makedev(1,1)))") { WorksOutside = true },
        new("A15_nested_namespaces", "ok(os.fork() or os._exit(0))\nt('unshare',lambda:call(272,0x10000000))\nt('clone',lambda:call(56,0x10000011,0,0,0,0) or os._exit(0))\nt('setns',lambda:call(308,os.open('/proc/self/ns/user',0),0x10000000))\n"
            + "t('clone3',lambda:call(435,(ctypes.c_ulong*11)(0x10000000,0,0,0,17),88) or os._exit(0))\nt('settings',lambda:open('/proc/sys/user/max_user_namespaces','w').write('9'))") { Reported = "namespace_escape", WorksOutside = true },
        new("A16_kernel_interfaces", "ok(open('/proc/self/status'))\n"
            + "for p in ('/proc/sys/kernel/core_pattern','/proc/sys/kernel/modprobe','/proc/sysrq-trigger','/proc/sys/vm/overcommit_memory','/proc/sys/fs/binfmt_misc/register','/proc/irq/default_smp_affinity'): t('write '+p,lambda:open(p,'w'))\n"
            + "for p in ('/proc/kcore','/proc/keys','/proc/timer_list','/sys/firmware','/sys/kernel','/proc/kpagecount'): t('read '+p,lambda:(os.listdir(p) if os.path.isdir(p) else open(p,'rb').read(1)))") { WorksOutside = true },
        new("A1_overwrite_of_the_starter_CVE_2019_5736", "ok(os.readlink('/proc/self/exe'))\nt('write',lambda:open('/proc/1/exe','wb'))\nt('self',lambda:open('/proc/self/exe','wb'))"),
        new("A3_leaked_descriptors_and_directories_CVE_2024_21626", "ok(os.getcwd()=='/workspace/files')\nn=os.open('/dev/null',0)\n"
            + "for f in os.listdir('/proc/self/fd'):\n  if int(f)>2 and int(f)<n: print('fd',f,'worked')\n"
            + "for p in ('self','1'):\n  for f in os.listdir(f'/proc/{p}/fd'):\n    try: l=os.readlink(f'/proc/{p}/fd/{f}')\n    except OSError: continue\n    if l.startswith('/') and l!='/dev/null': print('file',p,f,l,'worked')\nt('above',lambda:os.stat('../../../../../../work'))"),
        new("ptrace_and_memory_of_other_processes", "ok(os.getpid())\nt('ptrace',lambda:call(101,16,1,0,0))\nt('traceme',lambda:call(101,0,0,0,0))\nt('vm_readv',lambda:call(310,1,0,0,0,0,0))\nt('mem',lambda:open('/proc/1/mem','rb').read(1))") { Reported = "ptrace_attempt", WorksOutside = true },
        new("mounts_and_roots", "ok(os.statvfs('/tmp'))\nt('mount',lambda:call(165,b'none',b'/tmp',b'tmpfs',0,0))\nt('umount',lambda:call(166,b'/tmp',2))\nt('chroot',lambda:os.chroot('/tmp'))\nt('pivot',lambda:call(155,b'/',b'/tmp'))\n"
            + "t('open_tree',lambda:call(428,-100,b'/',1))\nt('root',lambda:open('/x','w'))\nt('usr',lambda:open('/usr/bin/x','w'))\nt('dev',lambda:open('/dev/x','w'))") { Reported = "mount_attempt" },
        new("modules_end_the_sandbox", "ok(call(39))\nt('init_module',lambda:call(175,0,0,0))") { Reported = "kernel_module", IsKilled = true },
        new("reboot_ends_the_sandbox", "ok(call(39))\nt('reboot',lambda:call(169,0,0,0,0))") { Reported = "system_control", IsKilled = true },
        new("other_processes_of_the_host", "ok(os.getpid())\nfor p in os.listdir('/proc'):\n  if p.isdigit() and int(p)>2 and int(p)!=os.getpid(): print('process',p,'worked')\nos.kill(1,9)\nprint('first process still there')") { WorksOutside = false },
        new("the_network_of_the_host", "ok([n for _,n in socket.if_nameindex()])\nfor _,n in socket.if_nameindex():\n  if n!='lo': print('device',n,'worked')\n"
            + "t('connect',lambda:socket.create_connection(('192.0.2.1',80),1))\nt('port of the host',lambda:socket.create_connection(('127.0.0.1',int(os.environ['LISTENER'])),1))") { WorksOutside = true },
        new("host_secrets", "ok('OUTSIDE' in os.environ or os.listdir('/workspace')==['files'])\nt('secret of the owner',lambda:open(os.environ['SECRET_FILE']).read())\n"
            + "t('beside the workspace',lambda:open('/workspace/files/../inbox.jsonl').read())\nt('by the first process',lambda:open('/proc/1/root'+os.environ['SECRET_FILE']).read())\n"
            + "e=open('/proc/1/environ').read() if os.access('/proc/1/environ',4) else ''\nprint('environment','worked' if 'HOME' in e or 'RYNXS' in e else 'hidden')\n"
            + "t('state',lambda:os.listdir('/var/lib/rynxs'))\nt('shadow',lambda:open('/etc/shadow').read())") { WorksOutside = true },
        new("terminal_injection_CVE_2017_5226_CVE_2023_28100", "import fcntl,pty\nm,s=pty.openpty()\nok(fcntl.ioctl(s,0x5413,b'\\0'*8))\nt('TIOCSTI',lambda:fcntl.ioctl(s,0x5412,b'x'))\nt('TIOCLINUX',lambda:fcntl.ioctl(s,0x541c,b'\\x0b'))\n"
            + "t('64 bits',lambda:call(16,s,0x5412|(1<<33),b'x'))\nt('controlling terminal',lambda:open('/dev/tty'))"),
    ];
}
