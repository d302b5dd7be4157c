using System.Diagnostics;
using System.Globalization;

namespace Rynxs.Ledger.Stores.Benchmarks;

/// <summary>Durations of one measurement.</summary>
internal sealed class Latencies
{
    private readonly List<double> _microseconds = [];

    public double Median => At(0.5);

    public double Mean => _microseconds.Average();

    public int Count => _microseconds.Count;

    public double At(double quantile)
    {
        double[] sorted = [.. _microseconds.Order()];
        return sorted[(int)Math.Min(sorted.Length - 1, quantile * sorted.Length)];
    }

    public void Add(long startTimestamp)
    {
        double elapsed = Stopwatch.GetElapsedTime(startTimestamp).TotalMicroseconds;
        lock (_microseconds)
        {
            _microseconds.Add(elapsed);
        }
    }

    public static string Text(double microseconds) => microseconds < 10_000
        ? microseconds.ToString("N0", CultureInfo.InvariantCulture) + " µs"
        : (microseconds / 1000).ToString("N1", CultureInfo.InvariantCulture) + " ms";
}
