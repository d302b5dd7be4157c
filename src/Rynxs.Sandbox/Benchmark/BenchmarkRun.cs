using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Guest;
using Rynxs.Sandbox.Pool;
using Rynxs.Sandbox.Processes;

namespace Rynxs.Sandbox.Benchmark;

/// <summary>The measurements on one platform.</summary>
internal sealed class BenchmarkRun(GVisorRuntime runtime, GVisorOptions options, SandboxSpec spec)
{
    private const string ColdFloor = "floor: runsc restore (command line, under the filter) to the interpreter's first word";
    private const string WarmFloor = "floor: SIGCONT, program to the waiting interpreter, first word";
    private const string SpareFloor = "floor: program to a waiting interpreter until its exit was seen";
    private static readonly byte[] Hello = "print('x')"u8.ToArray();
    private readonly Dictionary<string, List<double>> _taken = [];

    public async Task<IReadOnlyList<(string What, IReadOnlyList<double> Taken, string? Floor)>> RunAsync(int rounds, CancellationToken cancellationToken)
    {
        for (int round = 0; round <= rounds; round++)
        {
            bool counts = round > 0; // the first compiles our own code
            await WarmAsync(counts, cancellationToken);
            await WarmFloorAsync(counts, cancellationToken);
            await KillAsync(counts, cancellationToken);
            await ColdAsync(counts, cancellationToken);
            await ColdFloorAsync(counts, round, cancellationToken);
            await PlainPeerAsync(counts, round, cancellationToken);
            await CrunPeerAsync(counts, round, cancellationToken);
        }

        return
        [
            Row("warm: acquire to first instruction", WarmFloor), Row(WarmFloor, null), Row("warm: whole request (acquire, run, result)", null),
            Row("cold, pool empty: request to first instruction", ColdFloor), Row(ColdFloor, null),
            Row("fresh Python in a running sandbox, to its result", SpareFloor), Row(SpareFloor, null),
            Row("any process (/bin/true) in a running sandbox, to its result", null),
            Row("live interpreter, one piece", null), Row("destroy", null), Row("detect to kill (forbidden call to signal sent)", null), Row("peer: runsc run python3", null),
            .. _taken.ContainsKey("peer: crun run python3") ? [Row("peer: crun run python3", null)] : Array.Empty<(string, IReadOnlyList<double>, string?)>(),
        ];

        (string, IReadOnlyList<double>, string?) Row(string what, string? floor) => (what, _taken[what], floor);
    }

    /// <summary>Memory of waiting sandboxes and cold starts per second, as rest of a table's row.</summary>
    public async Task<IReadOnlyList<string>> MeasureCapacityAsync(CancellationToken cancellationToken)
    {
        using IDisposable alone = runtime.HoldRefill();
        await runtime.DrainPoolsAsync();
        const int many = 8;
        long free = AvailableKib();
        long begin = Stopwatch.GetTimestamp();
        ISandbox[] sandboxes = await Task.WhenAll(Enumerable.Range(0, many).Select(_ => runtime.CreateAsync(spec, cancellationToken)));
        double perSecond = many / Stopwatch.GetElapsedTime(begin).TotalSeconds;
        int restored = sandboxes.Count(sandbox => sandbox.Start == SandboxStart.Restored);
        double each = (free - AvailableKib()) / 1024.0 / many;
        long charged = sandboxes.Cast<GVisorSandbox>().Sum(sandbox => File.Exists($"/sys/fs/cgroup/memory{sandbox.Cgroup.Path}/memory.usage_in_bytes")
            ? long.Parse(File.ReadAllText($"/sys/fs/cgroup/memory{sandbox.Cgroup.Path}/memory.usage_in_bytes"), CultureInfo.InvariantCulture) : 0) / many;
        await Task.WhenAll(sandboxes.Select(sandbox => sandbox.DisposeAsync().AsTask()));
        return
        [
            string.Create(CultureInfo.InvariantCulture, $"{many} at once, {restored} restored: {perSecond:F1} sandboxes/s; memory of each: {each:F1} MiB of MemAvailable (other processes included), {charged / 1048576.0:F1} MiB charged to its cgroup | | | | |"),
        ];
    }

    private static long AvailableKib() => long.Parse(
        File.ReadLines("/proc/meminfo").First(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);

    private async Task WarmAsync(bool counts, CancellationToken cancellationToken)
    {
        await runtime.PoolsFullAsync(cancellationToken);
        long begin = Stopwatch.GetTimestamp();
        ISandbox sandbox = await runtime.CreateAsync(spec, cancellationToken);
        TimeSpan acquired = Stopwatch.GetElapsedTime(begin);
        ExecutionResult result = await RunAsync(sandbox, Hello);
        Add(counts && sandbox.Start == SandboxStart.Warm, "warm: whole request (acquire, run, result)", Stopwatch.GetElapsedTime(begin));
        Add(counts && sandbox.Start == SandboxStart.Warm, "warm: acquire to first instruction", acquired + (result.FirstInstruction ?? throw new InvalidOperationException("a waiting interpreter says when it begins")));
        await RunningAsync(counts, (GVisorSandbox)sandbox, cancellationToken);
        begin = Stopwatch.GetTimestamp();
        await sandbox.DisposeAsync();
        Add(counts, "destroy", Stopwatch.GetElapsedTime(begin));
    }

    private async Task RunningAsync(bool counts, GVisorSandbox sandbox, CancellationToken cancellationToken)
    {
        await sandbox.SpareReadyAsync();
        long begin = Stopwatch.GetTimestamp();
        await RunAsync(sandbox, Hello);
        Add(counts, "fresh Python in a running sandbox, to its result", Stopwatch.GetElapsedTime(begin));
        await sandbox.SpareReadyAsync();
        SpareInterpreter spare = sandbox.TakeSpare() ?? throw new InvalidOperationException("no interpreter waits");
        begin = Stopwatch.GetTimestamp();
        await DirectProgram.Start(sandbox.Control, spare, Job(), 4096, null).Exited;
        Add(counts, SpareFloor, Stopwatch.GetElapsedTime(begin));
        spare.Dispose();
        begin = Stopwatch.GetTimestamp();
        await sandbox.ExecuteAsync(new ExecutionRequest { ExecutionId = "bench", Arguments = ["/bin/true"], WorkingDirectory = "/" }, CancellationToken.None);
        Add(counts, "any process (/bin/true) in a running sandbox, to its result", Stopwatch.GetElapsedTime(begin));
        await using ILiveInterpreter live = await sandbox.OpenInterpreterAsync(cancellationToken);
        for (int i = 0; i < 3; i++)
        {
            begin = Stopwatch.GetTimestamp();
            await live.RunAsync(new ExecutionRequest { ExecutionId = "bench", Arguments = [], PythonSource = Hello }, CancellationToken.None);
            Add(counts && i > 0, "live interpreter, one piece", Stopwatch.GetElapsedTime(begin));
        }
    }

    private async Task WarmFloorAsync(bool counts, CancellationToken cancellationToken)
    {
        await runtime.PoolsFullAsync(cancellationToken);
        await using GVisorSandbox slot = runtime.TakeReserve() ?? throw new InvalidOperationException("the pool is full");
        using SpareInterpreter spare = slot.TakeSpare() ?? throw new InvalidOperationException("a slot has an interpreter");
        long begin = Stopwatch.GetTimestamp();
        slot.Continue();
        DirectProgram program = DirectProgram.Start(slot.Control, spare, Job(), 4096, null);
        await program.Exited;
        Add(counts, WarmFloor, Stopwatch.GetElapsedTime(begin, program.BegunAt ?? throw new InvalidOperationException("a waiting interpreter says when it begins")));
    }

    private async Task KillAsync(bool counts, CancellationToken cancellationToken)
    {
        await runtime.PoolsFullAsync(cancellationToken);
        await using ISandbox sandbox = await runtime.CreateAsync(spec, cancellationToken);
        await RunAsync(sandbox, "import socket,time\ntry: socket.socket(38,5,0)\nexcept OSError: pass\ntime.sleep(9)"u8.ToArray());
        Add(counts, "detect to kill (forbidden call to signal sent)", ((GVisorSandbox)sandbox).DetectedToKilled ?? throw new InvalidOperationException("the rule kills"));
    }

    private async Task ColdAsync(bool counts, CancellationToken cancellationToken)
    {
        using IDisposable alone = runtime.HoldRefill();
        await runtime.DrainPoolsAsync();
        long begin = Stopwatch.GetTimestamp();
        await using ISandbox sandbox = await runtime.CreateAsync(spec, cancellationToken);
        TimeSpan acquired = Stopwatch.GetElapsedTime(begin);
        ExecutionResult result = await RunAsync(sandbox, Hello);
        Add(counts && sandbox.Start == SandboxStart.Restored, "cold, pool empty: request to first instruction", acquired + (result.FirstInstruction ?? default));
    }

    private async Task ColdFloorAsync(bool counts, int round, CancellationToken cancellationToken)
    {
        await runtime.PoolsFullAsync(cancellationToken); // so that its refill does not compete
        string bundle = Bundle(withAgent: true, null);
        try
        {
            TemplateCheckpoint checkpoint = runtime.Checkpoint();
            // The write end stays open until the word has come: its closing ends the sandbox.
            (int theirs, int ours) = ChildProcess.NewPipe();
            Write(ours, [.. GuestAgent.Seed("/rynxs-bench"), .. Job()]);
            var first = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            long begin = Stopwatch.GetTimestamp();
            ChildProcess restore = ChildProcess.Start(
                [
                    options.RunscPath, "--root=" + bundle, "--log=/dev/null", "--platform=" + spec.Platform, "--network=none", "--overlay2=none", "--ignore-cgroups",
                    "restore", "-bundle", bundle, "-image-path", checkpoint.Directory, string.Create(CultureInfo.InvariantCulture, $"floor{round}"),
                ],
                4096, default, (isError, _, _) =>
                {
                    if (!isError)
                    {
                        first.TrySetResult();
                    }
                }, stdinFd: theirs, spawner: runtime.Spawner);
            _ = Native.Libc.close(theirs);
            await Task.WhenAny(first.Task, restore.Exited);
            Add(counts && first.Task.IsCompleted, ColdFloor, Stopwatch.GetElapsedTime(begin));
            _ = Native.Libc.close(ours);
            await restore.Exited.WaitAsync(TimeSpan.FromSeconds(20), cancellationToken);
        }
        finally
        {
            Directory.Delete(bundle, recursive: true);
        }
    }

    private async Task PlainPeerAsync(bool counts, int round, CancellationToken cancellationToken)
    {
        string bundle = Bundle(withAgent: false, ["/usr/bin/python3", "-I", "-c", "print('x')"]);
        try
        {
            await MeasureCommandAsync(counts, "peer: runsc run python3",
                [
                    options.RunscPath, "--root=" + bundle, "--log=/dev/null", "--platform=" + spec.Platform, "--network=none", "--overlay2=none", "--ignore-cgroups",
                    "run", "-bundle", bundle, string.Create(CultureInfo.InvariantCulture, $"plain{round}"),
                ], cancellationToken);
        }
        finally
        {
            Directory.Delete(bundle, recursive: true);
        }
    }

    /// <summary>On the host's own files: namespaces share the kernel, so this is a peer in speed, not in isolation.</summary>
    private async Task CrunPeerAsync(bool counts, int round, CancellationToken cancellationToken)
    {
        if (!(Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(directory => File.Exists(Path.Combine(directory, "crun"))))
        {
            return;
        }

        string bundle = Bundle(withAgent: false, ["/usr/bin/python3", "-I", "-c", "print('x')"]);
        try
        {
            JsonNode configuration = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(bundle, "config.json"), cancellationToken)) ?? throw new InvalidOperationException("just written");
            configuration["root"] = new JsonObject { ["path"] = "/", ["readonly"] = true };
            configuration["mounts"] = new JsonArray();
            configuration["linux"]!.AsObject().Remove("cgroupsPath");
            configuration["linux"]!.AsObject().Remove("resources");
            await File.WriteAllTextAsync(Path.Combine(bundle, "config.json"), configuration.ToJsonString(), cancellationToken);
            // crun refuses a host with both cgroup versions mounted, so the second is hidden from it.
            await MeasureCommandAsync(counts, "peer: crun run python3",
                ["unshare", "-m", "sh", "-c", "umount /sys/fs/cgroup/unified 2>/dev/null; exec crun --root \"$1/r\" --cgroup-manager=disabled run -b \"$1\" \"$2\"", "sh", bundle,
                    string.Create(CultureInfo.InvariantCulture, $"rynxs-bench-{Environment.ProcessId}-{round}")], cancellationToken, mayFail: true);
        }
        finally
        {
            Directory.Delete(bundle, recursive: true);
        }
    }

    private async Task MeasureCommandAsync(bool counts, string what, IReadOnlyList<string> command, CancellationToken cancellationToken, bool mayFail = false)
    {
        long begin = Stopwatch.GetTimestamp();
        ChildProcess child = ChildProcess.Start(command, 4096);
        int code = await child.Exited.WaitAsync(TimeSpan.FromSeconds(30), cancellationToken);
        if (code != 0 && !mayFail)
        {
            throw new InvalidOperationException($"{what} ended with {code}: {child.Error.Text}");
        }

        Add(counts && code == 0, what, Stopwatch.GetElapsedTime(begin));
    }

    private string Bundle(bool withAgent, string[]? arguments)
    {
        string bundle = Directory.CreateTempSubdirectory("rynxs-bench").FullName;
        Directory.CreateDirectory(Path.Combine(bundle, "rootfs"));
        JsonObject configuration = OciBundle.Configuration(spec, spec.Platform ?? options.DefaultPlatform, Path.Combine(bundle, "rootfs"), "/", withAgent);
        if (arguments is not null)
        {
            configuration["process"]!["args"] = new JsonArray([.. arguments.Select(argument => (JsonNode)argument)]);
        }

        File.WriteAllText(Path.Combine(bundle, "config.json"), configuration.ToJsonString());
        return bundle;
    }

    private static unsafe void Write(int pipe, byte[] bytes)
    {
        fixed (byte* source = bytes)
        {
            if (Native.Libc.write(pipe, source, (nuint)bytes.Length) != bytes.Length)
            {
                throw Native.Libc.LastError("write"); // smaller than an empty pipe
            }
        }
    }

    private static byte[] Job() =>
        GuestAgent.Job(new GuestJob(Hello.Length, 0, OciBundle.BaseEnvironment, "/", []), Hello, []);

    private static Task<ExecutionResult> RunAsync(ISandbox sandbox, byte[] source) =>
        sandbox.ExecuteAsync(new ExecutionRequest { ExecutionId = "bench", Arguments = [], PythonSource = source }, CancellationToken.None);

    private void Add(bool counts, string what, TimeSpan taken)
    {
        if (counts)
        {
            (_taken.TryGetValue(what, out List<double>? list) ? list : _taken[what] = []).Add(taken.TotalMilliseconds);
        }
    }
}
