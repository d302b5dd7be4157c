using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Cli.Benchmarks;

/// <summary>Verification beside SHA-256 of the same records, one hash per record, over all cores; the file is in the page cache for both.</summary>
internal static class VerifyBench
{
    private const int Rounds = 7;

    public static async Task RunAsync(string parent, TextWriter output)
    {
        string directory = Directory.CreateDirectory(Path.Combine(parent, $"rynxs-bench-{Guid.NewGuid():N}")).FullName;
        try
        {
            await MeasureAsync(directory, output);
        }
        finally
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    private static async Task MeasureAsync(string directory, TextWriter output)
    {
        output.WriteLine("## Verify\n");
        output.WriteLine("| records | verify, median | raw SHA-256 of them, median | verify / raw | records/s | budget |");
        output.WriteLine("|---|---|---|---|---|---|");
        await MeasureAsync(directory, output, "small", 400_000, contentBytes: 0, "≥ 0.7 × and ≥ 1 M/s");
        await MeasureAsync(directory, output, "4 KiB", 60_000, contentBytes: 3700, "≥ 0.5 ×");
    }

    private static async Task MeasureAsync(string directory, TextWriter output, string name, int records, int contentBytes, string budget)
    {
        string path = Path.Combine(directory, "verify.jsonl");
        await WriteLogAsync(path, records, contentBytes);
        byte[] log = await File.ReadAllBytesAsync(path);
        (int Start, int Length)[] lines = Lines(log);
        var verify = new List<double>();
        var raw = new List<double>();
        for (int round = 0; round < Rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            LedgerVerification result = ChainVerifier.VerifyPath(path, CancellationToken.None);
            verify.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
            if (!result.Valid || result.Records != records)
            {
                throw new InvalidOperationException("The log of the benchmark does not verify: " + result.Failure);
            }

            start = Stopwatch.GetTimestamp();
            int parts = Environment.ProcessorCount * 16;
            Parallel.For(0, parts, part =>
            {
                Span<byte> digest = stackalloc byte[32];
                for (int index = part * lines.Length / parts; index < (part + 1) * lines.Length / parts; index++)
                {
                    SHA256.HashData(log.AsSpan(lines[index].Start, lines[index].Length), digest);
                }
            });
            raw.Add(Stopwatch.GetElapsedTime(start).TotalMicroseconds);
        }

        output.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"| {records:N0} {name} ({log.Length / records} B) | {Median(verify) / 1000:N0} ms | {Median(raw) / 1000:N0} ms | "
            + $"{Median(raw) / Median(verify):0.00} × | {records / Median(verify) * 1e6:N0} | {budget} |"));
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static (int Start, int Length)[] Lines(byte[] log)
    {
        var lines = new List<(int, int)>();
        for (int start = 0; start < log.Length;)
        {
            int length = log.AsSpan(start).IndexOf((byte)'\n');
            lines.Add((start, length));
            start += length + 1;
        }

        return [.. lines];
    }

    /// <summary>Writes records as the ledger does, without its syncs.</summary>
    private static async Task WriteLogAsync(string path, int records, int contentBytes)
    {
        string previous = new('0', 64);
        string content = new('x', contentBytes);
        await using var file = new StreamWriter(path, append: false, new UTF8Encoding(false), bufferSize: 1 << 20);
        for (int seq = 0; seq < records; seq++)
        {
            string text = string.Create(
                CultureInfo.InvariantCulture,
                $"{{\"aggregate_id\":\"rynxs/my-agent\",\"hash_version\":\"v2\",\"meta\":{{\"epoch\":1,\"principal\":\"agent:rynxs/my-agent\",\"time\":\"2026-11-22T00:00:00.000000Z\"}},\"payload\":{{\"call_id\":\"call-{seq:D6}\",\"content\":\"{content}\",\"status\":\"ok\"}},\"seq\":{seq},\"ts\":{seq + 1},\"type\":\"ToolOutcome\"}}");
            string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(previous + text)));
            await file.WriteAsync($"{{\"event\":{text},\"event_hash\":\"{hash}\",\"prev_hash\":\"{previous}\"}}\n");
            previous = hash;
        }
    }
}
