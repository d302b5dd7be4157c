using System.Text;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Tests.Replay;

/// <summary>The reader behind replay: what it accepts, where it stops, and that it agrees with the strict reader of the store.</summary>
public sealed class LogWalkTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Records_of_our_own_ledger_are_read_as_the_store_reads_them()
    {
        IReadOnlyList<string> lines = await Logs.OfLedgerAsync(2_000, Stop);
        using var directory = new TemporaryDirectory();
        LogRecord[] records = [.. LogWalk.Read(LogSource.Open(Logs.Write(directory, lines)), Stop)];

        records.Length.ShouldBe(lines.Count);
        var strict = new StrictLine();
        for (int index = 0; index < lines.Count; index++)
        {
            LedgerRecord expected = strict.Read(Encoding.UTF8.GetBytes(lines[index]), withContent: true).Content.ShouldNotBeNull();
            LedgerRecord actual = records[index].ToRecord();
            (actual.Seq, actual.Type, actual.AggregateId, actual.Ts, actual.HashVersion, actual.EventHash, actual.PrevHash)
                .ShouldBe((expected.Seq, expected.Type, expected.AggregateId, expected.Ts, expected.HashVersion, expected.EventHash, expected.PrevHash));
            actual.Payload.GetRawText().ShouldBe(expected.Payload.GetRawText());
            actual.Meta.GetRawText().ShouldBe(expected.Meta.GetRawText());
            records[index].Time.ShouldNotBeNull();
        }
    }

    [Fact]
    public void Both_record_forms_of_the_vectors_are_read()
    {
        var parser = new RecordParser();
        foreach (string line in Logs.DemoV1.Concat(Logs.Vectors.GetProperty("single_records").EnumerateArray().Select(record => record.GetProperty("line").GetString() ?? "")))
        {
            parser.Parse(Encoding.UTF8.GetBytes(line)).HashVersion.ShouldBe(1);
        }
    }

    /// <summary>Every single-byte change of real lines: the fast reader and the strict one must give the same verdict.</summary>
    [Fact]
    public async Task Each_changed_byte_gets_the_same_verdict_as_from_the_strict_reader()
    {
        string[] samples =
        [
            Logs.DemoV1[0], Logs.DemoV1[3], (await Logs.OfLedgerAsync(1, Stop))[1],
            Logs.Line("{\"aggregate_id\":\"é\\u0001\\n\\\"\\\\\",\"hash_version\":\"v2\",\"payload\":{\"\\t\":[1,-2,{}],\"a\":1e+16,\"b\":0.5,\"c\":null,\"😀\":true},\"seq\":0,\"ts\":-1,\"type\":\"T\"}"),
        ];
        var random = new Random(5);
        int accepted = 0;
        foreach (string sample in samples)
        {
            byte[] original = Encoding.UTF8.GetBytes(sample);
            for (int at = 0; at < original.Length; at++)
            {
                byte[] changed = [.. original];
                changed[at] = random.Next(3) switch { 0 => (byte)"\"\\{}[],:0e.-\n aE"[random.Next(16)], 1 => (byte)random.Next(256), _ => (byte)(changed[at] ^ 1) };
                accepted += AssertSameVerdict(changed) ? 1 : 0;
                AssertSameVerdict(original[..at]);
                AssertSameVerdict([.. original[..at], (byte)random.Next(256), .. original[at..]]);
            }

            AssertSameVerdict(original).ShouldBeTrue();
        }

        accepted.ShouldBeLessThan(64); // Only a byte that was replaced by itself.
    }

    [Theory]
    [InlineData("{\"b\":1,\"a\":1}", false)]
    [InlineData("{\"a\":1,\"a\":1}", false)]
    [InlineData("{\"a\":01}", false)]
    [InlineData("{\"a\":-0}", false)]
    [InlineData("{\"a\":-0.0}", true)]
    [InlineData("{\"a\":1.50}", false)]
    [InlineData("{\"a\":1e5}", false)]
    [InlineData("{\"a\":1e-05}", true)]
    [InlineData("{\"a\":NaN}", false)]
    [InlineData("{\"a\":123456789012345678901234567890}", true)]
    [InlineData("{\"a\":\"\\/\"}", false)]
    [InlineData("{\"a\":\"\\u0041\"}", false)]
    [InlineData("{\"a\":\"\\u000a\"}", false)]
    [InlineData("{\"a\":\"\\u001F\"}", false)]
    [InlineData("{\"a\":\"\\u001f\"}", true)]
    [InlineData("{\"a\":\"\\u0018\"}", true)]
    [InlineData("{\"a\":\"\u2028\u007f\"}", true)]
    [InlineData("{\"\\n\":1,\"a\":2}", true)]
    [InlineData("{\"a\":2,\"\\n\":1}", false)]
    [InlineData("{\"\uFFFD\":1,\"😀\":2}", true)]
    [InlineData("{\"😀\":2,\"\uFFFD\":1}", false)]
    [InlineData("{\"a\": 1}", false)]
    public void Canonical_form_is_judged_as_the_strict_reader_does(string payload, bool valid)
    {
        AssertSameVerdict(Encoding.UTF8.GetBytes(Logs.Line(Logs.EventV2(payload)))).ShouldBe(valid);
    }

    [Fact]
    public void Nesting_is_bounded_where_the_strict_reader_bounds_it()
    {
        foreach (int depth in (int[])[50, 60, 61, 62, 63, 64, 65, 500, 100_000])
        {
            string payload = "{\"a\":" + new string('[', depth) + new string(']', depth) + "}";
            AssertSameVerdict(Encoding.UTF8.GetBytes(Logs.Line(Logs.EventV2(payload)))).ShouldBe(depth <= 61);
        }
    }

    [Fact]
    public void An_unfinished_last_line_is_left_out_and_a_bad_one_in_the_middle_is_not()
    {
        using var directory = new TemporaryDirectory();
        string path = Logs.Write(directory, Logs.DemoV1);
        File.AppendAllText(path, "{\"event\":{\"aggreg");
        LogWalk.Read(LogSource.Open(path), Stop).Count().ShouldBe(Logs.DemoV1.Count);

        File.AppendAllText(path, "\n");
        LedgerCorruptException damage = Should.Throw<LedgerCorruptException>(() => LogWalk.Read(LogSource.Open(path), Stop).Count());
        (damage.Seq, damage.Code).ShouldBe((7, "form"));
    }

    [Theory]
    [InlineData("remove", 3, "sequence")]
    [InlineData("swap", 2, "sequence")]
    [InlineData("alter", 4, "event_hash")]
    [InlineData("relink", 5, "prev_hash")]
    public void F1_An_altered_log_stops_the_reading_at_the_first_bad_record(string how, int at, string code)
    {
        List<string> lines = [.. Logs.DemoV1];
        switch (how)
        {
            case "remove":
                lines.RemoveAt(at);
                break;
            case "swap":
                (lines[at], lines[at + 1]) = (lines[at + 1], lines[at]);
                break;
            case "alter":
                lines[at] = lines[at].Replace("CREATED", "PATCHED", StringComparison.Ordinal);
                break;
            default:
                System.Text.Json.JsonElement record = System.Text.Json.JsonElement.Parse(lines[at]);
                lines[at] = Logs.Line(record.GetProperty("event").GetRawText(), new string('1', 64));
                break;
        }

        using var directory = new TemporaryDirectory();
        LedgerCorruptException damage = Should.Throw<LedgerCorruptException>(() => LogWalk.Read(LogSource.Open(Logs.Write(directory, lines)), Stop).Count());
        (damage.Seq, damage.Code).ShouldBe((at, code));
    }

    [Fact]
    public void Rotated_segments_of_the_original_are_one_chain()
    {
        using var directory = new TemporaryDirectory();
        Logs.Write(directory, Logs.DemoV1.Take(2), "events.log.seg-000001");
        Logs.Write(directory, Logs.DemoV1.Skip(2).Take(3), "events.log.seg-000002");
        string path = Logs.Write(directory, Logs.DemoV1.Skip(5), "events.log");

        LogWalk.Read(LogSource.Open(path), Stop).Count().ShouldBe(Logs.DemoV1.Count);
    }

    [Fact]
    public void A_log_that_was_pruned_goes_on_only_from_a_checkpoint_that_it_agrees_with()
    {
        using var directory = new TemporaryDirectory();
        LogSource pruned = LogSource.Open(Logs.Write(directory, Logs.DemoV1.Skip(3)));
        string hash = System.Text.Json.JsonElement.Parse(Logs.DemoV1[2]).GetProperty("event_hash").GetString() ?? "";

        Should.Throw<LedgerCorruptException>(() => LogWalk.Read(pruned, Stop).Count());
        LogWalk.Read(pruned, new ChainHead(2, hash), Stop).Count().ShouldBe(4);
        Should.Throw<LedgerCorruptException>(() => LogWalk.Read(pruned, new ChainHead(2, new string('0', 64)), Stop).Count()).Code.ShouldBe("checkpoint");
        Should.Throw<LedgerCorruptException>(() => LogWalk.Read(pruned, new ChainHead(9, hash), Stop).Count()).Code.ShouldBe("checkpoint");
    }

    private static bool AssertSameVerdict(byte[] line)
    {
        bool strict = StrictAccepts(line);
        bool fast = FastAccepts(line);
        fast.ShouldBe(strict, Encoding.UTF8.GetString(line));
        return fast;
    }

    private static bool StrictAccepts(byte[] line)
    {
        try
        {
            StrictRecord record = new StrictLine().Read(line, withContent: false);
            return record.ComputedHash == record.EventHash;
        }
        catch (NonCanonicalException)
        {
            return false;
        }
    }

    private static bool FastAccepts(byte[] line)
    {
        try
        {
            new RecordParser().Parse(line);
            return true;
        }
        catch (Exception exception) when (exception is NonCanonicalException or HashMismatchException)
        {
            return false;
        }
    }
}
