using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Tests;

namespace Rynxs.Ledger.Stores.Tests.S3;

/// <summary>A server or network that fails in every way that S3 clients report; the server behind the proxy is a real one.</summary>
public sealed class S3FaultTests(S3Server server) : IAsyncLifetime
{
    private static readonly ChainOptions NoMirror = new();
    private FaultProxy? _proxy;
    private string _bucket = "";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private FaultProxy Proxy => _proxy ?? throw new InvalidOperationException("Not initialised.");

    public async ValueTask InitializeAsync()
    {
        _bucket = await server.MakeBucketAsync();
        _proxy = new FaultProxy(server.Endpoint);
    }

    public async ValueTask DisposeAsync()
    {
        if (_proxy is not null)
        {
            await _proxy.DisposeAsync();
        }
    }

    public static TheoryData<Fault, int> Passing => new()
    {
        { new Fault.CommitThenSilence(), 1 },
        { new Fault.CommitThenCut(), 1 },
        { new Fault.CommitThenStatus(500, "InternalError"), 2 },
        { new Fault.CommitThenStatus(503, "SlowDown"), 1 },
        { new Fault.Answer(500, "InternalError"), 4 },
        { new Fault.Answer(503, "SlowDown"), 4 },
        { new Fault.Answer(409, "ConditionalRequestConflict"), 4 },
        { new Fault.CommitThenStatus(409, "ConcurrentModification"), 1 },
        { new Fault.CutBody(), 2 },
        { new Fault.CutAnswer(), 1 },
        { new Fault.Slow(TimeSpan.FromMilliseconds(300)), 1 },
    };

    [Theory]
    [MemberData(nameof(Passing))]
    public async Task A_fault_that_passes_costs_no_record_and_doubles_none(Fault fault, int times)
    {
        await using S3Ledger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        Proxy.FailFirst(times, request => request.IsPut("/records/"), fault);

        AppendedRecord first = await chain.AppendAsync(Entries.Numbered(1, "blob"), Cancelled);
        AppendedRecord second = await chain.AppendAsync(Entries.Numbered(2), Cancelled);

        await ExpectAsync([first, second]);
    }

    [Fact]
    public async Task A_fault_while_blobs_are_written_costs_nothing_either()
    {
        await using S3Ledger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        Proxy.FailFirst(1, request => request.IsPut("/blobs/"), new Fault.CommitThenCut());

        LedgerEntry entry = Entries.Numbered(1, "blob");
        AppendedRecord first = await chain.AppendAsync(entry, Cancelled);

        (await chain.ReadBlobAsync(entry.Blobs[0].Commitment, Cancelled)).ShouldNotBeNull();
        await ExpectAsync([first]);
    }

    [Fact]
    public async Task A_storm_that_does_not_end_refuses_the_record_until_the_chain_is_opened_again()
    {
        await using S3Ledger ledger = await OpenAsync(attempts: 3);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        Proxy.FailFirst(1000, request => request.IsPut("/records/"), new Fault.Answer(503, "SlowDown"));

        LedgerUnavailableException refused = await Should.ThrowAsync<LedgerUnavailableException>(async () => await chain.AppendAsync(Entries.Numbered(1), Cancelled));
        refused.IsLasting.ShouldBeTrue("a request that was answered with 503 may still be carried out");
        refused.Message.ShouldContain("is not known");
        Proxy.Decide = _ => new Fault.None();
        await Should.ThrowAsync<LedgerUnavailableException>(async () => await chain.AppendAsync(Entries.Numbered(2), Cancelled));

        ILedgerChain again = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        AppendedRecord appended = await again.AppendAsync(Entries.Numbered(3), Cancelled);
        await ExpectAsync([appended]);
    }

    [Fact]
    public async Task A_batch_that_was_committed_although_nobody_could_tell_is_found_by_the_next_opening()
    {
        await using S3Ledger ledger = await OpenAsync(attempts: 2);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        Proxy.Decide = request => request.IsPut("/records/") ? new Fault.CommitThenStatus(500, "InternalError") : new Fault.Answer(503, "SlowDown");

        LedgerUnavailableException refused = await Should.ThrowAsync<LedgerUnavailableException>(async () => await chain.AppendAsync(Entries.Numbered(1), Cancelled));
        refused.IsLasting.ShouldBeTrue();
        Proxy.Decide = _ => new Fault.None();

        ILedgerChain again = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        again.Head.Seq.ShouldBe(2, "opened, the record that nobody could tell of, opened");
        await ExpectAsync([await again.AppendAsync(Entries.Numbered(2), Cancelled)]);
    }

    [Fact]
    public async Task A_server_that_is_away_refuses_and_is_used_again_when_it_is_back()
    {
        await using S3Ledger ledger = await OpenAsync(attempts: 2);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        int port = Proxy.Endpoint.Port;
        await Proxy.DisposeAsync();

        LedgerUnavailableException refused = await Should.ThrowAsync<LedgerUnavailableException>(async () => await chain.AppendAsync(Entries.Numbered(1), Cancelled));
        refused.IsLasting.ShouldBeFalse("nobody listened, so nothing can have happened");

        _proxy = new FaultProxy(server.Endpoint, port);
        await ExpectAsync([await chain.AppendAsync(Entries.Numbered(2), Cancelled)]);
    }

    [Fact]
    public async Task A_time_out_while_another_writer_wins_the_key_fences()
    {
        await using S3Ledger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        await using S3Ledger other = await S3Ledger.OpenAsync(server.Options(_bucket), Cancelled);
        Proxy.FailFirst(
            1, request => request.IsPut("/records/"),
            new Fault.After(async () => await other.OpenAsync(ChainId.Control, NoMirror, Cancelled), new Fault.CommitThenSilence()));

        await Should.ThrowAsync<LedgerFencedException>(async () => await chain.AppendAsync(Entries.Numbered(666), Cancelled));

        await ExpectAsync([]);
    }

    [Fact]
    public async Task A_server_that_lists_late_hides_nothing()
    {
        var appended = new List<AppendedRecord>();
        await using (S3Ledger ledger = await OpenAsync())
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            for (int number = 0; number < 5; number++)
            {
                appended.Add(await chain.AppendAsync(Entries.Numbered(number), Cancelled));
            }
        }

        await using S3Ledger late = await OpenAsync();
        Proxy.Decide = request => request.IsList ? new Fault.EmptyList() : new Fault.None();
        ILedgerChain again = await late.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        again.Head.Seq.ShouldBe(6);
        (await SeqsAsync(again)).ShouldBe([0, 1, 2, 3, 4, 5, 6]);
        appended.Add(await again.AppendAsync(Entries.Numbered(9), Cancelled));
        await ExpectAsync(appended);
    }

    [Fact]
    public async Task An_answer_that_is_cut_in_the_middle_is_read_again()
    {
        await using S3Ledger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        await chain.AppendAsync(Entries.Numbered(1), Cancelled);
        Proxy.FailFirst(2, request => request.Method == "GET" && request.Target.Contains("/records/", StringComparison.Ordinal), new Fault.CutAnswer());

        (await SeqsAsync(chain)).ShouldBe([0, 1]);
    }

    [Fact]
    public async Task Many_events_cost_far_fewer_requests()
    {
        const int Writers = 64;
        const int Each = 20;
        await using S3Ledger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        Proxy.Seen.Clear();
        await Task.WhenAll(Enumerable.Range(0, Writers).Select(_ => Task.Run(
            async () =>
            {
                for (int number = 0; number < Each; number++)
                {
                    await chain.AppendAsync(Entries.Numbered(number), Cancelled);
                }
            },
            Cancelled)));

        Proxy.Seen.Count.ShouldBeLessThan(Writers * Each / 5);
        chain.Head.Seq.ShouldBe(Writers * Each);
    }

    [Fact]
    public async Task The_end_of_a_chain_of_many_pages_is_found_in_a_few_requests()
    {
        // Empty objects stand for batches: the search looks at names alone.
        var names = new S3Keys("", ChainId.Control);
        long[] sequences = [.. Enumerable.Range(0, 260).Select(index => (long)index * 7)];
        await Parallel.ForEachAsync(sequences, new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = Cancelled }, async (seq, token) =>
            await server.Admin.PutObjectAsync(new Amazon.S3.Model.PutObjectRequest { BucketName = _bucket, Key = names.Batch(seq), ContentBody = "x" }, token));
        S3LedgerOptions options = server.Options(_bucket, Proxy.Endpoint);
        using var client = new S3Client(options);
        var reader = new S3ChainReader(client, options, names, pageKeys: 10);

        LedgerCorruptException refused = await Should.ThrowAsync<LedgerCorruptException>(() => reader.FindTailAsync(useHead: false, Cancelled));

        refused.Seq.ShouldBe(sequences[^1], "the last one is the first that is read");
        Proxy.Seen.Count(request => request.IsList).ShouldBeLessThan(16);
    }

    private async Task<S3Ledger> OpenAsync(int attempts = 6) => await S3Ledger.OpenAsync(
        server.Options(_bucket, Proxy.Endpoint) with { RequestTimeout = TimeSpan.FromSeconds(1), MaxAttempts = attempts }, Cancelled);

    /// <summary>What another ledger finds, directly: every acknowledged record at its place, no number twice.</summary>
    private async Task ExpectAsync(IReadOnlyList<AppendedRecord> appended)
    {
        await using S3Ledger ledger = await S3Ledger.OpenAsync(server.Options(_bucket), Cancelled);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        var records = new List<LedgerRecord>();
        await foreach (LedgerRecord record in chain.ReadAsync(0, Cancelled))
        {
            records.Add(record);
        }

        appended.ShouldAllBe(record => records[(int)record.Seq].EventHash == record.EventHash);
        string[] calls = [.. records.Where(record => record.Type == "ToolOutcome").Select(record => record.Payload.GetProperty("call_id").GetString() ?? "")];
        calls.ShouldBe(calls.Distinct());
        calls.ShouldNotContain("call-666");
    }

    private static async Task<List<long>> SeqsAsync(ILedgerChain chain)
    {
        var seqs = new List<long>();
        await foreach (LedgerRecord record in chain.ReadAsync(0, Cancelled))
        {
            seqs.Add(record.Seq);
        }

        return seqs;
    }
}
