using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Pool;

namespace Rynxs.Sandbox.Benchmark;

/// <summary>
/// Measures the engine beside its floors in one run, interleaved, so that the machine's noise meets both. A floor is the least work of the same
/// method on this machine, without monitor, limits, records or checks.
/// </summary>
public static class SandboxBenchmark
{
    /// <summary>Runs it and writes a Markdown table. Its state is its own and is removed.</summary>
    /// <param name="images">Where root filesystems are.</param>
    /// <param name="spawnerCommand">See <see cref="GVisorOptions.SpawnerCommand"/>.</param>
    /// <param name="rounds">Samples per row, at least 5.</param>
    /// <param name="platforms">systrap, ptrace.</param>
    /// <param name="output">Takes the table.</param>
    /// <param name="cancellationToken">Stops it; what it started is removed.</param>
    public static async Task RunAsync(
        ImageStore images, IReadOnlyList<string>? spawnerCommand, int rounds, IReadOnlyList<string> platforms, TextWriter output, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(images);
        ArgumentNullException.ThrowIfNull(platforms);
        ArgumentNullException.ThrowIfNull(output);
        ImageDescriptor image = await images.EnsureBuiltInAsync(null, cancellationToken);
        await output.WriteLineAsync(string.Create(
            CultureInfo.InvariantCulture, $"{Environment.ProcessorCount} CPUs, kernel {Environment.OSVersion.Version}, load {File.ReadAllText("/proc/loadavg").Split(' ')[0]}, {rounds} rounds"));
        await output.WriteLineAsync();
        await output.WriteLineAsync("| platform | what | n | min ms | p50 ms | p95 ms | ratio of p50 to floor |");
        await output.WriteLineAsync("|---|---|---:|---:|---:|---:|---:|");
        foreach (string platform in platforms)
        {
            var template = new SandboxTemplate { Name = "bench", Platform = platform, Size = 2, Floor = 1, Ceiling = 4 };
            var options = new GVisorOptions
            {
                StateKey = Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(6)),
                DefaultPlatform = platform,
                SpawnerCommand = spawnerCommand,
                Templates = [template],
            };
            await using var runtime = new GVisorRuntime(options, images, NullLogger<GVisorRuntime>.Instance);
            runtime.StartPools();
            await runtime.PoolsPreparedAsync(cancellationToken);
            if (runtime.Pools is not [{ Unusable: null }])
            {
                await output.WriteLineAsync($"| {platform} | not measured: {(runtime.Pools is [var pool] ? pool.Unusable : "no pool")} | | | | | |");
                continue;
            }

            var spec = new SandboxSpec { Owner = new SandboxOwner("bench", "bench"), Image = image, Platform = platform, WorkspaceBytes = template.WorkspaceBytes, Limits = template.Limits };
            var run = new BenchmarkRun(runtime, options, spec);
            IReadOnlyList<(string What, IReadOnlyList<double> Taken, string? Floor)> rows = await run.RunAsync(rounds, cancellationToken);
            var medians = rows.ToDictionary(row => row.What, row => At(row.Taken, 0.5));
            foreach ((string what, IReadOnlyList<double> taken, string? floor) in rows)
            {
                string ratio = floor is null ? "" : (At(taken, 0.5) / medians[floor]).ToString("F2", CultureInfo.InvariantCulture) + " × " + floor;
                await output.WriteLineAsync(string.Create(
                    CultureInfo.InvariantCulture, $"| {platform} | {what} | {taken.Count} | {At(taken, 0):F2} | {At(taken, 0.5):F2} | {At(taken, 0.95):F2} | {ratio} |"));
            }

            foreach (string line in await run.MeasureCapacityAsync(cancellationToken))
            {
                await output.WriteLineAsync($"| {platform} | {line} |");
            }
        }
    }

    private static double At(IReadOnlyList<double> taken, double quantile)
    {
        double[] sorted = [.. taken.Order()];
        return sorted[(int)Math.Min(sorted.Length - 1, Math.Ceiling(quantile * sorted.Length))];
    }
}
