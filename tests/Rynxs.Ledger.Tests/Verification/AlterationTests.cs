using System.Globalization;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Verification;

/// <summary>Each way to alter a log, with the unaltered log as positive control.</summary>
public sealed class AlterationTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void The_demonstration_log_of_the_original_verifies()
    {
        LedgerVerification result = Verify(Logs.DemoV1);

        result.Valid.ShouldBeTrue();
        result.Chains[0].Records.ShouldBe(7);
        result.Chains[0].HeadSeq.ShouldBe(6);
        result.Chains[0].HeadHash.ShouldBe(Logs.Vectors.GetProperty("demo_log_v1").GetProperty("final_event_hash").GetString());
    }

    [Fact]
    public void The_single_records_of_the_original_verify()
    {
        foreach (var record in Logs.Vectors.GetProperty("single_records").EnumerateArray())
        {
            Verify([record.GetProperty("line").GetString() ?? ""]).Valid.ShouldBeTrue();
        }
    }

    [Theory]
    [InlineData("""{"aggregate_id":"A","meta":{},"payload":{"val":42},"seq":0,"ts":1,"type":"TEST"}""",
        "a056f116b2c1a960676743b337e693fcb7869a209a962d8fc56aac1caa36aff3")]
    [InlineData("""{"aggregate_id":"A","hash_version":"v2","payload":{"val":42},"seq":0,"ts":1,"type":"TEST"}""",
        "be80aa6b209f609a583aecc8a6d06eeddd4d88b6d0f306c02c2d3d4d7d1dace4")]
    [InlineData("""{"aggregate_id":"A","meta":{"writer_id":"ci"},"payload":{"val":42},"seq":0,"ts":1,"type":"TEST"}""",
        "62516260b8b60df1cabfcc89be00a4e3a6cc40929689dacef5a3d685b61741b5")]
    [InlineData("""{"aggregate_id":"A","hash_version":"v2","meta":{"writer_id":"ci"},"payload":{"val":42},"seq":0,"ts":1,"type":"TEST"}""",
        "6f993715fb15abbf89ff653cd190785bc8ef67cefa03da68286db4b641489cdb")]
    public void Published_hashes_of_both_versions_verify(string eventJson, string hash)
    {
        LedgerVerification result = Verify([$$"""{"event":{{eventJson}},"event_hash":"{{hash}}","prev_hash":"{{Logs.Genesis}}"}"""]);

        result.Valid.ShouldBeTrue();
        result.Chains[0].HeadHash.ShouldBe(hash);
    }

    [Fact]
    public void A_log_that_goes_from_version_1_to_2_verifies()
    {
        string next = Logs.Line(Logs.EventV2("{}", seq: 7), Verify(Logs.DemoV1).Chains[0].HeadHash);

        Verify([.. Logs.DemoV1, next]).Chains[0].Records.ShouldBe(8);
    }

    [Fact]
    public async Task F1_a_changed_payload_is_found()
    {
        List<string> log = await LogAsync();
        log[4] = log[4].Replace("\"exit_code\":3", "\"exit_code\":4", StringComparison.Ordinal);

        Expect(log, line: 5, seq: 4, FailureCodes.EventHashMismatch);
    }

    [Fact]
    public async Task F1_a_changed_payload_with_a_new_event_hash_breaks_the_next_record()
    {
        List<string> log = await LogAsync();
        string[] parts = log[4].Split("\"prev_hash\":\"");
        string eventJson = log[4][9..log[4].IndexOf(",\"event_hash\"", StringComparison.Ordinal)];
        log[4] = Logs.Line(eventJson.Replace("\"exit_code\":3", "\"exit_code\":4", StringComparison.Ordinal), parts[1][..64]);

        Expect(log, line: 6, seq: 5, FailureCodes.PrevHashMismatch);
    }

    [Fact]
    public async Task F1_a_changed_prev_hash_is_found_with_expected_and_actual()
    {
        List<string> log = await LogAsync();
        string before = log[4].Split("\"prev_hash\":\"")[1][..64];
        log[4] = log[4].Replace(before, Logs.Genesis, StringComparison.Ordinal);

        ChainFailure failure = Expect(log, line: 5, seq: 4, FailureCodes.PrevHashMismatch);
        failure.Expected.ShouldBe(before);
        failure.Actual.ShouldBe(Logs.Genesis);
    }

    [Fact]
    public async Task F1_a_removed_line_is_a_gap()
    {
        List<string> log = await LogAsync();
        log.RemoveAt(4);

        ChainFailure failure = Expect(log, line: 5, seq: 4, FailureCodes.SeqGap);
        (failure.Expected, failure.Actual).ShouldBe(("4", "5"));
    }

    [Fact]
    public async Task F1_a_removed_first_line_is_a_gap()
    {
        List<string> log = await LogAsync();
        log.RemoveAt(0);

        Expect(log, line: 1, seq: 0, FailureCodes.SeqGap);
    }

    [Fact]
    public async Task F1_a_repeated_line_is_found()
    {
        List<string> log = await LogAsync();
        log.Insert(5, log[4]);

        Expect(log, line: 6, seq: 5, FailureCodes.SeqRepeated);
    }

    [Fact]
    public async Task F1_an_inserted_line_that_chains_to_its_predecessor_breaks_the_next()
    {
        List<string> log = await LogAsync();
        string hash = log[4].Split("\"event_hash\":\"")[1][..64];
        log.Insert(5, Logs.Line(Logs.EventV2("{}", seq: 5), hash));

        Expect(log, line: 7, seq: 6, FailureCodes.SeqRepeated);
    }

    [Fact]
    public async Task F1_reordered_lines_are_found()
    {
        List<string> log = await LogAsync();
        (log[4], log[5]) = (log[5], log[4]);

        Expect(log, line: 5, seq: 4, FailureCodes.SeqGap);
    }

    [Theory]
    [InlineData("\"payload\":{", "\"payload\":{\"a\":0,\"a\":1,", FailureCodes.DuplicateKey)]
    [InlineData("\"event\":{", "\"event\":{\"aa\":0,", FailureCodes.UnknownField)]
    [InlineData("\"prev_hash\":", "\"note\":0,\"prev_hash\":", FailureCodes.UnknownField)]
    [InlineData("\"payload\":{", "\"payload\": {", FailureCodes.NonCanonical)]
    [InlineData("\"exit_code\":3", "\"exit_code\":3.0", FailureCodes.EventHashMismatch)]
    [InlineData("\"exit_code\":3", "\"exit_code\":NaN", FailureCodes.InvalidJson)]
    [InlineData("sandbox.shell", "sandbox.\\u0073hell", FailureCodes.NonCanonical)]
    public async Task F1_what_slips_past_the_hash_of_the_original_is_refused(string find, string replacement, string code)
    {
        List<string> log = await LogAsync();
        log[4].ShouldContain(find);
        log[4] = log[4].Replace(find, replacement, StringComparison.Ordinal);

        Expect(log, line: 5, seq: 4, code);
    }

    [Fact]
    public async Task A_line_without_its_newline_is_a_warning_and_not_counted()
    {
        List<string> log = await LogAsync();
        string path = Logs.Write(_directory, log);
        await File.AppendAllTextAsync(path, log[0][..100], Cancelled);

        ChainReport report = ChainVerifier.VerifyPath(path, Cancelled).Chains[0];

        report.Valid.ShouldBeTrue();
        report.Records.ShouldBe(log.Count);
        report.TornTail.ShouldNotBeNull().Bytes.ShouldBe(100);
    }

    [Theory]
    [InlineData(1, FailureCodes.TooLong)]
    [InlineData(0, null)]
    public void A_line_of_more_than_1_MiB_is_refused_and_one_of_exactly_1_MiB_is_not(int excess, string? code)
    {
        int overhead = Logs.Line(Logs.EventV2("""{"a":""}""")).Length + 1;
        string line = Logs.Line(Logs.EventV2($$"""{"a":"{{new string('x', LedgerLimits.MaxRecordBytes - overhead + excess)}}"}"""));

        LedgerVerification result = Verify([line]);

        result.Failure?.Code.ShouldBe(code);
        result.Valid.ShouldBe(code is null);
    }

    [Fact]
    public void A_line_of_many_MiB_is_refused_without_being_held()
    {
        string path = _directory.At("log.jsonl");
        using (FileStream file = File.Create(path))
        {
            byte[] chunk = new byte[1024 * 1024];
            chunk.AsSpan().Fill((byte)'x');
            for (int index = 0; index < 40; index++)
            {
                file.Write(chunk);
            }

            file.Write("\n"u8);
        }

        ChainVerifier.VerifyPath(path, Cancelled).Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.TooLong);
    }

    [Fact]
    public async Task F1_any_changed_byte_of_a_committed_log_is_detected()
    {
        byte[] log = await File.ReadAllBytesAsync(Logs.Write(_directory, await LogAsync()), Cancelled);
        var random = new Random(7);
        int step = Soak.Enabled ? 1 : 7;
        for (int at = 0; at < log.Length; at += step)
        {
            byte[] altered = [.. log];
            altered[at] = (byte)(altered[at] ^ random.Next(1, 256));
            string path = _directory.At("altered.jsonl");
            await File.WriteAllBytesAsync(path, altered, Cancelled);

            ChainReport report = ChainVerifier.VerifyPath(path, Cancelled).Chains[0];

            // The very last newline is the one byte whose loss looks like a write that never finished.
            bool detected = !report.Valid || (at == log.Length - 1 && report.TornTail is not null);
            detected.ShouldBeTrue(string.Create(CultureInfo.InvariantCulture, $"byte {at} changed to {altered[at]:x2}"));
        }
    }

    [Fact]
    public void A_path_without_a_chain_is_said_to_have_none()
    {
        ChainVerifier.VerifyPath(_directory, Cancelled).Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.NotALedger);
        Should.Throw<FileNotFoundException>(() => ChainVerifier.VerifyPath(_directory.At("absent"), Cancelled));
    }

    [Fact]
    public async Task A_cancelled_verification_stops()
    {
        string path = Logs.Write(_directory, await LogAsync());

        Should.Throw<OperationCanceledException>(() => ChainVerifier.VerifyPath(path, new CancellationToken(canceled: true)));
    }

    private static async Task<List<string>> LogAsync()
    {
        List<string> log = [.. await Logs.OfLedgerAsync(9, Cancelled)];
        log.Count.ShouldBe(10);
        return log;
    }

    private ChainFailure Expect(IReadOnlyList<string> log, long line, long seq, string code)
    {
        LedgerVerification result = Verify(log);
        ChainFailure failure = result.Failure.ShouldNotBeNull();
        failure.Code.ShouldBe(code);
        failure.Line.ShouldBe(line);
        failure.Seq.ShouldBe(seq);
        result.Chains[0].Records.ShouldBe(line - 1);
        return failure;
    }

    private LedgerVerification Verify(IEnumerable<string> log) => ChainVerifier.VerifyPath(Logs.Write(_directory, log), Cancelled);
}
