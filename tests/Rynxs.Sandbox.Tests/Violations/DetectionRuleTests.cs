using FsCheck;
using FsCheck.Fluent;
using Rynxs.Sandbox.Violations;
using static Rynxs.Sandbox.Tests.Violations.Packets;

namespace Rynxs.Sandbox.Tests.Violations;

public sealed class DetectionRuleTests
{
    private readonly ViolationDetector _detector = new();

    [Theory]
    [InlineData("/dev/mem", 0, "device_access")]
    [InlineData("../../dev//./sda1", 0, "device_access")]
    [InlineData("/proc/self/root/dev/kvm", 0, "device_access")]
    [InlineData("/dev/mapper/root", 0, "device_access")]
    [InlineData("/proc/kcore", 0, "kernel_memory_access")]
    [InlineData("/proc/sysrq-trigger", 1, "kernel_memory_access")]
    [InlineData("/proc/sys/kernel/core_pattern", 1, "kernel_memory_access")]
    [InlineData("/sys/firmware/acpi/tables/DSDT", 0, "kernel_memory_access")]
    [InlineData("/sys/fs/cgroup/x/release_agent", 1, "kernel_memory_access")]
    [InlineData("/proc/kallsyms", 1, "kernel_memory_access")]
    [InlineData("/proc/12/mem", 2, "process_memory_access")]
    [InlineData("/etc/shadow", 0, "host_file_access")]
    [InlineData("/root/.ssh/id_ed25519", 0, "host_file_access")]
    [InlineData("/var/run/docker.sock", 2, "container_runtime_access")]
    [InlineData("/dev/null", 2, null)]
    [InlineData("/dev/urandom", 0, null)]
    [InlineData("/dev/shm/sda", 2, null)]
    [InlineData("/dev/stdin", 0, null)]
    [InlineData("/workspace/dev/mem", 0, null)]
    [InlineData("dev/mem", 0, null)]
    [InlineData("/dev/memory", 0, null)]
    [InlineData("/proc/self/maps", 0, null)]
    [InlineData("/proc/self/mem", 0, null)]
    [InlineData("/proc/kallsyms", 0, null)]
    [InlineData("/proc/sys/kernel/hostname", 0, null)]
    [InlineData("/sys/fs/cgroup/memory.max", 0, null)]
    [InlineData("/sys/devices/system/cpu/online", 0, null)]
    [InlineData("/etc/passwd", 0, null)]
    [InlineData("/root/.sshx", 0, null)]
    [InlineData("/workspace/docker.socket", 0, null)]
    public void A5_A15_A16_opened_paths(string path, int flags, string? type) =>
        Observe(Packet(7, 0, Context(), Exit(0, 2), Number(3, 257), Number(4, AtFdCwd), Text(6, path), Number(7, (ulong)flags))).ShouldBe(type);

    [Fact]
    public void A_path_relative_to_a_directory_descriptor_is_resolved()
    {
        Observe(Packet(7, 0, Context(), Exit(0, 2), Number(4, 3), Text(5, "/dev"), Text(6, "mem"))).ShouldBe("device_access");
        Observe(Packet(7, 0, Context(), Exit(0, 2), Number(4, 3), Text(5, "/tmp"), Text(6, "mem"))).ShouldBeNull();
    }

    [Theory]
    [InlineData(165, 0ul, "mount_attempt")]
    [InlineData(166, 0ul, "mount_attempt")]
    [InlineData(155, 0ul, "mount_attempt")]
    [InlineData(430, 0ul, "mount_attempt")]
    [InlineData(272, 0x10000000ul, "namespace_escape")]
    [InlineData(272, 0x400ul, null)] // CLONE_FILES
    [InlineData(308, 3ul, "namespace_escape")]
    [InlineData(304, 0ul, "file_handle_escape")]
    [InlineData(101, 16ul, "ptrace_attempt")]
    [InlineData(310, 1ul, "process_memory_access")]
    [InlineData(175, 0ul, "kernel_module")]
    [InlineData(313, 0ul, "kernel_module")]
    [InlineData(246, 0ul, "kexec")]
    [InlineData(169, 0ul, "system_control")]
    [InlineData(172, 3ul, "system_control")]
    [InlineData(321, 0ul, "bpf")]
    [InlineData(298, 0ul, "perf_event")]
    [InlineData(323, 0ul, "userfaultfd")]
    [InlineData(250, 0ul, "keyring")]
    [InlineData(425, 0ul, "io_uring")]
    [InlineData(164, 0ul, "time_change")]
    [InlineData(227, 0ul, "time_change")]
    [InlineData(435, 0ul, null)]
    [InlineData(39, 0ul, null)]
    public void A9_calls_by_number(int number, ulong argument, string? type) =>
        Observe(Packet(6, 0, Context(), Exit(-1, 1), Number(4, (ulong)number), Number(5, argument))).ShouldBe(type);

    [Theory]
    [InlineData(38, 5, 0, "dangerous_socket_family", true)]
    [InlineData(15, 3, 2, "dangerous_socket_family", true)]
    [InlineData(33, 2, 0, "dangerous_socket_family", true)]
    [InlineData(16, 0x80003, 6, "dangerous_socket_family", true)]
    [InlineData(40, 1, 0, "dangerous_socket_family", false)]
    [InlineData(17, 3, 768, "raw_socket", false)]
    [InlineData(2, 0x80003, 1, "raw_socket", false)]
    [InlineData(10, 3, 58, "raw_socket", false)]
    [InlineData(16, 0x80003, 0, null, false)] // glibc's route socket
    [InlineData(2, 0x80801, 6, null, false)]
    [InlineData(2, 2, 17, null, false)]
    [InlineData(1, 1, 0, null, false)]
    public void A5_A6_socket_families(int domain, int kind, int protocol, string? type, bool kills)
    {
        byte[] packet = Packet(12, 0, Context(), Number(3, 41), Number(4, (ulong)domain), Number(5, (ulong)kind), Number(6, (ulong)protocol));
        Detection? detection = _detector.Observe(Decode(packet));
        (detection as Detection.Attempt)?.Rule.Type.ShouldBe(type);
        (detection is null).ShouldBe(type is null);
        (detection is Detection.Attempt { Kill: true }).ShouldBe(kills);
    }

    [Theory]
    [InlineData("169.254.169.254", "metadata_access")]
    [InlineData("::ffff:169.254.169.254", "metadata_access")]
    [InlineData("100.100.100.200", "metadata_access")]
    [InlineData("168.63.129.16", "metadata_access")]
    [InlineData("fd00:ec2::254", "metadata_access")]
    [InlineData("169.254.169.253", "network_egress")]
    [InlineData("8.8.8.8", "network_egress")]
    [InlineData("::ffff:8.8.8.8", "network_egress")]
    [InlineData("2001:4860:4860::8888", "network_egress")]
    [InlineData("127.0.0.1", null)]
    [InlineData("127.9.9.9", null)]
    [InlineData("::1", null)]
    [InlineData("::ffff:127.0.0.1", null)]
    [InlineData("0.0.0.0", null)]
    public void C5_connections(string address, string? type) =>
        Observe(Packet(10, 0, Context(), Exit(-1, 113), Number(3, 42), Bytes(6, Inet(address, 80)))).ShouldBe(type);

    [Theory]
    [InlineData("/var/run/docker.sock", "container_runtime_access")]
    [InlineData("../../run/containerd/containerd.sock", "container_runtime_access")]
    [InlineData("\0/containerd-shim/x.sock", "container_runtime_access")]
    [InlineData("/var/run/nscd/socket", null)]
    [InlineData("/tmp/mydocker.sock", null)]
    [InlineData("\0dbus", null)]
    public void A15_local_sockets(string path, string? type) =>
        Observe(Packet(10, 0, Context(), Exit(-1, 2), Number(3, 42), Bytes(6, Unix(path)))).ShouldBe(type);

    [Fact]
    public void Clone_with_namespaces_and_chroot_are_seen_and_fork_is_not()
    {
        Observe(Packet(23, 0, Context(), Exit(-1, 1), Number(3, 56), Number(4, 0x10000011))).ShouldBe("namespace_escape");
        Observe(Packet(23, 0, Context(), Exit(5, 0), Number(3, 56), Number(4, 0x1200011))).ShouldBeNull();
        Observe(Packet(29, 0, Context(), Exit(5, 0), Number(3, 57))).ShouldBeNull();
        Observe(Packet(21, 0, Context(), Exit(-1, 1), Number(3, 161), Text(4, "/tmp"))).ShouldBe("chroot_attempt");
    }

    [Fact]
    public void A_refused_process_is_a_limit_and_no_violation()
    {
        _detector.Observe(Decode(Packet(23, 0, Context(), Exit(-1, 11), Number(3, 56)))).ShouldBeOfType<Detection.ProcessLimitHit>();
        _detector.Observe(Decode(Packet(6, 0, Context(), Exit(-1, 11), Number(4, 435)))).ShouldBeOfType<Detection.ProcessLimitHit>();
        _detector.Violations().ShouldBeEmpty();
    }

    [Fact]
    public void Entry_and_exit_are_one_attempt_and_the_exit_says_whether_it_was_blocked()
    {
        byte[][] connect = [Number(3, 42), Bytes(6, Inet("8.8.8.8", 53))];
        Observe(Packet(10, 0, [Context(), .. connect])).ShouldBe("network_egress");
        _detector.Violations().ShouldHaveSingleItem().Blocked.ShouldBeFalse();
        _detector.Violations()[0].Indicators["outcome"].ShouldBe("unknown");
        Observe(Packet(10, 0, [Context(), Exit(-1, 113), .. connect])).ShouldBeNull();
        Violation violation = _detector.Violations().ShouldHaveSingleItem();
        violation.Blocked.ShouldBeTrue();
        violation.Indicators["count"].ShouldBe("1");
        violation.Indicators["errno"].ShouldBe("113");
        violation.Indicators["target"].ShouldBe("8.8.8.8:53");
        Observe(Packet(10, 0, [Context(), Exit(0, 0), .. connect])).ShouldBeNull();
        _detector.Violations().ShouldHaveSingleItem().Blocked.ShouldBeFalse("one of the two succeeded");
    }

    [Fact]
    public void F4_indicators_are_printable_and_bounded()
    {
        Observe(Packet(7, 0, Context(process: "evil\u001b[2J\n\u00e9"), Exit(0, 2), Number(4, AtFdCwd), Text(6, "/dev/sda\r\n\\" + new string('x', 1000)))).ShouldBe("device_access");
        Violation violation = _detector.Violations().ShouldHaveSingleItem();
        violation.Indicators["process"].ShouldBe("evil\\x1b[2J\\x0a\\xe9");
        violation.Indicators["target"].ShouldStartWith("/dev/sda\\x0d\\x0a\\x5cxxx");
        violation.Indicators.Count.ShouldBeLessThanOrEqualTo(16);
        violation.Indicators.Values.ShouldAllBe(v => v.Length <= 256);
        Prop.ForAll<string>(text => ViolationDetector.Sanitise(text ?? "") is var safe && safe.Length <= 256 && safe.All(c => c is >= ' ' and <= '~'))
            .QuickCheckThrowOnFailure();
    }

    [Fact]
    public void G6_many_attempts_are_counted_then_one_flood()
    {
        for (int i = 0; i < 1000; i++)
        {
            _detector.Observe(Decode(Packet(7, 0, Context(), Exit(0, 2), Number(4, AtFdCwd), Text(6, $"/dev/sd{i}"))));
            _detector.Observe(Decode(Packet(7, 0, Context(), Exit(0, 2), Number(4, AtFdCwd), Text(6, "/dev/sd0"))));
        }

        IReadOnlyList<Violation> violations = _detector.Violations();
        violations.Count.ShouldBe(ViolationDetector.MaxViolations + 1);
        violations[0].Indicators["count"].ShouldBe("1001");
        violations[^1].ViolationType.ShouldBe("violation_flood");
        violations[^1].Indicators["count"].ShouldBe((1000 - ViolationDetector.MaxViolations).ToString(System.Globalization.CultureInfo.InvariantCulture));
        (_detector.Observe(Decode(Packet(12, 0, Context(), Number(4, 38)))) is Detection.Attempt { Kill: true }).ShouldBeTrue();
        _detector.Reset();
        _detector.Violations().ShouldBeEmpty();
    }

    [Fact]
    public void A_normalised_path_is_plain_and_normalising_again_changes_nothing()
    {
        Gen<string> paths = Gen.Elements("..", ".", "", "a", "proc", "self", "root", "dev").ListOf().Select(parts => string.Join('/', parts));
        Prop.ForAll(Arb.From(paths), path =>
        {
            string plain = GuestPath.Normalise(path);
            return plain.StartsWith('/') && (plain == "/" || plain[1..].Split('/').All(p => p is not ("" or "." or ".."))) && GuestPath.Normalise(plain) == plain;
        }).QuickCheckThrowOnFailure();
    }

    private string? Observe(byte[] packet) => (_detector.Observe(Decode(packet)) as Detection.Attempt)?.Rule.Type;

    private static TraceEvent Decode(byte[] packet)
    {
        TraceDecoder.TryDecode(packet, out TraceEvent? decoded, out _).ShouldBeTrue();
        return decoded.ShouldNotBeNull();
    }
}
