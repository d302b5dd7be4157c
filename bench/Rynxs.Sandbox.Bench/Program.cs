using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Sandbox;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Processes;

// Measures our sandbox beside the plain command line doing the same, interleaved in one run, so that the machine's noise hits both.
int rounds = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 20;
string images = Environment.GetEnvironmentVariable("RYNXS_IMAGES") ?? "/var/lib/rynxs/images";
var store = new ImageStore(new ImageStoreOptions { Directory = images });
ImageDescriptor image = await store.EnsureBuiltInAsync(new Progress<string>(Console.Error.WriteLine), CancellationToken.None);
Console.WriteLine("| platform | what | n | median ms | p95 ms | min ms |");
Console.WriteLine("|---|---|---|---|---|---|");
foreach (string platform in (string[])["systrap", "ptrace"])
{
    var options = new GVisorOptions { StateKey = "be0c4" + Environment.ProcessId.ToString("x7", CultureInfo.InvariantCulture), DefaultPlatform = platform };
    await using var runtime = new GVisorRuntime(options, store, NullLogger<GVisorRuntime>.Instance);
    string workspace = Directory.CreateTempSubdirectory("rynxs-bench").FullName;
    var spec = new SandboxSpec { Owner = new SandboxOwner("bench", "bench"), Image = image, WorkspaceDirectory = workspace };
    RuntimeProbe probe = await runtime.ProbeAsync(CancellationToken.None);
    if (!probe.Available)
    {
        Console.Error.WriteLine(probe.Detail);
        return 1;
    }

    await (await runtime.CreateAsync(spec, CancellationToken.None)).DisposeAsync();
    Dictionary<string, List<double>> times = [];
    for (int i = 0; i < rounds; i++)
    {
        ISandbox sandbox = null!; // assigned by the first measured step
        await Measure("create + start, all controls", async () => sandbox = await runtime.CreateAsync(spec, CancellationToken.None));
        await Measure("exec python3 -I -S -c pass", () => RunAsync(sandbox, "/usr/bin/python3", "-I", "-S", "-c", "pass"));
        await Measure("exec python3 -c pass", () => RunAsync(sandbox, "/usr/bin/python3", "-c", "pass"));
        await Measure("exec true", () => RunAsync(sandbox, "/bin/true"));
        await Measure("destroy", () => sandbox.DisposeAsync().AsTask());
        await MeasurePlainAsync(i);
    }

    foreach ((string what, List<double> taken) in times)
    {
        taken.Sort();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"| {platform} | {what} | {taken.Count} | {taken[taken.Count / 2]:F1} | {taken[(int)Math.Ceiling(taken.Count * 0.95) - 1]:F1} | {taken[0]:F1} |"));
    }

    Directory.Delete(workspace, recursive: true);

    async Task Measure(string what, Func<Task> step)
    {
        long begin = Stopwatch.GetTimestamp();
        await step();
        if (!times.TryGetValue(what, out List<double>? list))
        {
            times[what] = list = [];
        }

        list.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
    }

    static async Task RunAsync(ISandbox sandbox, params string[] arguments)
    {
        ExecutionResult result = await sandbox.ExecuteAsync(new ExecutionRequest { ExecutionId = "bench", Arguments = arguments }, CancellationToken.None);
        if (result.Reason != TerminationReason.Completed)
        {
            throw new InvalidOperationException($"{string.Join(' ', arguments)} ended with {result.Reason}");
        }
    }

    // The floor: one `runsc run` of the same program on the same root filesystem and mount, without monitor, cgroup or readback.
    async Task MeasurePlainAsync(int round)
    {
        string bundle = Directory.CreateTempSubdirectory("rynxs-plain").FullName;
        Directory.CreateDirectory(Path.Combine(bundle, "rootfs"));
        System.Text.Json.Nodes.JsonObject configuration = OciBundle.Configuration(spec, platform, Path.Combine(bundle, "rootfs"), "/");
        configuration["process"]!["args"] = new System.Text.Json.Nodes.JsonArray("/usr/bin/python3", "-I", "-S", "-c", "pass");
        File.WriteAllText(Path.Combine(bundle, "config.json"), configuration.ToJsonString());
        await Measure("plain: runsc run python3 -I -S -c pass (create, start, run, delete)", async () =>
        {
            ChildProcess child = ChildProcess.Start(
                ["runsc", "--root=" + bundle, "--log=/dev/null", "--platform=" + platform, "--network=none", "--overlay2=none", "--ignore-cgroups", "run", "-bundle", bundle, $"plain{round}"], 4096);
            if (await child.Exited != 0)
            {
                throw new InvalidOperationException("plain runsc failed: " + child.Error.Text);
            }
        });
        Directory.Delete(bundle, recursive: true);
    }
}

return 0;
