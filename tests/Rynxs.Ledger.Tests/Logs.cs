using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Tests;

/// <summary>Makes logs for tests.</summary>
internal static class Logs
{
    public static readonly string Genesis = new('0', 64);

    /// <summary>The conformance vectors of the original format.</summary>
    public static JsonElement Vectors { get; } =
        JsonElement.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Vectors", "rynxs-vectors.json")));

    /// <summary>The demonstration log of the vectors: seven v1 records.</summary>
    public static IReadOnlyList<string> DemoV1 =>
        [.. Vectors.GetProperty("demo_log_v1").GetProperty("lines").EnumerateArray().Select(line => line.GetString() ?? "")];

    /// <summary>A record line around event text that the test wrote itself: neither the writer nor the verifier made it.</summary>
    public static string Line(string eventJson, string? prevHash = null)
    {
        string prev = prevHash ?? Genesis;
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(prev + eventJson)));
        return $"{{\"event\":{eventJson},\"event_hash\":\"{hash}\",\"prev_hash\":\"{prev}\"}}";
    }

    /// <summary>A v2 event with a payload.</summary>
    public static string EventV2(string payload, long seq = 0) => string.Create(
        CultureInfo.InvariantCulture,
        $"{{\"aggregate_id\":\"A\",\"hash_version\":\"v2\",\"payload\":{payload},\"seq\":{seq},\"ts\":1,\"type\":\"TEST\"}}");

    public static string Write(string directory, IEnumerable<string> lines, string name = "log.jsonl")
    {
        string path = Path.Combine(directory, name);
        File.WriteAllText(path, string.Concat(lines.Select(line => line + "\n")));
        return path;
    }

    /// <summary>A v2 log of the file ledger, as lines: the opening record and then numbered ones.</summary>
    public static async Task<IReadOnlyList<string>> OfLedgerAsync(int records, CancellationToken cancellationToken)
    {
        using var directory = new TemporaryDirectory();
        await using (FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = directory }, cancellationToken))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken);
            for (int number = 0; number < records; number++)
            {
                await chain.AppendAsync(Entries.Numbered(number), cancellationToken);
            }
        }

        return await File.ReadAllLinesAsync(directory.At("control", SegmentName.Of(0)), cancellationToken);
    }
}
