using System.Globalization;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Chains;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Conformance;

/// <summary>How a test opens the ledger under test.</summary>
/// <param name="TakeOver">Fence whoever has it.</param>
/// <param name="Clock">Clock of the ledger.</param>
public sealed record OpenHow(bool TakeOver = false, TimeProvider? Clock = null);

/// <summary>What every store does alike. Each test has a ledger of its own, empty at first.</summary>
public abstract class LedgerConformance : IAsyncLifetime
{
    private static readonly ChainOptions NoMirror = new();
    private static readonly ChainId Agent = ChainId.Agent("rynxs", "my-agent");
    private readonly TemporaryDirectory _directory = new();

    /// <summary>A directory for whatever the test needs beside the ledger.</summary>
    private protected TemporaryDirectory Scratch => _directory;

    protected static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public virtual ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public virtual ValueTask DisposeAsync()
    {
        _directory.Dispose();
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    /// <summary>Opens the test's ledger.</summary>
    protected abstract Task<ILedger> OpenAsync(OpenHow how);

    /// <summary>Leaves behind what a write leaves that was cut short, while the ledger is closed.</summary>
    protected abstract Task TearAsync();

    [Fact]
    public async Task Appended_records_come_back_and_an_independent_verifier_accepts_them()
    {
        await using ILedger ledger = await OpenAsync(new OpenHow());
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);

        AppendedRecord first = await chain.AppendAsync(Entries.Numbered(1), Cancelled);
        AppendedRecord second = await chain.AppendAsync(Entries.Numbered(2, blobText: "a text"), Cancelled);

        second.PrevHash.ShouldBe(first.EventHash);
        chain.Head.ShouldBe(new ChainHead(2, second.EventHash));
        List<LedgerRecord> records = await ReadAsync(chain);
        records.Select(record => record.Type).ShouldBe(["LedgerOpened", "ToolOutcome", "ToolOutcome"]);
        records.Select(record => record.EventHash).Skip(1).ShouldBe([first.EventHash, second.EventHash]);
        (await VerifyAsync(chain)).Records.ShouldBe(3);
    }

    [Fact]
    public async Task Many_writers_at_once_leave_one_chain_without_gaps()
    {
        const int Writers = 16;
        const int Each = 20;
        await using ILedger ledger = await OpenAsync(new OpenHow());
        ILedgerChain chain = await ledger.OpenAsync(Agent, NoMirror, Cancelled);

        AppendedRecord[][] appended = await Task.WhenAll(Enumerable.Range(0, Writers).Select(writer => Task.Run(
            async () =>
            {
                var mine = new List<AppendedRecord>();
                for (int number = 0; number < Each; number++)
                {
                    mine.Add(await chain.AppendAsync(Entries.Numbered((writer * Each) + number, number % 5 == 0 ? "blob" : null), Cancelled));
                }

                return mine.ToArray();
            },
            Cancelled)));

        List<LedgerRecord> records = await ReadAsync(chain);
        records.Count.ShouldBe((Writers * Each) + 1);
        foreach (AppendedRecord[] mine in appended)
        {
            mine.Select(record => record.Seq).ShouldBeInOrder();
            mine.ShouldAllBe(record => records[(int)record.Seq].EventHash == record.EventHash);
        }

        (await VerifyAsync(chain)).Records.ShouldBe(records.Count);
    }

    [Fact]
    public async Task Chains_of_one_ledger_grow_side_by_side()
    {
        await using ILedger ledger = await OpenAsync(new OpenHow());
        ILedgerChain[] chains =
        [
            await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled), await ledger.OpenAsync(Agent, NoMirror, Cancelled),
        ];
        await Task.WhenAll(chains.SelectMany(chain => Enumerable.Range(0, 20).Select(number => chain.AppendAsync(Entries.Numbered(number), Cancelled).AsTask())));

        foreach (ILedgerChain chain in chains)
        {
            (await VerifyAsync(chain)).Records.ShouldBe(21);
        }
    }

    [Fact]
    public async Task Reading_from_any_sequence_gives_what_follows()
    {
        await using ILedger ledger = await OpenAsync(new OpenHow());
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        for (int number = 0; number < 12; number++)
        {
            await chain.AppendAsync(Entries.Numbered(number), Cancelled);
        }

        for (int from = 0; from <= 14; from++)
        {
            (await ReadAsync(chain, from)).Select(record => record.Seq).ShouldBe(Enumerable.Range(0, 13).Skip(from).Select(seq => (long)seq));
        }
    }

    [Fact]
    public async Task Each_opening_is_an_epoch_and_the_head_stays()
    {
        ChainHead head = default;
        for (int epoch = 1; epoch <= 3; epoch++)
        {
            await using ILedger ledger = await OpenAsync(new OpenHow());
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            chain.Epoch.ShouldBe(epoch);
            List<LedgerRecord> before = await ReadAsync(chain);
            before[^1].Payload.GetProperty("epoch").GetInt64().ShouldBe(epoch);
            before[^1].PrevHash.ShouldBe(epoch == 1 ? new string('0', 64) : head.EventHash);
            AppendedRecord record = await chain.AppendAsync(Entries.Numbered(epoch), Cancelled);
            head = chain.Head;
            head.ShouldBe(new ChainHead((epoch * 2) - 1, record.EventHash));
            (await ReadAsync(chain))[^1].Meta.GetProperty("epoch").GetInt64().ShouldBe(epoch);
        }
    }

    [Fact]
    public async Task A_second_writer_fences_the_first_and_nothing_of_its_next_append_is_readable()
    {
        await using ILedger first = await OpenAsync(new OpenHow());
        ILedgerChain old = await first.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        await old.AppendAsync(Entries.Numbered(1), Cancelled);

        await using ILedger second = await OpenAsync(new OpenHow(TakeOver: true));
        ILedgerChain current = await second.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        current.Epoch.ShouldBe(2);

        SideBlob blob = SideBlob.Create("of the fenced writer");
        LedgerEntry late = Entries.Numbered(666) with { Blobs = [blob] };
        LedgerFencedException refused = await Should.ThrowAsync<LedgerFencedException>(async () => await old.AppendAsync(late, Cancelled));
        refused.IsLasting.ShouldBeTrue();
        await Should.ThrowAsync<LedgerFencedException>(async () => await old.AppendAsync(Entries.Numbered(667), Cancelled));
        await Should.ThrowAsync<LedgerFencedException>(async () => await first.OpenAsync(ChainId.Control, NoMirror, Cancelled));

        AppendedRecord next = await current.AppendAsync(Entries.Numbered(2), Cancelled);
        next.Seq.ShouldBe(3);
        List<LedgerRecord> records = await ReadAsync(current);
        records.Select(record => record.Type).ShouldBe(["LedgerOpened", "ToolOutcome", "LedgerOpened", "ToolOutcome"]);
        records.ShouldAllBe(record => !record.Payload.GetRawText().Contains("call-66", StringComparison.Ordinal));
        (await VerifyAsync(current)).Records.ShouldBe(4);

        await first.DisposeAsync();
        await second.DisposeAsync();
        await using ILedger third = await OpenAsync(new OpenHow());
        (await third.OpenAsync(ChainId.Control, NoMirror, Cancelled)).Head.Seq.ShouldBe(4, "what is stored is what the second writer left");
    }

    [Fact]
    public async Task A_fenced_writer_answers_none_of_many_waiting_callers_with_success()
    {
        await using ILedger first = await OpenAsync(new OpenHow());
        ILedgerChain old = await first.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        await using ILedger second = await OpenAsync(new OpenHow(TakeOver: true));
        ILedgerChain current = await second.OpenAsync(ChainId.Control, NoMirror, Cancelled);

        Task<AppendedRecord>[] late = [.. Enumerable.Range(0, 50).Select(number => Task.Run(async () => await old.AppendAsync(Entries.Numbered(number), Cancelled), Cancelled))];
        foreach (Task<AppendedRecord> append in late)
        {
            await Should.ThrowAsync<LedgerFencedException>(append);
        }

        (await ReadAsync(current)).Count.ShouldBe(2);
    }

    [Fact]
    public async Task A_claim_begins_an_epoch_and_fences_appends_of_the_one_before()
    {
        await using ILedger ledger = await OpenAsync(new OpenHow());
        IClaimableChain chain = (await ledger.OpenAsync(Agent, NoMirror, Cancelled)).ShouldBeAssignableTo<IClaimableChain>().ShouldNotBeNull();
        long first = await chain.ClaimAsync("writer:a", Cancelled);
        await chain.AppendAsync([Entries.Numbered(1)], first, Cancelled);

        long second = await chain.ClaimAsync("writer:b", Cancelled);

        second.ShouldBe(first + 1);
        await Should.ThrowAsync<LedgerFencedException>(async () => await chain.AppendAsync([Entries.Numbered(666)], first, Cancelled));
        (await chain.AppendAsync([Entries.Numbered(2)], second, Cancelled)).Single().Seq.ShouldBe(4);
        List<LedgerRecord> records = await ReadAsync(chain);
        records.Select(record => record.Meta.GetProperty("epoch").GetInt64()).ShouldBe([1, 2, 2, 3, 3]);
        records.Select(record => record.Meta.GetProperty("principal").GetString()).Where(name => name?.StartsWith("writer", StringComparison.Ordinal) == true).ShouldBe(["writer:a", "writer:b"]);
        long[] raced = await Task.WhenAll(Enumerable.Range(0, 8).Select(number => chain.ClaimAsync($"writer:{number}", Cancelled).AsTask()));
        raced.Order().ShouldBe(Enumerable.Range(4, 8).Select(epoch => (long)epoch), "no epoch is given twice");
    }

    [Fact]
    public async Task A_group_is_recorded_in_its_order_and_as_a_whole_or_not_at_all()
    {
        await using ILedger ledger = await OpenAsync(new OpenHow());
        IClaimableChain chain = (await ledger.OpenAsync(Agent, NoMirror, Cancelled)).ShouldBeAssignableTo<IClaimableChain>().ShouldNotBeNull();
        LedgerEntry[] group = [.. Enumerable.Range(0, 300).Select(number => Entries.Numbered(number) with { IdempotencyKey = $"key-{number}" })];

        IReadOnlyList<AppendedRecord> records = await chain.AppendAsync(group, chain.Epoch, Cancelled);

        records.Select(record => record.Seq).ShouldBe(Enumerable.Range(1, 300).Select(seq => (long)seq));
        (await chain.AppendAsync(group[100..200], chain.Epoch, Cancelled)).ShouldBe(records.Skip(100).Take(100), "sent again, and recorded once");
        LedgerEntry other = Entries.Numbered(999) with { IdempotencyKey = "key-5" };
        await Should.ThrowAsync<IdempotencyConflictException>(async () => await chain.AppendAsync([Entries.Numbered(998), other], chain.Epoch, Cancelled));
        chain.Head.Seq.ShouldBe(300);
        (await VerifyAsync(chain)).Records.ShouldBe(301);
    }

    [Fact]
    public async Task Events_of_a_type_that_nobody_knows_are_kept_and_verified()
    {
        await using (ILedger ledger = await OpenAsync(new OpenHow()))
        {
            ILedgerChain chain = await ledger.OpenAsync(Agent, NoMirror, Cancelled);
            await chain.AppendAsync(
                Entries.Numbered(1) with { Payload = new Rynxs.Ledger.Events.ForwardedPayload("FromTheFuture", System.Text.Json.JsonElement.Parse("""{"z":1,"a":{"b":[true,null]}}""")) }, Cancelled);
            await Should.ThrowAsync<ArgumentException>(async () => await chain.AppendAsync(
                Entries.Numbered(1) with { Payload = new Rynxs.Ledger.Events.ForwardedPayload("Floats", System.Text.Json.JsonElement.Parse("""{"a":1.5}""")) }, Cancelled));
        }

        await using ILedger again = await OpenAsync(new OpenHow());
        ILedgerChain reopened = await again.OpenAsync(Agent, NoMirror, Cancelled);
        LedgerRecord record = (await ReadAsync(reopened))[1];
        record.Type.ShouldBe("FromTheFuture");
        record.Payload.GetRawText().ShouldBe("""{"a":{"b":[true,null]},"z":1}""");
        (await VerifyAsync(reopened)).Records.ShouldBe(3);
    }

    [Fact]
    public async Task A_repeated_entry_is_recorded_once_also_after_reopening()
    {
        SideBlob blob = SideBlob.Create("text");
        LedgerEntry entry = Entries.Numbered(1) with { IdempotencyKey = "key-1", Blobs = [blob] };
        AppendedRecord first;
        await using (ILedger ledger = await OpenAsync(new OpenHow()))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            first = await chain.AppendAsync(entry, Cancelled);
            (await chain.AppendAsync(entry, Cancelled)).ShouldBe(first);
            AppendedRecord[] together = await Task.WhenAll(Enumerable.Range(0, 20).Select(
                _ => Task.Run(async () => await chain.AppendAsync(Entries.Numbered(2) with { IdempotencyKey = "key-2" }, Cancelled), Cancelled)));
            together.Distinct().Count().ShouldBe(1);
            chain.Head.Seq.ShouldBe(2);
            IdempotencyConflictException refused = await Should.ThrowAsync<IdempotencyConflictException>(
                async () => await chain.AppendAsync(Entries.Numbered(3) with { IdempotencyKey = "key-1" }, Cancelled));
            refused.Seq.ShouldBe(first.Seq);
            chain.Head.Seq.ShouldBe(2);
        }

        await using (ILedger ledger = await OpenAsync(new OpenHow()))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            (await chain.AppendAsync(entry, Cancelled)).ShouldBe(first);
            await Should.ThrowAsync<IdempotencyConflictException>(
                async () => await chain.AppendAsync(Entries.Numbered(3) with { IdempotencyKey = "key-2" }, Cancelled));
            (await chain.AppendAsync(Entries.Numbered(3) with { IdempotencyKey = "key-3" }, Cancelled)).Seq.ShouldBe(4);
            (await ReadAsync(chain))[4].Meta.GetProperty("idempotency_key").GetString().ShouldBe("key-3");
            (await VerifyAsync(chain)).Records.ShouldBe(5);
        }
    }

    [Fact]
    public async Task Side_blobs_are_found_by_their_commitment_before_and_after_reopening()
    {
        SideBlob[] blobs = [.. Enumerable.Range(0, 10).Select(number => SideBlob.Create($"text {number}"))];
        await using (ILedger ledger = await OpenAsync(new OpenHow()))
        {
            ILedgerChain chain = await ledger.OpenAsync(Agent, NoMirror, Cancelled);
            foreach (SideBlob blob in blobs)
            {
                await chain.AppendAsync(Entries.Numbered(0) with { Blobs = [blob] }, Cancelled);
            }

            await ExpectAllAsync(chain, blobs);
        }

        await using ILedger again = await OpenAsync(new OpenHow());
        ILedgerChain reopened = await again.OpenAsync(Agent, NoMirror, Cancelled);
        await ExpectAllAsync(reopened, blobs);
        (await reopened.ReadBlobAsync(SideBlob.Create("other").Commitment, Cancelled)).ShouldBeNull();
        (await reopened.ReadBlobAsync(new Commitment("sha256:\"}\n"), Cancelled)).ShouldBeNull();
    }

    [Fact]
    public async Task Records_and_blobs_at_their_limits_are_kept_and_beyond_them_refused()
    {
        await using ILedger ledger = await OpenAsync(new OpenHow());
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        int room = LedgerLimits.MaxRecordBytes - 1024;
        LedgerEntry largest = Entries.WithText("x") with { Payload = new Rynxs.Ledger.Events.RequestDenied { Verb = "v", Resource = "r", Reason = new string('x', room) } };
        SideBlob blob = SideBlob.Create(new byte[LedgerLimits.MaxBlobBytes]);

        (await chain.AppendAsync(largest with { Blobs = [blob] }, Cancelled)).Seq.ShouldBe(1);
        await Should.ThrowAsync<ArgumentException>(async () => await chain.AppendAsync(
            largest with { Payload = new Rynxs.Ledger.Events.RequestDenied { Verb = "v", Resource = "r", Reason = new string('x', room + 1024) } }, Cancelled));
        await Should.ThrowAsync<ArgumentException>(async () => await chain.AppendAsync(largest with { Blobs = [blob, blob, SideBlob.Create("x")] }, Cancelled));
        await Should.ThrowAsync<ArgumentException>(async () => await chain.AppendAsync(largest with { IdempotencyKey = new string('x', 129) }, Cancelled));
        await Should.ThrowAsync<ArgumentException>(async () => await chain.AppendAsync(Entries.WithText("\ud800"), Cancelled));

        (await ReadAsync(chain))[1].Payload.GetProperty("reason").GetString()?.Length.ShouldBe(room);
        (await chain.ReadBlobAsync(blob.Commitment, Cancelled)).ShouldNotBeNull().Content.Length.ShouldBe(LedgerLimits.MaxBlobBytes);
        (await VerifyAsync(chain)).Records.ShouldBe(2);
    }

    [Fact]
    public async Task An_append_that_is_cancelled_in_time_leaves_nothing_and_one_that_is_late_is_answered()
    {
        await using ILedger ledger = await OpenAsync(new OpenHow());
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        using var cancelled = new CancellationTokenSource();
        Task<AppendedRecord>[] appends = [.. Enumerable.Range(0, 200).Select(number => Task.Run(async () => await chain.AppendAsync(Entries.Numbered(number), cancelled.Token), Cancelled))];
        await chain.WaitForAppendAsync(3, Cancelled);
        await cancelled.CancelAsync();

        var answered = new List<AppendedRecord>();
        foreach (Task<AppendedRecord> append in appends)
        {
            try
            {
                answered.Add(await append);
            }
            catch (OperationCanceledException)
            {
                // Not queued, so not recorded: the count below shows it.
            }
        }

        List<LedgerRecord> records = await ReadAsync(chain);
        records.Count.ShouldBe(answered.Count + 1);
        answered.ShouldAllBe(record => records[(int)record.Seq].EventHash == record.EventHash);
    }

    [Fact]
    public async Task What_an_interrupted_write_left_is_not_part_of_the_chain_and_the_chain_goes_on()
    {
        AppendedRecord last;
        await using (ILedger ledger = await OpenAsync(new OpenHow()))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            await chain.AppendAsync(Entries.Numbered(1), Cancelled);
            last = await chain.AppendAsync(Entries.Numbered(2, "blob"), Cancelled);
        }

        await TearAsync();

        await using ILedger again = await OpenAsync(new OpenHow());
        ILedgerChain reopened = await again.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        List<LedgerRecord> records = await ReadAsync(reopened);
        records[2].EventHash.ShouldBe(last.EventHash);
        records.Count.ShouldBe(4);
        (await reopened.AppendAsync(Entries.Numbered(3), Cancelled)).Seq.ShouldBe(4);
        (await VerifyAsync(reopened)).Records.ShouldBe(5);
    }

    [Fact]
    public async Task The_mirror_holds_every_line_across_openings_and_is_made_anew_when_it_disagrees()
    {
        string mirror = _directory.At("audit.jsonl");
        for (int round = 0; round < 3; round++)
        {
            await using (ILedger ledger = await OpenAsync(new OpenHow()))
            {
                ILedgerChain chain = await ledger.OpenAsync(Agent, new ChainOptions { MirrorPath = mirror }, Cancelled);
                await Task.WhenAll(Enumerable.Range(0, 10).Select(number => Task.Run(async () => await chain.AppendAsync(Entries.Numbered(number), Cancelled), Cancelled)));
                await Should.ThrowAsync<ArgumentException>(async () => await ledger.OpenAsync(Agent, new ChainOptions { MirrorPath = mirror + "2" }, Cancelled));
            }

            LedgerVerification verified = ChainVerifier.VerifyPath(mirror, Cancelled);
            verified.Valid.ShouldBeTrue();
            verified.Records.ShouldBe(11 * (round + 1));
            if (round == 1)
            {
                byte[] bytes = await File.ReadAllBytesAsync(mirror, Cancelled);
                bytes[100] ^= 1;
                await File.WriteAllBytesAsync(mirror, bytes, Cancelled);
            }
        }
    }

    [Fact]
    public async Task F5_a_clock_that_jumps_back_breaks_nothing()
    {
        var clock = new SteppingClock();
        await using ILedger ledger = await OpenAsync(new OpenHow(Clock: clock));
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        clock.Now = new DateTimeOffset(2001, 2, 3, 4, 5, 6, TimeSpan.Zero);
        await chain.AppendAsync(Entries.Numbered(1), Cancelled);

        (await ReadAsync(chain)).Select(record => record.Meta.GetProperty("time").GetString()).ShouldBe(["2026-11-22T00:00:00.000000Z", "2001-02-03T04:05:06.000000Z"]);
        (await VerifyAsync(chain)).Records.ShouldBe(2);
    }

    [Fact]
    public async Task Chains_are_listed_and_opening_one_again_gives_the_same()
    {
        await using (ILedger ledger = await OpenAsync(new OpenHow()))
        {
            await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            await ledger.OpenAsync(ChainId.Agent("b", "x"), NoMirror, Cancelled);
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Agent("a", "y"), NoMirror, Cancelled);
            ledger.ListChains().Select(id => id.RelativePath).ShouldBe(["agents/a/y", "agents/b/x", "control"]);
            (await ledger.OpenAsync(ChainId.Agent("a", "y"), NoMirror, Cancelled)).ShouldBeSameAs(chain);
        }

        await using ILedger again = await OpenAsync(new OpenHow());
        again.ListChains().Select(id => id.RelativePath).ShouldBe(["agents/a/y", "agents/b/x", "control"]);
    }

    [Fact]
    public async Task A_follower_is_woken_by_the_append_that_it_waits_for_and_refused_at_the_end()
    {
        ILedger ledger = await OpenAsync(new OpenHow());
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        await chain.WaitForAppendAsync(-1, Cancelled);
        Task waiting = chain.WaitForAppendAsync(1, Cancelled);
        Task forever = chain.WaitForAppendAsync(100, Cancelled);

        await chain.AppendAsync(Entries.Numbered(1), Cancelled);
        waiting.IsCompleted.ShouldBeFalse();
        await chain.AppendAsync(Entries.Numbered(2), Cancelled);
        await waiting.WaitAsync(TimeSpan.FromSeconds(30), Cancelled);

        await ledger.DisposeAsync();
        await Should.ThrowAsync<LedgerUnavailableException>(forever);
        await Should.ThrowAsync<LedgerUnavailableException>(async () => await chain.AppendAsync(Entries.Numbered(1), Cancelled));
        await ledger.DisposeAsync();
    }

    protected static async Task<List<LedgerRecord>> ReadAsync(ILedgerChain chain, long fromSeq = 0)
    {
        var records = new List<LedgerRecord>();
        await foreach (LedgerRecord record in chain.ReadAsync(fromSeq, Cancelled))
        {
            records.Add(record);
        }

        return records;
    }

    /// <summary>Writes the chain's lines to a file and gives that to the verifier, which shares no code with the writer.</summary>
    protected async Task<ChainReport> VerifyAsync(ILedgerChain chain)
    {
        string path = _directory.At(string.Create(CultureInfo.InvariantCulture, $"exported-{Guid.NewGuid():N}.jsonl"));
        await using (FileStream file = File.Create(path))
        {
            await foreach (StoredLines stored in chain.ShouldBeOfType<LedgerChain>().ReadLinesAsync(0, Cancelled))
            {
                await file.WriteAsync(stored.Lines, Cancelled);
            }
        }

        ChainReport report = ChainVerifier.VerifyPath(path, Cancelled).Chains[0];
        report.Failure.ShouldBeNull();
        report.HeadHash.ShouldBe(chain.Head.EventHash);
        return report;
    }

    private static async Task ExpectAllAsync(ILedgerChain chain, IEnumerable<SideBlob> blobs)
    {
        foreach (SideBlob blob in blobs)
        {
            SideBlob found = (await chain.ReadBlobAsync(blob.Commitment, Cancelled)).ShouldNotBeNull();
            found.Content.ToArray().ShouldBe(blob.Content.ToArray());
        }
    }

    private sealed class SteppingClock : TimeProvider
    {
        public DateTimeOffset Now { get; set; } = new(2026, 11, 22, 0, 0, 0, TimeSpan.Zero);

        public override DateTimeOffset GetUtcNow() => Now;
    }
}
