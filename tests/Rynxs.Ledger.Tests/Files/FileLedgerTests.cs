using System.Globalization;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Files;

public sealed class FileLedgerTests : IDisposable
{
    private static readonly ChainOptions NoMirror = new();
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Appended_records_come_back_and_verify()
    {
        await using FileLedger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);

        AppendedRecord first = await chain.AppendAsync(Entries.Numbered(1), Cancelled);
        AppendedRecord second = await chain.AppendAsync(Entries.Numbered(2), Cancelled);

        second.PrevHash.ShouldBe(first.EventHash);
        chain.Head.ShouldBe(new ChainHead(2, second.EventHash));
        List<LedgerRecord> records = await ReadAsync(chain);
        records.Select(record => record.Type).ShouldBe(["LedgerOpened", "ToolOutcome", "ToolOutcome"]);
        records.Select(record => record.Ts).ShouldBe([1, 2, 3]);
        records[2].Payload.GetProperty("exit_code").GetInt32().ShouldBe(2);
        records[2].Meta.GetProperty("principal").GetString().ShouldBe("agent:rynxs/my-agent");
        records[2].HashVersion.ShouldBe(2);
        records[0].Payload.GetRawText().ShouldBe("""{"epoch":1}""");
        Verify().Chains[0].HeadHash.ShouldBe(second.EventHash);
    }

    [Fact]
    public async Task Each_opening_for_writing_has_the_next_epoch()
    {
        for (int epoch = 1; epoch <= 3; epoch++)
        {
            await using FileLedger ledger = await OpenAsync();
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            chain.Epoch.ShouldBe(epoch);
            (await chain.AppendAsync(Entries.Numbered(epoch), Cancelled)).Seq.ShouldBe((2 * epoch) - 1);
            (await ReadAsync(chain))[^1].Meta.GetProperty("epoch").GetInt64().ShouldBe(epoch);
        }

        Verify().Valid.ShouldBeTrue();
    }

    [Fact]
    public async Task A_chain_that_the_original_began_is_continued()
    {
        Directory.CreateDirectory(_directory.At("control"));
        Logs.Write(_directory.At("control"), Logs.DemoV1, SegmentName.Of(0));

        await using FileLedger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);

        chain.Head.Seq.ShouldBe(7);
        chain.Epoch.ShouldBe(1);
        (await ReadAsync(chain)).Select(record => record.HashVersion).ShouldBe([1, 1, 1, 1, 1, 1, 1, 2]);
        Verify().Chains[0].Records.ShouldBe(8);
    }

    [Fact]
    public async Task Sixty_four_writers_keep_the_chain_in_order_and_without_gaps()
    {
        await using FileLedger ledger = await OpenAsync(segmentBytes: 20_000);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);

        AppendedRecord[][] appended = await Task.WhenAll(Enumerable.Range(0, 64).Select(async writer =>
        {
            var mine = new List<AppendedRecord>();
            for (int number = 0; number < 25; number++)
            {
                mine.Add(await chain.AppendAsync(Entries.Numbered((writer * 100) + number), Cancelled));
            }

            return mine.ToArray();
        }));

        appended.ShouldAllBe(mine => mine.Zip(mine.Skip(1)).All(pair => pair.First.Seq < pair.Second.Seq));
        appended.SelectMany(mine => mine).Select(record => record.Seq).Order().ShouldBe(Enumerable.Range(1, 1600).Select(seq => (long)seq));
        Directory.GetFiles(_directory.At("control"), "records-*").Length.ShouldBeGreaterThan(5);
        (await ReadAsync(chain)).Count.ShouldBe(1601);
        (await ReadAsync(chain, 1234)).Select(record => record.Seq).ShouldBe(Enumerable.Range(1234, 367).Select(seq => (long)seq));
        Verify().Chains[0].Records.ShouldBe(1601);
    }

    [Fact]
    public async Task F1_a_missing_middle_segment_is_named_as_a_gap_by_writer_and_verifier()
    {
        await using (FileLedger ledger = await OpenAsync(segmentBytes: 2000))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            for (int number = 0; number < 40; number++)
            {
                await chain.AppendAsync(Entries.Numbered(number), Cancelled);
            }
        }

        string[] segments = [.. Directory.GetFiles(_directory.At("control"), "records-*").Order(StringComparer.Ordinal)];
        segments.Length.ShouldBeGreaterThan(3);
        Verify().Valid.ShouldBeTrue();
        File.Delete(segments[1]);

        ChainFailure failure = Verify().Failure.ShouldNotBeNull();
        failure.Code.ShouldBe(FailureCodes.SeqGap);
        failure.File.ShouldBe(segments[2]);
        await using FileLedger again = await OpenAsync();
        LedgerCorruptException refused = await Should.ThrowAsync<LedgerCorruptException>(
            async () => await again.OpenAsync(ChainId.Control, NoMirror, Cancelled));
        refused.Seq.ShouldBe(failure.Seq);
        refused.Expected.ShouldBe(failure.Expected);
        refused.Actual.ShouldBe(failure.Actual);
    }

    [Fact]
    public async Task F1_a_missing_first_segment_is_named_as_a_gap()
    {
        await using (FileLedger ledger = await OpenAsync(segmentBytes: 1))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            await chain.AppendAsync(Entries.Numbered(1), Cancelled);
        }

        File.Delete(_directory.At("control", SegmentName.Of(0)));

        Verify().Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.SeqGap);
        Verify().Failure.ShouldNotBeNull().Seq.ShouldBe(0);
    }

    [Fact]
    public async Task F1_damage_inside_a_chain_stops_the_writer_with_the_sequence()
    {
        await using (FileLedger ledger = await OpenAsync())
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            await chain.AppendAsync(Entries.Numbered(111), Cancelled);
            await chain.AppendAsync(Entries.Numbered(222), Cancelled);
        }

        string path = _directory.At("control", SegmentName.Of(0));
        string text = await File.ReadAllTextAsync(path, Cancelled);
        await File.WriteAllTextAsync(path, text.Replace("call-111", "call-112", StringComparison.Ordinal), Cancelled);

        await using FileLedger again = await OpenAsync();
        LedgerCorruptException refused = await Should.ThrowAsync<LedgerCorruptException>(
            async () => await again.OpenAsync(ChainId.Control, NoMirror, Cancelled));

        refused.Seq.ShouldBe(1);
        refused.File.ShouldBe(path);
        refused.Expected.ShouldNotBe(refused.Actual);
        (await File.ReadAllTextAsync(path, Cancelled)).Length.ShouldBe(text.Length, "damage is left as it is");
    }

    [Fact]
    public async Task A_second_writer_is_refused_and_told_who_the_first_is()
    {
        await using (FileLedger first = await OpenAsync())
        {
            LedgerLockedException refused = await Should.ThrowAsync<LedgerLockedException>(OpenAsync);
            refused.OwnerPid.ShouldBe(Environment.ProcessId);
            refused.Message.ShouldContain(Environment.ProcessId.ToString(CultureInfo.InvariantCulture));
        }

        await using FileLedger second = await OpenAsync();
    }

    [Fact]
    public async Task Readers_need_no_lock_while_a_writer_writes()
    {
        await using FileLedger ledger = await OpenAsync(segmentBytes: 5000);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        Task writing = Task.Run(async () =>
        {
            for (int number = 0; number < 300; number++)
            {
                await chain.AppendAsync(Entries.Numbered(number), Cancelled);
            }
        }, Cancelled);

        int verified = 0;
        while (!writing.IsCompleted)
        {
            Verify().Failure.ShouldBeNull();
            verified++;
        }

        await writing;
        verified.ShouldBeGreaterThan(0);
        Verify().Chains[0].Records.ShouldBe(301);
    }

    [Fact]
    public async Task F5_a_clock_that_jumps_back_breaks_nothing()
    {
        var clock = new SteppingClock();
        await using FileLedger ledger = await FileLedger.OpenAsync(
            new FileLedgerOptions { Directory = _directory, TimeProvider = clock }, Cancelled);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        clock.Now = new DateTimeOffset(2001, 2, 3, 4, 5, 6, TimeSpan.Zero);
        await chain.AppendAsync(Entries.Numbered(1), Cancelled);
        clock.Now = DateTimeOffset.MinValue;
        await chain.AppendAsync(Entries.Numbered(2), Cancelled);

        (await ReadAsync(chain)).Select(record => record.Meta.GetProperty("time").GetString())
            .ShouldBe(["2026-11-22T00:00:00.000000Z", "2001-02-03T04:05:06.000000Z", "0001-01-01T00:00:00.000000Z"]);
        Verify().Valid.ShouldBeTrue();
    }

    [Theory]
    [InlineData("two\nlines\r\n{\"event\":{}}")]
    [InlineData("\u001b[2J\u001b]0;title\u0007")]
    [InlineData("\"},\"seq\":0,\"x\":{\"")]
    [InlineData("\0\u007f\u2028\uFFFE\\")]
    public async Task F4_hostile_text_in_any_field_stays_inside_its_line(string text)
    {
        await using FileLedger ledger = await FileLedger.OpenAsync(
            new FileLedgerOptions { Directory = _directory, WriterId = text }, Cancelled);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);

        await chain.AppendAsync(Entries.WithText(text), Cancelled);

        LedgerRecord record = (await ReadAsync(chain))[1];
        record.AggregateId.ShouldBe(text);
        record.Payload.GetProperty("reason").GetString().ShouldBe(text);
        record.Meta.GetProperty("trace_id").GetString().ShouldBe(text);
        byte[] bytes = await File.ReadAllBytesAsync(_directory.At("control", SegmentName.Of(0)), Cancelled);
        bytes.Count(value => value < 0x20).ShouldBe(2, "two newlines and no other control character");
        Verify().Chains[0].Records.ShouldBe(2);
    }

    [Fact]
    public async Task F4_a_lone_surrogate_or_an_oversized_text_is_refused_and_the_chain_goes_on()
    {
        await using FileLedger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);

        await Should.ThrowAsync<ArgumentException>(async () => await chain.AppendAsync(Entries.WithText("\ud800"), Cancelled));
        LedgerEntry inPayload = Entries.WithText("x") with
        {
            Payload = new Rynxs.Ledger.Events.RequestDenied { Verb = "\ud800", Resource = "x", Reason = "x" },
        };
        await Should.ThrowAsync<ArgumentException>(async () => await chain.AppendAsync(inPayload, Cancelled));
        await Should.ThrowAsync<ArgumentException>(
            async () => await chain.AppendAsync(Entries.WithText(new string('x', LedgerLimits.MaxRecordBytes)), Cancelled));

        (await chain.AppendAsync(Entries.Numbered(1), Cancelled)).Seq.ShouldBe(1);
        Verify().Valid.ShouldBeTrue();
    }

    [Fact]
    public async Task Side_blobs_are_found_by_their_commitment_before_and_after_reopening()
    {
        SideBlob[] blobs = [.. Enumerable.Range(0, 50).Select(number => SideBlob.Create($"text {number}"))];
        await using (FileLedger ledger = await OpenAsync(segmentBytes: 1000))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Agent("rynxs", "my-agent"), NoMirror, Cancelled);
            foreach (SideBlob blob in blobs)
            {
                await chain.AppendAsync(Entries.Numbered(0) with { Blobs = [blob] }, Cancelled);
            }

            await ExpectAllAsync(chain, blobs);
        }

        await using FileLedger again = await OpenAsync();
        ILedgerChain reopened = await again.OpenAsync(ChainId.Agent("rynxs", "my-agent"), NoMirror, Cancelled);
        await ExpectAllAsync(reopened, blobs);
        (await reopened.ReadBlobAsync(SideBlob.Create("other").Commitment, Cancelled)).ShouldBeNull();
        (await reopened.ReadBlobAsync(new Commitment("sha256:\"}\n"), Cancelled)).ShouldBeNull();
        Verify().Chains[0].BlobsVerified.ShouldBe(50);
    }

    [Fact]
    public async Task Erased_blobs_leave_the_chain_valid_and_altered_ones_are_found()
    {
        SideBlob secret = SideBlob.Create("a secret");
        SideBlob other = SideBlob.Create("another text");
        await using (FileLedger ledger = await OpenAsync())
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            await chain.AppendAsync(Entries.Numbered(0) with { Blobs = [secret, other] }, Cancelled);
        }

        string path = Directory.GetFiles(_directory.At("control"), "blobs-*").Single();
        string[] lines = await File.ReadAllLinesAsync(path, Cancelled);
        await File.WriteAllTextAsync(path, lines[1] + "\n", Cancelled);

        await using (FileLedger again = await OpenAsync())
        {
            ILedgerChain reopened = await again.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            (await reopened.ReadBlobAsync(secret.Commitment, Cancelled)).ShouldBeNull();
            (await reopened.ReadBlobAsync(other.Commitment, Cancelled)).ShouldNotBeNull();
        }

        Verify().Valid.ShouldBeTrue();

        string content = Convert.ToBase64String(other.Content.Span);
        await File.WriteAllTextAsync(path, lines[1].Replace(content, content[..^1] + "A", StringComparison.Ordinal).Replace("=", "A", StringComparison.Ordinal) + "\n", Cancelled);
        Verify().Failure.ShouldNotBeNull().Code.ShouldBeOneOf(FailureCodes.BlobMismatch, FailureCodes.BlobMalformed);
    }

    [Fact]
    public async Task A_follower_is_woken_by_the_append_that_it_waits_for()
    {
        await using FileLedger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        await chain.WaitForAppendAsync(-1, Cancelled);
        Task waiting = chain.WaitForAppendAsync(1, Cancelled);

        await chain.AppendAsync(Entries.Numbered(1), Cancelled);
        waiting.IsCompleted.ShouldBeFalse();
        await chain.AppendAsync(Entries.Numbered(2), Cancelled);

        await waiting.WaitAsync(TimeSpan.FromSeconds(30), Cancelled);
    }

    [Fact]
    public async Task Chains_are_listed_and_stray_directories_are_not()
    {
        await using FileLedger ledger = await OpenAsync();
        await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        await ledger.OpenAsync(ChainId.Agent("b", "x"), NoMirror, Cancelled);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Agent("a", "y"), NoMirror, Cancelled);
        Directory.CreateDirectory(_directory.At("agents", "Not A Label", "x"));

        ledger.ListChains().Select(id => id.RelativePath).ShouldBe(["agents/a/y", "agents/b/x", "control"]);
        (await ledger.OpenAsync(ChainId.Agent("a", "y"), NoMirror, Cancelled)).ShouldBeSameAs(chain);
    }

    [Fact]
    public async Task After_disposal_appends_and_followers_are_refused()
    {
        FileLedger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        Task waiting = chain.WaitForAppendAsync(100, Cancelled);
        await ledger.DisposeAsync();

        await Should.ThrowAsync<LedgerUnavailableException>(async () => await chain.AppendAsync(Entries.Numbered(1), Cancelled));
        await Should.ThrowAsync<LedgerUnavailableException>(waiting);
        await ledger.DisposeAsync();
    }

    private static async Task ExpectAllAsync(ILedgerChain chain, IEnumerable<SideBlob> blobs)
    {
        foreach (SideBlob blob in blobs)
        {
            SideBlob found = (await chain.ReadBlobAsync(blob.Commitment, Cancelled)).ShouldNotBeNull();
            found.Content.ToArray().ShouldBe(blob.Content.ToArray());
        }
    }

    private static async Task<List<LedgerRecord>> ReadAsync(ILedgerChain chain, long fromSeq = 0)
    {
        var records = new List<LedgerRecord>();
        await foreach (LedgerRecord record in chain.ReadAsync(fromSeq, Cancelled))
        {
            records.Add(record);
        }

        return records;
    }

    private Task<FileLedger> OpenAsync() => OpenAsync(64 * 1024 * 1024);

    private Task<FileLedger> OpenAsync(long segmentBytes) =>
        FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory, SegmentBytes = segmentBytes }, Cancelled);

    private LedgerVerification Verify() => ChainVerifier.VerifyPath(_directory, Cancelled);

    private sealed class SteppingClock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 11, 22, 0, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
