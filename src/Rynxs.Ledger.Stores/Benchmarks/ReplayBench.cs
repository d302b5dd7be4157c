using System.Diagnostics;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Stores.Benchmarks;

/// <summary>Replay of a control chain: read, verified, folded into both states, with the file in the page cache.</summary>
internal static class ReplayBench
{
    private const int Rounds = 5;
    private const int Records = 500_000;
    private const int Agents = 1_000;

    public static async Task<string> RunAsync(string directory)
    {
        string path = Path.Combine(directory, "replay.jsonl");
        await WriteLogAsync(path).ConfigureAwait(false);
        var replay = new Latencies();
        var read = new Latencies();
        string? hash = null;
        for (int round = 0; round < Rounds; round++)
        {
            long start = Stopwatch.GetTimestamp();
            long count = LogWalk.Read(LogSource.Open(path), CancellationToken.None).LongCount();
            read.Add(start);

            start = Stopwatch.GetTimestamp();
            ReplayResult result = LogReplay.Run(LogSource.Open(path), new ReplayEnd.Head(), observe: null, CancellationToken.None);
            string now = result.Universe.Hash() + result.Rynxs?.Hash();
            replay.Add(start);
            if (count != Records || result.Records != Records || (hash ??= now) != now)
            {
                throw new InvalidOperationException("The replay of the benchmark is not deterministic.");
            }
        }

        return string.Create(
            CultureInfo.InvariantCulture,
            $"| {Records:N0} ({new FileInfo(path).Length / Records} B) of {Agents:N0} agents | {read.Median / 1000:N0} ms | {replay.Median / 1000:N0} ms | {Records / replay.Median * 1e6:N0} | ≥ 500,000 |");
    }

    /// <summary>One observation, one decision and outcomes for each agent in turn, as resyncs make them.</summary>
    private static async Task WriteLogAsync(string path)
    {
        string previous = new('0', 64);
        var file = new StreamWriter(path, append: false, new UTF8Encoding(false), bufferSize: 1 << 20);
        await using ConfiguredAsyncDisposable closing = file.ConfigureAwait(false);
        for (int seq = 0; seq < Records; seq++)
        {
            string agent = string.Create(CultureInfo.InvariantCulture, $"agent-{seq / 10 % Agents:D4}");
            string id = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"EnsureImage|ns/{agent}|{{}}")));
            (string type, string payload) = (seq % 10) switch
            {
                0 => ("AgentObserved", $"{{\"annotations\":{{}},\"labels\":{{}},\"name\":\"{agent}\",\"namespace\":\"ns\",\"observed_logical_time\":{seq},\"spec\":{{\"role\":\"worker\"}},\"spec_hash\":\"0123456789abcdef\"}}"),
                1 => ("ActionsDecided", $"{{\"action_ids\":[\"{id}\"],\"actions\":[{{\"action_type\":\"EnsureImage\",\"params\":{{}},\"target\":\"ns/{agent}\"}}],\"actions_hash\":\"{id}\",\"agent_id\":\"ns/{agent}\",\"trigger_event_hash\":\"{previous}\",\"trigger_event_seq\":{seq - 1},\"trigger_event_type\":\"AgentObserved\",\"trigger_spec_hash\":\"0123456789abcdef\"}}"),
                _ => ("ActionApplied", $"{{\"action_id\":\"{id}\",\"action_type\":\"EnsureImage\",\"result_code\":\"ALREADY_MATCHED\",\"status\":\"success\",\"target\":\"ns/{agent}\"}}"),
            };
            string text = string.Create(
                CultureInfo.InvariantCulture,
                $"{{\"aggregate_id\":\"ns/{agent}\",\"hash_version\":\"v2\",\"meta\":{{\"epoch\":1,\"principal\":\"system\",\"time\":\"2026-11-22T00:00:00.000000Z\"}},\"payload\":{payload},\"seq\":{seq},\"ts\":{seq + 1},\"type\":\"{type}\"}}");
            string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(previous + text)));
            await file.WriteAsync($"{{\"event\":{text},\"event_hash\":\"{hash}\",\"prev_hash\":\"{previous}\"}}\n").ConfigureAwait(false);
            previous = hash;
        }
    }
}
