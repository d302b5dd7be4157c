using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Checkpoints;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Recording;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Tests.Replay;

/// <summary>
/// Damaged bytes for every reader of this part: they give a value or their own typed error, nothing else. Thousands of inputs by default, ten
/// million with RYNXS_SOAK=1. Seeds are fixed, so a failure comes again; the input stands in the message.
/// </summary>
public sealed class ReaderFuzzTests
{
    private static readonly byte[] Telling = "\"\\{}[],:0123456789.-eEtfn \n"u8.ToArray();

    private static readonly int Inputs = Soak.Enabled ? 10_000_000 : 20_000;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public void Record_reader_gives_a_record_or_its_own_error()
    {
        var parser = new RecordParser();
        var state = new UniverseState();
        var rynxs = new RynxsState();
        var why = new WhyTrace("ns-1/demo");
        byte[][] samples = [.. Logs.DemoV1.Select(Encoding.UTF8.GetBytes), Encoding.UTF8.GetBytes(Logs.Line(Logs.EventV2("{\"a\":[1,{\"b\":\"\\u0001é\"}]}")))];
        int accepted = 0;
        Run(samples, 1, input =>
        {
            // The hash is made right again for half of them: what lies behind it must stand hostile content too.
            try
            {
                LogRecord record = parser.Parse(Rehash(input));
                accepted++;
                record.ToRecord().Seq.ShouldBe(record.Seq);
                state.Apply(record);
                rynxs.Apply(record);
                why.Observe(record);
            }
            catch (Exception exception) when (exception is NonCanonicalException or HashMismatchException)
            {
                // Its own errors.
            }
        });

        accepted.ShouldBeGreaterThan(Inputs / 50); // Else this tests only the refusals.
        UniverseState.Parse(state.ToCanonical()).Hash().ShouldBe(state.Hash());
        JsonElement.Parse(rynxs.ToCanonical());
    }

    [Fact]
    public void Payload_reader_gives_one_of_its_three_answers()
    {
        byte[][] samples = [.. File.ReadLines(Path.Combine(AppContext.BaseDirectory, "Vectors", "payloads.jsonl")).Select(Encoding.UTF8.GetBytes)];
        Run(samples, 2, input =>
        {
            JsonElement document;
            try
            {
                document = JsonElement.Parse(input);
            }
            catch (JsonException)
            {
                return; // The record reader comes before and refuses this.
            }

            if (document.ValueKind == JsonValueKind.Object && document.TryGetProperty("type", out JsonElement type) && document.TryGetProperty("payload", out JsonElement payload)
                && type.ValueKind == JsonValueKind.String)
            {
                PayloadReading.Of(Name(type), payload).ShouldNotBeNull();
            }
        });
    }

    [Fact]
    public void Checkpoint_reader_gives_a_checkpoint_or_its_own_error()
    {
        using var key = Rynxs.Ledger.Keys.SigningKey.Generate("fuzz");
        using var directory = new TemporaryDirectory();
        byte[] file = RynxsCheckpoint.Create(LogReplay.Run(LogSource.Open(Logs.Write(directory, Logs.DemoV1)), new ReplayEnd.Head(), null, Stop), key).ToFile();
        byte[] state = Logs.Vectors.GetProperty("demo_log_v1").GetProperty("state_base64").GetBytesFromBase64();
        Run([file], 3, input => Expect<FormatException>(() => RynxsCheckpoint.Parse(input)), divide: 10);
        Run([state], 4, input => Expect<FormatException>(() => UniverseState.Parse(input)), divide: 10);
    }

    [Fact]
    public void Recording_reader_gives_its_pieces_or_its_own_error()
    {
        Run(
            ["{\"version\":2,\"width\":1,\"height\":1}\n[0.1,\"o\",\"é\\u001b[2J\"]\n[2,\"i\",\"x\"]\n"u8.ToArray()], 5,
            input => Expect<FormatException>(() => SessionRecording.Parse(input)));
    }

    private static void Run(byte[][] samples, int seed, Action<byte[]> read, int divide = 1)
    {
        var random = new Random(seed);
        for (int number = 0; number < Inputs / divide; number++)
        {
            byte[] input = Damage(samples[random.Next(samples.Length)], random);
            try
            {
                read(input);
            }
            catch (Exception exception) when (exception is not OutOfMemoryException)
            {
                throw new InvalidOperationException($"Input {number}: {Convert.ToBase64String(input)}", exception);
            }
        }
    }

    private static byte[] Damage(byte[] sample, Random random)
    {
        var bytes = new List<byte>(sample);
        for (int change = random.Next(1, 4); change > 0 && bytes.Count > 0; change--)
        {
            int at = random.Next(bytes.Count);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes[at] = Telling[random.Next(Telling.Length)];
                    break;
                case 2:
                    bytes.RemoveRange(at, Math.Min(random.Next(1, 20), bytes.Count - at));
                    break;
                case 3:
                    bytes.InsertRange(at, bytes.Skip(random.Next(bytes.Count)).Take(random.Next(1, 30)).ToArray());
                    break;
                case 4:
                    bytes[at] = (byte)(bytes[at] + 1);
                    break;
                default:
                    bytes.InsertRange(at, Enumerable.Repeat((byte)"[{\"\\"[random.Next(4)], random.Next(1, 200)));
                    break;
            }
        }

        return [.. bytes];
    }

    private static byte[] Rehash(byte[] line)
    {
        int begin = line.AsSpan().IndexOf("{\"event\":"u8) + 9;
        int end = line.AsSpan().LastIndexOf(",\"event_hash\":\""u8);
        int prev = line.AsSpan().LastIndexOf("\"prev_hash\":\""u8) + 13;
        if (begin < 9 || end < begin || prev < 13 || prev + 64 > line.Length || end + 79 > line.Length)
        {
            return line;
        }

        byte[] hash = System.Security.Cryptography.SHA256.HashData([.. line[prev..(prev + 64)], .. line[begin..end]]);
        Encoding.ASCII.GetBytes(Convert.ToHexStringLower(hash)).CopyTo(line, end + 15);
        return line;
    }

    private static string Name(JsonElement type)
    {
        try
        {
            return type.GetString() ?? "";
        }
        catch (InvalidOperationException)
        {
            return "?";
        }
    }

    private static void Expect<T>(Action read)
        where T : Exception
    {
        try
        {
            read();
        }
        catch (T)
        {
            // Its own error.
        }
    }
}
