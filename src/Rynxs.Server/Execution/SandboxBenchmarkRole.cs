using Rynxs.Sandbox.Benchmark;
using Rynxs.Sandbox.Images;

namespace Rynxs.Server.Execution;

/// <summary><c>rynxs bench sandbox</c>: the engine beside its floors on this machine. Needs root and no running server.</summary>
public static class SandboxBenchmarkRole
{
    /// <summary>Writes a Markdown table.</summary>
    /// <param name="imagesDirectory">Where root filesystems are.</param>
    /// <param name="rounds">5 to 1000.</param>
    /// <param name="platforms">systrap, ptrace.</param>
    /// <param name="output">Takes the table.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public static Task RunAsync(string imagesDirectory, int rounds, IReadOnlyList<string> platforms, TextWriter output, CancellationToken cancellationToken) =>
        SandboxBenchmark.RunAsync(
            new ImageStore(new ImageStoreOptions { Directory = imagesDirectory }), SandboxSpawnerRole.CommandOfThisProgram(), rounds, platforms, output, cancellationToken);
}
