namespace Rynxs.Gateway.Benchmark;

/// <summary>What the gateway costs on this machine, beside its floors, measured in one run: <c>rynxs bench gateway</c>.</summary>
public static class GatewayBenchmark
{
    /// <summary>Runs every part and prints a table for each.</summary>
    public static async Task RunAsync(TextWriter output, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(output);
        await DecisionBenchmark.RunAsync(output, cancellationToken).ConfigureAwait(false);
        await InferenceBenchmark.RunAsync(output, cancellationToken).ConfigureAwait(false);
        await Egress.Benchmark.EgressBenchmark.RunAsync(output, cancellationToken).ConfigureAwait(false);
    }
}
