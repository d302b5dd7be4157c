using System.Diagnostics;
using System.Globalization;

namespace Rynxs.Ledger.Bench;

/// <summary>Durations of one measurement.</summary>
internal sealed class Samples
{
    private readonly List<double> _microseconds = [];

    public double Median => At(0.5);

    public double P95 => At(0.95);

    public double Mean => _microseconds.Average();

    public int Count => _microseconds.Count;

    public void Add(long startTimestamp) => _microseconds.Add(Stopwatch.GetElapsedTime(startTimestamp).TotalMicroseconds);

    /// <summary>A cell of a table: microseconds without decimals.</summary>
    public static string Us(double microseconds) => microseconds.ToString("N0", CultureInfo.InvariantCulture) + " µs";

    private double At(double quantile)
    {
        double[] sorted = [.. _microseconds.Order()];
        return sorted[(int)Math.Min(sorted.Length - 1, quantile * sorted.Length)];
    }
}
