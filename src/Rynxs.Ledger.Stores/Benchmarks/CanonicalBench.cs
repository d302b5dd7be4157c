using System.Security.Cryptography;
using Rynxs.Ledger.Chains;

namespace Rynxs.Ledger.Stores.Benchmarks;

/// <summary>What a record costs before the disk: from the event as an object to its canonical line with its chained hash, on one thread.</summary>
internal static class CanonicalBench
{
    private const int Rounds = 9;
    private const int Events = 100_000;

    public static IReadOnlyList<string> Run(CancellationToken cancellationToken)
    {
        byte[] content = Content();
        List<double> written = [], hashed = [];
        for (int round = -2; round < Rounds; round++) // Two rounds for the compiler.
        {
            cancellationToken.ThrowIfCancellationRequested();
            double one = PerSecond(WriteAll);
            double floor = PerSecond(() => HashAll(content));
            if (round >= 0)
            {
                written.Add(one);
                hashed.Add(floor);
            }
        }

        double median = Median(written);
        return
        [
            $"| SHA-256 of {content.Length} bytes, the hash before and the event (floor) | {Median(hashed):N0} | 1 | |",
            $"| event of {content.Length - 64} bytes: from its object to the canonical line with its hash | {median:N0} | {LedgerBenchmark.Ratio(Median(hashed) / median)} × its time | ≥ 500,000 |",
        ];
    }

    private static void WriteAll()
    {
        var buffer = new CommitBuffer();
        var head = new ChainHead(-1, ChainPosition.Genesis);
        for (int number = 0; number < Events;)
        {
            buffer.Begin(head, TimeProvider.System.GetUtcNow());
            for (int count = 0; count < 64; count++, number++)
            {
                buffer.Add(PreparedEntry.Prepare(LedgerBenchmark.Entry(number), ""), epoch: 1);
            }

            head = buffer.Head;
        }
    }

    private static void HashAll(byte[] content)
    {
        Span<byte> digest = stackalloc byte[SHA256.HashSizeInBytes];
        for (int number = 0; number < Events; number++)
        {
            SHA256.HashData(content, digest);
        }
    }

    /// <summary>Processor time, all of it: also what the collector uses on other threads.</summary>
    private static double PerSecond(Action work)
    {
        TimeSpan used = Environment.CpuUsage.TotalTime;
        work();
        return Events / (Environment.CpuUsage.TotalTime - used).TotalSeconds;
    }

    /// <summary>What is hashed of one record.</summary>
    private static byte[] Content()
    {
        var buffer = new CommitBuffer();
        buffer.Begin(new ChainHead(-1, ChainPosition.Genesis), TimeProvider.System.GetUtcNow());
        buffer.Add(PreparedEntry.Prepare(LedgerBenchmark.Entry(1), ""), epoch: 1);
        ReadOnlySpan<byte> line = buffer.Lines.Span;
        return new byte[64 + line.LastIndexOf(",\"event_hash\":"u8) - "{\"event\":".Length];
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);
}
