using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Rynxs.Ledger.Export;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Tests.Export;

/// <summary>Export to real receivers: what arrives, what a dead receiver costs, and that gaps show.</summary>
public sealed partial class ExporterTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private string LogPath => _directory.At("log.jsonl");

    private string CursorPath => _directory.At("export", "cursor.json");

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Syslog_carries_every_record_with_chain_sequence_and_leaf(bool tls)
    {
        using X509Certificate2 certificate = TestCertificate.Create("localhost");
        await File.WriteAllTextAsync(_directory.At("ca.pem"), certificate.ExportCertificatePem(), Stop);
        await using var receiver = new SyslogReceiver(tls ? certificate : null);
        IReadOnlyList<string> lines = Chain(40);
        await using IExportTarget target = Target($"syslog+{(tls ? "tls" : "tcp")}://localhost:{receiver.Port}");

        (await Exporter(target).DrainAsync(Stop)).ShouldBe(lines.Count);

        IReadOnlyList<string> messages = await receiver.ReceiveAsync(lines.Count, Stop);
        for (int seq = 0; seq < lines.Count; seq++)
        {
            string hash = JsonElement.Parse(lines[seq]).GetProperty("event_hash").GetString() ?? "";
            messages[seq].ShouldMatch($"^<1(09|10|08)>1 2026-11-22T08:00:0\\S+Z host rynxs - \\w+ \\[rynxs@32473 chain=\"log.jsonl\" seq=\"{seq}\" leaf=\"{seq}\" hash=\"{hash}\"");
            messages[seq].ShouldContain("CEF:0|Rynxs|Rynxs|1.2.3|");
        }
    }

    [Fact]
    public async Task A_receiver_whose_certificate_is_not_trusted_gets_nothing()
    {
        using X509Certificate2 theirs = TestCertificate.Create("localhost");
        using X509Certificate2 ours = TestCertificate.Create("localhost");
        await File.WriteAllTextAsync(_directory.At("ca.pem"), ours.ExportCertificatePem(), Stop);
        await using var receiver = new SyslogReceiver(theirs);
        Chain(3);
        await using IExportTarget target = Target($"syslog+tls://localhost:{receiver.Port}");

        await Should.ThrowAsync<ExportException>(() => Exporter(target).DrainAsync(Stop));

        receiver.Rest().ShouldBeEmpty();
    }

    [Fact]
    public async Task F7_A_gap_shows_at_the_receiver_by_sequence()
    {
        await using var receiver = new SyslogReceiver();
        int count = Chain(30).Count;
        await using IExportTarget target = Target($"syslog+tcp://localhost:{receiver.Port}");
        await Exporter(target).DrainAsync(Stop);
        IReadOnlyList<string> all = await receiver.ReceiveAsync(count, Stop);

        // What a receiver with a hole would see: its own check needs nothing but the messages.
        GapsIn(all).ShouldBeEmpty();
        GapsIn([.. all.Where((_, index) => index is not (7 or 8))]).ShouldBe([7, 8]);
        BrokenLinksIn(all).ShouldBeEmpty();
        BrokenLinksIn([.. all.Where((_, index) => index is not 7)]).ShouldHaveSingleItem();
    }

    [Fact]
    public async Task F7_A_receiver_that_dies_and_comes_back_misses_nothing()
    {
        var first = new SyslogReceiver();
        int port = first.Port;
        int count = Chain(60).Count;
        await using IExportTarget target = Target($"syslog+tcp://localhost:{port}");
        LedgerExporter exporter = Exporter(target, batch: 10);
        await exporter.DrainAsync(Stop);
        IReadOnlyList<string> before = await first.ReceiveAsync(count, Stop);
        first.Reset();
        await first.DisposeAsync();

        IReadOnlyList<string> more = Append(20);
        await Should.ThrowAsync<ExportException>(() => exporter.DrainAsync(Stop));
        exporter.Progress.BytesBehind.ShouldBe(0); // Nobody looked since.
        await using var second = new SyslogReceiver(port: port);
        await exporter.DrainAsync(Stop);

        IReadOnlyList<string> after = await second.ReceiveAsync(more.Count - count, Stop);
        GapsIn([.. before, .. after]).ShouldBeEmpty();
        SeqOf(after[^1]).ShouldBe(more.Count - 1);
    }

    [Fact]
    public async Task A_new_process_goes_on_where_the_cursor_says()
    {
        await using var receiver = new HttpReceiver();
        int count = Chain(25).Count;
        await using (IExportTarget target = Target($"ocsf+http://127.0.0.1:{receiver.Port}/in"))
        {
            await Exporter(target, batch: 7).DrainAsync(Stop);
        }

        receiver.Requests.Clear();
        IReadOnlyList<string> more = Append(3);
        await using IExportTarget again = Target($"ocsf+http://127.0.0.1:{receiver.Port}/in");
        (await Exporter(again).DrainAsync(Stop)).ShouldBe(more.Count - count);

        (string path, string? contentType, _, string body) = receiver.Requests.ShouldHaveSingleItem();
        (path, contentType).ShouldBe(("/in", "application/x-ndjson"));
        body.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonElement.Parse(line).GetProperty("metadata").GetProperty("sequence").GetInt64())
            .ShouldBe(Enumerable.Range(count, more.Count - count).Select(seq => (long)seq));
    }

    [Fact]
    public async Task A_refused_batch_is_sent_again_whole_and_nothing_is_skipped()
    {
        await using var receiver = new HttpReceiver();
        int count = Chain(12).Count;
        int calls = 0;
        receiver.Answer = _ => ++calls <= 2 ? (calls == 1 ? 503 : 400, "no") : (200, "");
        await using IExportTarget target = Target($"ocsf+http://127.0.0.1:{receiver.Port}/");
        LedgerExporter exporter = Exporter(target, batch: 5);

        await Should.ThrowAsync<ExportException>(() => exporter.DrainAsync(Stop));
        await Should.ThrowAsync<ExportException>(() => exporter.DrainAsync(Stop));
        (await exporter.DrainAsync(Stop)).ShouldBe(count);

        receiver.Requests[0].Body.ShouldBe(receiver.Requests[1].Body);
        receiver.Requests[1].Body.ShouldBe(receiver.Requests[2].Body);
    }

    [Fact]
    public async Task Otlp_logs_carry_the_attributes_and_a_partial_rejection_is_a_failure()
    {
        await using var receiver = new HttpReceiver();
        int count = Chain(4).Count;
        receiver.Answer = _ => (200, "{\"partialSuccess\":{\"rejectedLogRecords\":\"1\",\"errorMessage\":\"x\"}}");
        await using IExportTarget target = Target($"otlp+http://127.0.0.1:{receiver.Port}", token: "secret-token");
        LedgerExporter exporter = Exporter(target);
        (await Should.ThrowAsync<ExportException>(() => exporter.DrainAsync(Stop))).Message.ShouldContain("rejected 1");

        receiver.Answer = _ => (200, "{\"partialSuccess\":{}}");
        await exporter.DrainAsync(Stop);

        (string path, string? contentType, string? authorization, string body) = receiver.Requests[^1];
        (path, contentType, authorization).ShouldBe(("/v1/logs", "application/json", "Bearer secret-token"));
        JsonElement records = JsonElement.Parse(body).GetProperty("resourceLogs")[0].GetProperty("scopeLogs")[0].GetProperty("logRecords");
        records.GetArrayLength().ShouldBe(count);
        JsonElement last = records[count - 1];
        last.GetProperty("timeUnixNano").GetString().ShouldNotBeNull().Length.ShouldBe(19);
        Dictionary<string, string> attributes = last.GetProperty("attributes").EnumerateArray().ToDictionary(
            item => item.GetProperty("key").GetString() ?? "", item => item.GetProperty("value").EnumerateObject().First().Value.GetString() ?? "");
        attributes["rynxs.seq"].ShouldBe($"{count - 1}");
        attributes["rynxs.leaf_index"].ShouldBe($"{count - 1}");
        attributes["rynxs.chain"].ShouldBe("log.jsonl");
    }

    [Fact]
    public async Task A_slow_receiver_blocks_no_append()
    {
        var hold = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        string ledgerPath = _directory.At("ledger");
        await using FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = ledgerPath }, Stop);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), Stop);
        await chain.AppendAsync(Entries.Numbered(0), Stop);
        var target = new HeldTarget(hold.Task);
        var exporter = new LedgerExporter(() => LogSource.OpenAll(ledgerPath), target, Cursor(Destination("ocsf+file:///x")), new ExporterOptions { BatchRecords = 4 });
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Stop);
        Task running = exporter.RunAsync(stop.Token);
        await target.Entered.Task.WaitAsync(TimeSpan.FromSeconds(10), Stop);

        for (int number = 1; number < 200; number++)
        {
            await chain.AppendAsync(Entries.Numbered(number), Stop).AsTask().WaitAsync(TimeSpan.FromSeconds(10), Stop);
        }

        target.LargestBatch.ShouldBeLessThanOrEqualTo(4);
        hold.SetResult();
        await target.WaitForAsync(chain.Head.Seq, Stop);
        target.Seen.ShouldBe(Enumerable.Range(0, 201).Select(seq => (long)seq));
        await stop.CancelAsync();
        await Should.ThrowAsync<OperationCanceledException>(() => running);
    }

    [Fact]
    public async Task Records_are_followed_over_segments_and_from_the_middle_of_them()
    {
        string ledgerPath = _directory.At("ledger");
        await using FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = ledgerPath, SegmentBytes = 2_000 }, Stop);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), Stop);
        LogFollower follower = Follow(ledgerPath, new ChainHead(-1, Logs.Genesis));
        var seen = new List<LogRecord>();
        for (int number = 0; number < 60; number++)
        {
            await chain.AppendAsync(Entries.Numbered(number), Stop);
            seen.AddRange(follower.ReadSome(3, 1_000_000, Stop));
        }

        while (follower.ReadSome(3, 1_000_000, Stop) is { Count: > 0 } more)
        {
            seen.AddRange(more);
        }

        Directory.GetFiles(Path.Combine(ledgerPath, "control"), "records-*").Length.ShouldBeGreaterThan(5);
        seen.Select(record => record.Seq).ShouldBe(Enumerable.Range(0, 61).Select(seq => (long)seq));
        follower.BytesBehind.ShouldBe(0);
        Follow(ledgerPath, new ChainHead(40, seen[40].EventHash)).ReadSome(100, 1_000_000, Stop).Select(record => record.Seq).ShouldBe(Enumerable.Range(41, 20).Select(seq => (long)seq));
        Should.Throw<LedgerCorruptException>(() => Follow(ledgerPath, new ChainHead(40, new string('0', 64))).ReadSome(100, 1_000_000, Stop));
    }

    [Fact]
    public async Task F1_A_log_that_was_written_anew_after_the_cursor_is_refused()
    {
        await using var receiver = new HttpReceiver();
        Chain(10);
        await using IExportTarget target = Target($"ocsf+http://127.0.0.1:{receiver.Port}/");
        await Exporter(target).DrainAsync(Stop);
        var other = new ChainBuilder { Principal = "mallory" };
        other.Open();
        for (int number = 0; number < 20; number++)
        {
            other.Intent($"c{number}");
        }

        Logs.Write(_directory, other.Lines);

        (await Should.ThrowAsync<LedgerCorruptException>(() => Exporter(target).DrainAsync(Stop))).Code.ShouldBe("checkpoint");
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("{\"version\":2,\"destination\":\"x\",\"chains\":{}}")]
    [InlineData("{\"version\":1,\"destination\":\"another\",\"chains\":{}}")]
    public void A_damaged_cursor_stops_the_export_instead_of_skipping(string content)
    {
        Directory.CreateDirectory(_directory.At("export"));
        File.WriteAllText(CursorPath, content);

        Should.Throw<ExportException>(() => Cursor(Destination("ocsf+file:///x")));
    }

    [Fact]
    public async Task Files_get_one_OCSF_object_a_line()
    {
        int count = Chain(5).Count;
        await using IExportTarget target = Target("ocsf+file://" + _directory.At("out.ndjson"));
        await Exporter(target).DrainAsync(Stop);

        string[] lines = await File.ReadAllLinesAsync(_directory.At("out.ndjson"), Stop);
        lines.Length.ShouldBe(count);
        foreach (JsonElement line in lines.Select(line => JsonElement.Parse(line)))
        {
            int type = line.GetProperty("type_uid").GetInt32();
            type.ShouldBe((line.GetProperty("class_uid").GetInt32() * 100) + line.GetProperty("activity_id").GetInt32());
            line.GetProperty("category_uid").GetInt32().ShouldBe(line.GetProperty("class_uid").GetInt32() / 1000);
            line.GetProperty("unmapped").GetProperty("leaf_index").GetInt64().ShouldBe(line.GetProperty("metadata").GetProperty("sequence").GetInt64());
        }
    }

    [Fact]
    public async Task F4_Text_of_the_log_breaks_neither_frame_nor_field()
    {
        await using var receiver = new SyslogReceiver();
        var log = new ChainBuilder { Principal = "eve=1|x\\\n<34>1 forged\u001b[2J\u202e" };
        log.Open().Add("Bad|Type]\n", new JsonObject { ["a"] = "x\n<34>1 - forged = | ] \" \\ \u200b" }, aggregate: "a\n0 b");
        Logs.Write(_directory, log.Lines);
        await using IExportTarget target = Target($"syslog+tcp://localhost:{receiver.Port}");
        await Exporter(target).DrainAsync(Stop);

        IReadOnlyList<string> messages = await receiver.ReceiveAsync(2, Stop);
        messages.ShouldAllBe(message => !message.Any(c => char.IsControl(c) || c == '\u202e' || c == '\u200b'));
        messages[1].ShouldContain("suser=eve\\=1|x\\\\");
        messages[1].ShouldContain("|Bad\\|Type]");
        receiver.Rest().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("http://x", false)]
    [InlineData("syslog+tcp://host", false)]
    [InlineData("syslog+udp://host:514", false)]
    [InlineData("syslog+tls://host", true)]
    [InlineData("ocsf+https://user:pw@host/", false)]
    [InlineData("ocsf+file://server/share", false)]
    [InlineData("otlp+grpc://host:4317", false)]
    [InlineData("otlp+https://host", true)]
    public void Destinations_are_checked_before_anything_starts(string url, bool valid)
    {
        ExportDestination.TryParse(url, out ExportDestination? destination, out string? problem).ShouldBe(valid);
        (destination is null).ShouldBe(!valid);
        string.IsNullOrEmpty(problem).ShouldBe(valid);
    }

    private static LogFollower Follow(string path, ChainHead start) => new(() => LogSource.Open(path), start);

    private static ExportDestination Destination(string url) =>
        ExportDestination.TryParse(url, out ExportDestination? destination, out string? problem) ? destination : throw new InvalidOperationException(problem);

    private IExportTarget Target(string url, string? token = null) => new ExportTargetOptions
    {
        Version = "1.2.3", HostName = "host", BearerToken = token, CaFile = File.Exists(_directory.At("ca.pem")) ? _directory.At("ca.pem") : null, Timeout = TimeSpan.FromSeconds(10),
    }.Create(Destination(url));

    private ExportCursor Cursor(ExportDestination destination) => ExportCursor.Open(CursorPath, destination);

    // One destination for all targets of a test: the cursor is what is shared between them.
    private LedgerExporter Exporter(IExportTarget target, int batch = 500) =>
        new(() => LogSource.OpenAll(LogPath), target, Cursor(Destination("ocsf+file:///x")), new ExporterOptions { BatchRecords = batch });

    private ChainBuilder? _chain;

    private IReadOnlyList<string> Chain(int calls)
    {
        _chain = new ChainBuilder();
        _chain.Open();
        return Append(calls / 2);
    }

    private IReadOnlyList<string> Append(int calls)
    {
        ChainBuilder chain = _chain ?? throw new InvalidOperationException();
        for (int number = 0; number < calls; number++)
        {
            chain.Intent($"c{chain.Seq}").Outcome($"c{chain.Seq - 1}");
        }

        Logs.Write(_directory, chain.Lines);
        return chain.Lines;
    }

    private static long SeqOf(string message) => long.Parse(SeqField().Match(message).Groups[1].ValueSpan, System.Globalization.CultureInfo.InvariantCulture);

    private static IReadOnlyList<long> GapsIn(IReadOnlyList<string> messages)
    {
        HashSet<long> seen = [.. messages.Select(SeqOf)];
        return [.. Enumerable.Range(0, (int)seen.Max() + 1).Select(seq => (long)seq).Where(seq => !seen.Contains(seq))];
    }

    private static IReadOnlyList<long> BrokenLinksIn(IReadOnlyList<string> messages) =>
    [
        .. messages.Zip(messages.Skip(1)).Where(pair => HashField().Match(pair.First).Groups[1].Value != PrevField().Match(pair.Second).Groups[1].Value)
            .Select(pair => SeqOf(pair.Second)),
    ];

    [GeneratedRegex("seq=\"(\\d+)\"")]
    private static partial Regex SeqField();

    [GeneratedRegex("hash=\"([0-9a-f]{64})\"")]
    private static partial Regex HashField();

    [GeneratedRegex("prev=\"([0-9a-f]{64})\"")]
    private static partial Regex PrevField();

    private sealed class HeldTarget(Task hold) : IExportTarget
    {
        private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private long _wanted = long.MaxValue;

        public TaskCompletionSource Entered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public List<long> Seen { get; } = [];

        public int LargestBatch { get; private set; }

        public async Task SendAsync(IReadOnlyList<ExportedEvent> batch, CancellationToken cancellationToken)
        {
            LargestBatch = Math.Max(LargestBatch, batch.Count);
            Entered.TrySetResult();
            await hold.WaitAsync(cancellationToken);
            Seen.AddRange(batch.Select(exported => exported.Record.Seq));
            if (Seen[^1] >= Volatile.Read(ref _wanted))
            {
                _done.TrySetResult();
            }
        }

        public async Task WaitForAsync(long seq, CancellationToken cancellationToken)
        {
            Volatile.Write(ref _wanted, seq);
            await _done.Task.WaitAsync(TimeSpan.FromSeconds(20), cancellationToken);
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
