using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.Versioning;
using System.Text.Json;
using Rynxs.Sandbox.Violations;
using static Rynxs.Sandbox.Tests.Violations.Packets;

namespace Rynxs.Sandbox.Tests.Violations;

/// <summary>The receiver against a socket, and the whole way against real sandboxes.</summary>
[SupportedOSPlatform("linux")]
public sealed class TraceSessionTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("rynxs-trace-").FullName;
    private readonly List<TraceEvent> _events = [];

    private string SocketPath => Path.Combine(_directory, "t.sock");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task The_receiver_shakes_hands_counts_losses_and_tells_the_end()
    {
        await using TraceReceiver receiver = TraceReceiver.Listen(SocketPath, _events.Add);
        File.GetUnixFileMode(SocketPath).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        using (var sender = await ConnectAsync())
        {
            await receiver.Connected.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
            sender.Send(Packet(12, 5, Context(), Number(4, 38)));
            sender.Send([1, 2, 3]);
            using Socket second = new(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
            Should.Throw<SocketException>(() => second.Connect(new UnixDomainSocketEndPoint(SocketPath)));
        }

        TraceEnd end = await receiver.Completion.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        end.ShouldBeOfType<TraceEnd.EndOfStream>();
        _events.ShouldHaveSingleItem().ShouldBeOfType<TraceEvent.Socket>();
        receiver.Dropped.ShouldBe(6);
        receiver.Received.ShouldBe(2);
        File.Exists(SocketPath).ShouldBeFalse();
    }

    [Fact]
    public async Task Disposing_ends_a_receiver_in_every_state()
    {
        TraceReceiver waiting = TraceReceiver.Listen(SocketPath, _events.Add);
        await waiting.DisposeAsync();
        (await waiting.Completion).ShouldBeOfType<TraceEnd.Stopped>();
        waiting.Connected.IsCanceled.ShouldBeTrue();

        TraceReceiver connected = TraceReceiver.Listen(SocketPath, _events.Add);
        using Socket sender = await ConnectAsync();
        await connected.Connected.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        await connected.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        (await connected.Completion).ShouldBeOfType<TraceEnd.Stopped>();
        File.Exists(SocketPath).ShouldBeFalse();
    }

    [Fact]
    public async Task A_consumer_that_throws_ends_the_session_as_failed()
    {
        await using TraceReceiver receiver = TraceReceiver.Listen(SocketPath, _ => throw new InvalidOperationException("consumer"));
        using Socket sender = await ConnectAsync();
        sender.Send(Packet(12, 0, Context(), Number(4, 38)));
        TraceEnd end = await receiver.Completion.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        end.ShouldBeOfType<TraceEnd.Failed>().Cause.Message.ShouldBe("consumer");
    }

    [Fact]
    public void A_directory_that_others_may_enter_is_refused()
    {
        File.SetUnixFileMode(_directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.OtherExecute);
        Should.Throw<InvalidOperationException>(() => TraceReceiver.Listen(SocketPath, _events.Add));
    }

    [Fact]
    public void Every_point_is_known_to_this_runsc()
    {
        string metadata = Run(RunscOrSkip(), "trace", "metadata");
        var known = metadata.Split('\n')
            .Where(line => line.StartsWith("Name: ", StringComparison.Ordinal) && line.Contains(", optional", StringComparison.Ordinal))
            .ToDictionary(line => line["Name: ".Length..line.IndexOf(',', StringComparison.Ordinal)]);
        foreach (TracePoint point in TraceSessionConfig.Points)
        {
            known.ShouldContainKey(point.Name);
            string fields = known[point.Name].Replace("task_start_time", "", StringComparison.Ordinal);
            if (point.OptionalField is not null)
            {
                fields.ShouldContain(point.OptionalField);
            }

            point.ContextFields.ShouldAllBe(field => fields.Contains(field));
        }

        TraceSessionConfig.Points.Select(p => p.Name).ShouldBeUnique();
    }

    [Fact]
    public async Task A5_A9_A15_C5_a_real_sandbox_reports_what_a_program_tries()
    {
        const string program = """
            import ctypes, socket
            libc = ctypes.CDLL(None, use_errno=True)
            def attempt(f):
                try: f()
                except OSError: pass
            def connect(family, address):
                with socket.socket(family, socket.SOCK_STREAM) as s:
                    s.settimeout(2)
                    s.connect(address)
            attempt(lambda: open('/dev/mem', 'rb'))
            attempt(lambda: connect(socket.AF_UNIX, '/var/run/docker.sock'))
            attempt(lambda: connect(socket.AF_INET, ('8.8.8.8', 53)))
            attempt(lambda: connect(socket.AF_INET, ('169.254.169.254', 80)))
            libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)
            libc.ptrace(16, 1, 0, 0)
            libc.chroot(b'/tmp')
            libc.syscall(175, 0, 0, 0)
            libc.syscall(321, 0, 0, 0)
            libc.syscall(425, 8, 0)
            attempt(lambda: socket.socket(38, socket.SOCK_SEQPACKET, 0))
            attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            libc.unshare(0x10000000)
            """;
        var detector = new ViolationDetector();
        var kills = new List<string>();
        await RunInSandboxAsync(["/usr/bin/python3", "-c", program], observed =>
        {
            if (detector.Observe(observed) is Detection.Attempt { Kill: true } attempt)
            {
                kills.Add(attempt.Rule.Type);
            }
        });
        IReadOnlyList<Violation> violations = detector.Violations();
        violations.Select(v => v.ViolationType).Distinct().Order(StringComparer.Ordinal).ShouldBe(
        [
            "bpf", "chroot_attempt", "container_runtime_access", "dangerous_socket_family", "device_access", "io_uring", "kernel_module", "metadata_access",
            "mount_attempt", "namespace_escape", "network_egress", "ptrace_attempt", "raw_socket",
        ]);
        string shown = string.Join('\n', violations.Select(v => $"{v.ViolationType} {v.Blocked} {string.Join(' ', v.Indicators)}"));
        violations.Where(v => v.ViolationType != "namespace_escape").ShouldAllBe(v => v.Blocked, shown);
        violations.ShouldAllBe(v => v.Indicators["count"] == "1" && v.Indicators["process"] == "python3" && !v.Indicators.ContainsKey("outcome"), shown);

        // gVisor lets any program have a user namespace of its own kernel: seen, and honestly not blocked.
        violations.Single(v => v.ViolationType == "namespace_escape").Blocked.ShouldBeFalse(shown);
        kills.Distinct().Order(StringComparer.Ordinal).ShouldBe(["dangerous_socket_family", "kernel_module"]);
        violations.Single(v => v.ViolationType == "device_access").Indicators["target"].ShouldBe("/dev/mem");
    }

    [Fact]
    public async Task Ordinary_programs_are_not_suspected()
    {
        const string program = """
            import os, socket, subprocess, threading
            print(sum(range(1000)))
            print(subprocess.run(['ls', '-la', '/proc/self'], capture_output=True).returncode)
            open('/dev/null', 'w').write('x'); open('/dev/urandom', 'rb').read(8); open('/proc/self/maps').read(); open('/etc/passwd').read()
            listener = socket.create_server(('127.0.0.1', 0))
            t = threading.Thread(target=lambda: socket.create_connection(listener.getsockname()).close()); t.start(); listener.accept(); t.join()
            try: socket.getaddrinfo('localhost', 80)
            except OSError: pass
            pid = os.fork()
            if pid == 0: os._exit(0)
            os.waitpid(pid, 0)
            """;
        var detector = new ViolationDetector();
        string output = await RunInSandboxAsync(["/usr/bin/python3", "-c", program], observed => detector.Observe(observed));
        output.ShouldContain("499500");
        _events.Count.ShouldBeGreaterThan(10); // control: the session did report
        _events.OfType<TraceEvent.NewProcess>().ShouldNotBeEmpty();
        detector.Violations().Select(v => $"{v.ViolationType} {string.Join(' ', v.Indicators)}").ShouldBeEmpty();
    }

    private async Task<string> RunInSandboxAsync(string[] program, Action<TraceEvent> observe)
    {
        string runsc = RunscOrSkip();
        string root = Path.Combine(_directory, "root");
        foreach (string name in new[] { "usr", "tmp", "proc", "dev", "etc", "var", "run" })
        {
            Directory.CreateDirectory(Path.Combine(root, name));
        }

        foreach (string name in new[] { "bin", "sbin", "lib", "lib64" })
        {
            File.CreateSymbolicLink(Path.Combine(root, name), "usr/" + name);
        }

        File.WriteAllText(Path.Combine(root, "etc", "passwd"), "root:x:0:0::/root:/bin/sh\n");
        File.WriteAllText(Path.Combine(root, "etc", "hosts"), "127.0.0.1 localhost\n");
        File.WriteAllText(Path.Combine(_directory, "config.json"), $$"""
            {
              "ociVersion": "1.0.2",
              "process": {
                "user": { "uid": 1000, "gid": 1000 }, "args": {{JsonSerializer.Serialize(program)}}, "env": ["PATH=/usr/bin:/bin"], "cwd": "/tmp",
                "noNewPrivileges": true
              },
              "root": { "path": {{JsonSerializer.Serialize(root)}}, "readonly": true },
              "mounts": [
                { "destination": "/proc", "type": "proc", "source": "proc" },
                { "destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"] },
                { "destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777", "size=16777216"] }
              ],
              "linux": { "namespaces": [{ "type": "pid" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }, { "type": "network" }] }
            }
            """);
        string config = Path.Combine(_directory, "trace.json");
        await File.WriteAllBytesAsync(config, TraceSessionConfig.Build(SocketPath), TestContext.Current.CancellationToken);
        await using TraceReceiver receiver = TraceReceiver.Listen(SocketPath, observed =>
        {
            _events.Add(observed);
            observe(observed);
        });
        string output = Run(
            runsc,
            $"--root={_directory}/state", "--network=none", "--ignore-cgroups", "--overlay2=none", $"--pod-init-config={config}",
            "run", $"--bundle={_directory}", Path.GetFileName(_directory));
        TraceEnd end = await receiver.Completion.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken);
        end.ShouldBeOfType<TraceEnd.EndOfStream>();
        receiver.Dropped.ShouldBe(0);
        return output;
    }

    private async Task<Socket> ConnectAsync()
    {
        var sender = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        await sender.ConnectAsync(new UnixDomainSocketEndPoint(SocketPath), TestContext.Current.CancellationToken);
        sender.Send([0x08, 0x01]);
        byte[] answer = new byte[16];
        (await sender.ReceiveAsync(answer, SocketFlags.None, TestContext.Current.CancellationToken)).ShouldBe(2);
        answer[..2].ShouldBe([0x08, 0x01]);
        return sender;
    }

    private static string RunscOrSkip()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "runsc needs root here");
        string? found = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(d => Path.Combine(d, "runsc")).FirstOrDefault(File.Exists);
        Assert.SkipWhen(found is null, "runsc is not installed");
        return found;
    }

    private static string Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start) ?? throw new InvalidOperationException(program);
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit(TimeSpan.FromSeconds(60)).ShouldBeTrue();
        process.ExitCode.ShouldBe(0, errors.Result);
        return output;
    }
}
