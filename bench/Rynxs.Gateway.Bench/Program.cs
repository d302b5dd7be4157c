using Rynxs.Gateway.Benchmark;

// Each part of the gateway has its benchmark in src/Rynxs.Gateway, where `rynxs bench gateway` reaches it, too.
using CancellationTokenSource stop = new();
Console.CancelKeyPress += (_, pressed) =>
{
    pressed.Cancel = true;
    stop.Cancel();
};
await GatewayBenchmark.RunAsync(Console.Out, stop.Token);
