using System.Globalization;
using System.Text;

namespace Rynxs.ResourceServer.Bench;

/// <summary>Milliseconds of many requests of one sort.</summary>
internal sealed record Latency(double P50, double P95)
{
    public static Latency Of(List<double> milliseconds)
    {
        milliseconds.Sort();
        return new Latency(milliseconds[milliseconds.Count / 2], milliseconds[(int)(milliseconds.Count * 0.95)]);
    }

    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{P50:0.00} / {P95:0.00} ms");
}

/// <summary>A start with many objects: from the start of the process to its first answer, of which the store took so much, and memory then.</summary>
internal sealed record StartResult(int Objects, double ProcessMilliseconds, double StoreMilliseconds, double RssMegabytes);

/// <summary>What one server did.</summary>
internal sealed record Result
{
    public required string Name { get; init; }
    public required Latency Get { get; init; }
    public required Latency Create { get; init; }
    public required Latency ConcurrentCreate { get; init; }
    public required Latency List { get; init; }
    public required int Watchers { get; init; }
    public required double WritesPerSecond { get; init; }
    public required long Events { get; init; }
    public required long EventsLost { get; init; }

    /// <summary>Processor time over wall time while the watchers were served: 1 is one core.</summary>
    public required double WatchCores { get; init; }
    public required Latency WatchDelay { get; init; }
    public required double RssMegabytes { get; init; }
    public StartResult? Start { get; init; }

    public static string Table(IReadOnlyList<Result> results)
    {
        StringBuilder text = new();
        Row("", result => result.Name);
        text.AppendLine(string.Concat(Enumerable.Repeat("|---", results.Count + 1)) + "|");
        Row("get, p50 / p95", result => $"{result.Get}");
        Row("create, p50 / p95, durable", result => $"{result.Create}");
        Row("create, 16 at a time, p50 / p95", result => $"{result.ConcurrentCreate}");
        Row("list of 10,000, p50 / p95", result => $"{result.List}");
        Row("watch: watchers × writes/s", result => Text($"{result.Watchers} × {result.WritesPerSecond:0}"));
        Row("watch: events, lost or doubled", result => Text($"{result.Events}, {result.EventsLost}"));
        Row("watch: cores of the server", result => Text($"{result.WatchCores:0.00}"));
        Row("watch: write to event, p50 / p95", result => $"{result.WatchDelay}");
        Row("memory after that", result => Text($"{result.RssMegabytes:0} MB"));
        Row("start with objects: process, store", result => result.Start is { } start ? Text($"{start.Objects}: {start.ProcessMilliseconds:0} ms, {start.StoreMilliseconds:0} ms") : "not measured");
        Row("memory after that start", result => result.Start is { } start ? Text($"{start.RssMegabytes:0} MB") : "not measured");
        return text.ToString();

        void Row(string name, Func<Result, string> cell) => text.AppendLine($"| {name} | {string.Join(" | ", results.Select(cell))} |");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
