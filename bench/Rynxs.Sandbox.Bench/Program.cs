using System.Globalization;
using Rynxs.Sandbox.Benchmark;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Spawning;

// rynxs-sandbox-bench [ROUNDS [PLATFORM...]]: the same as `rynxs bench sandbox`, without the product around it.
if (SandboxSpawner.TryRun(args) is { } spawned)
{
    return spawned;
}

int rounds = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 20;
string[] platforms = args.Length > 1 ? args[1..] : ["systrap", "ptrace"];
string images = Environment.GetEnvironmentVariable("RYNXS_IMAGES") ?? "/var/lib/rynxs/images";
string self = Environment.ProcessPath ?? throw new InvalidOperationException("a program has a path");
await SandboxBenchmark.RunAsync(
    new ImageStore(new ImageStoreOptions { Directory = images }), SandboxSpawner.CommandOf(self), rounds, platforms, Console.Out, CancellationToken.None);
return 0;
