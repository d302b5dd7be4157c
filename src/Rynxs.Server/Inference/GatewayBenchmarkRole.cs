using Rynxs.Gateway.Benchmark;

namespace Rynxs.Server.Inference;

/// <summary><c>rynxs bench gateway</c>.</summary>
public static class GatewayBenchmarkRole
{
    /// <summary>Writes Markdown tables.</summary>
    public static Task RunAsync(TextWriter output, CancellationToken cancellationToken) => GatewayBenchmark.RunAsync(output, cancellationToken);
}
