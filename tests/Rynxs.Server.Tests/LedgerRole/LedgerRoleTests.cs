using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Net.Sockets;
using System.Text.Json;
using Rynxs.Ledger;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Remote;
using Rynxs.Ledger.Verifier;
using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;
using Rynxs.Server.LedgerRole;

namespace Rynxs.Server.Tests.LedgerRole;

public sealed class LedgerRoleTests : IAsyncLifetime
{
    private static readonly ChainId Chain = ChainId.Agent("rynxs", "my-agent");
    private readonly TemporaryDirectory _directory = new();
    private readonly int _port = FreePort();
    private LedgerRoleServer? _role;
    private string _token = "";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private Uri Url => new($"http://127.0.0.1:{_port}/");

    public async ValueTask InitializeAsync()
    {
        _token = Tokens.Create("writer:a", new HashSet<Role> { Role.Operator }, null, null);
        await StartRoleAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await StopRoleAsync();
        _directory.Dispose();
    }

    private TokenStore Tokens => new(Directory.CreateDirectory(_directory.At("state")).FullName, TimeProvider.System);

    [Fact]
    public async Task Many_writers_append_through_the_role_and_their_records_verify()
    {
        SideBlob blob = SideBlob.Create("a text");
        await using (RemoteLedger ledger = await OpenAsync("a"))
        {
            ILedgerChain[] chains = await Task.WhenAll(Enumerable.Range(0, 4).Select(
                async number => await ledger.OpenAsync(ChainId.Agent("rynxs", $"agent-{number}"), new ChainOptions(), Cancelled)));
            await Task.WhenAll(chains.SelectMany(chain => Enumerable.Range(0, 25).Select(number => chain.AppendAsync(Entry(number) with { Blobs = [blob] }, Cancelled).AsTask())));
            foreach (ILedgerChain chain in chains)
            {
                List<LedgerRecord> records = await ReadAsync(chain);
                records.Count.ShouldBe(27, "opened by the role, claimed by the writer, 25 entries");
                records[1].Meta.GetProperty("principal").GetString().ShouldBe("writer:a");
                chain.Head.Seq.ShouldBe(26);
                (await chain.ReadBlobAsync(blob.Commitment, Cancelled)).ShouldNotBeNull().Content.Length.ShouldBe(6);
                (await chain.ReadBlobAsync(SideBlob.Create("other").Commitment, Cancelled)).ShouldBeNull();
            }

            ledger.ListChains().Count.ShouldBe(4);
        }

        await StopRoleAsync();
        LedgerVerification verified = ChainVerifier.VerifyPath(_directory.At("store"), Cancelled);
        verified.Valid.ShouldBeTrue();
        verified.Records.ShouldBe(4 * 27);
    }

    [Fact]
    public async Task A_second_writer_fences_the_first_whose_later_entries_are_never_recorded()
    {
        await using RemoteLedger first = await OpenAsync("a");
        ILedgerChain old = await first.OpenAsync(Chain, new ChainOptions(), Cancelled);
        await old.AppendAsync(Entry(1), Cancelled);
        await using RemoteLedger second = await OpenAsync("b");
        ILedgerChain current = await second.OpenAsync(Chain, new ChainOptions(), Cancelled);

        await Should.ThrowAsync<LedgerFencedException>(async () => await old.AppendAsync(Entry(666), Cancelled));
        await Should.ThrowAsync<LedgerFencedException>(async () => await old.AppendAsync(Entry(667), Cancelled));
        await Should.ThrowAsync<LedgerFencedException>(async () => await first.OpenAsync(Chain, new ChainOptions(), Cancelled));
        await current.AppendAsync(Entry(2), Cancelled);

        (await NumbersAsync(current)).ShouldBe([1, 2]);
        JsonElement refused = (await ReadAsync(current)).Single(record => record.Type == "WriterFenced").Payload;
        refused.GetProperty("writer").GetString().ShouldBe("writer:a/a");
        refused.GetProperty("epoch").GetInt64().ShouldBe(current.Epoch - 1);
        refused.GetProperty("current_epoch").GetInt64().ShouldBe(current.Epoch);
        Directory.GetFiles(_directory.At("spool-a", "agents", "rynxs", "my-agent", "fenced")).ShouldNotBeEmpty("what was not sent is kept as evidence");
    }

    [Fact]
    public async Task What_is_spooled_while_the_role_is_away_is_recorded_in_order_and_once_when_it_is_back()
    {
        await using RemoteLedger ledger = await OpenAsync("a");
        var chain = (RemoteChain)await ledger.OpenAsync(Chain, new ChainOptions(), Cancelled);
        await chain.AppendAsync(Entry(0), Cancelled);
        await StopRoleAsync();
        for (int number = 1; number <= 50; number++)
        {
            await chain.SpoolAsync(Entry(number), Cancelled);
        }

        chain.SpooledBytes.ShouldBeGreaterThan(50 * 100);
        LedgerUnavailableException refused = await Should.ThrowAsync<LedgerUnavailableException>(async () => await chain.AppendAsync(Entry(51), Cancelled));
        refused.Message.ShouldContain("in the spool");
        await StartRoleAsync();
        await chain.AppendAsync(Entry(52), Cancelled);

        (await NumbersAsync(chain)).ShouldBe(Enumerable.Range(0, 53));
        chain.SpooledBytes.ShouldBe(0);
    }

    [Fact]
    public async Task What_a_process_left_in_its_spool_is_recorded_by_the_next_one()
    {
        await StopRoleAsync();
        await using (RemoteLedger ledger = await OpenAsync("a", TimeSpan.FromMilliseconds(100)))
        {
            var chain = (RemoteChain)await ledger.OpenAsync(Chain, new ChainOptions(), Cancelled);
            for (int number = 0; number < 10; number++)
            {
                await chain.SpoolAsync(Entry(number), Cancelled);
            }
        }

        // A line that was cut short by a crash was never acknowledged.
        string file = Directory.GetFiles(_directory.At("spool-a", "agents", "rynxs", "my-agent"), "spool-*").Single();
        await File.AppendAllTextAsync(file, "{\"key\":\"cut", Cancelled);
        await StartRoleAsync();
        await using RemoteLedger again = await OpenAsync("a");
        ILedgerChain next = await again.OpenAsync(Chain, new ChainOptions(), Cancelled);
        await next.AppendAsync(Entry(10), Cancelled);

        (await NumbersAsync(next)).ShouldBe(Enumerable.Range(0, 11));
    }

    [Fact]
    public async Task A_role_that_is_restarted_under_load_loses_and_doubles_nothing()
    {
        await using RemoteLedger ledger = await OpenAsync("a", appendTimeout: TimeSpan.FromSeconds(60));
        ILedgerChain chain = await ledger.OpenAsync(Chain, new ChainOptions(), Cancelled);
        var acknowledged = new Dictionary<int, AppendedRecord>();
        Task writing = Task.Run(
            async () =>
            {
                for (int number = 0; number < 300; number++)
                {
                    acknowledged.Add(number, await chain.AppendAsync(Entry(number), Cancelled));
                }
            },
            Cancelled);
        for (int restart = 1; restart <= 3; restart++)
        {
            await chain.WaitForAppendAsync(restart * 60, Cancelled);
            await StopRoleAsync();
            await StartRoleAsync();
        }

        await writing;
        (await NumbersAsync(chain)).ShouldBe(Enumerable.Range(0, 300));
        List<LedgerRecord> records = await ReadAsync(chain);
        acknowledged.Values.ShouldAllBe(record => records[(int)record.Seq].EventHash == record.EventHash);
    }

    [Fact]
    public async Task A_full_spool_refuses_entries()
    {
        await using RemoteLedger ledger = await OpenAsync("a", spoolBytes: LedgerLimits.MaxRecordBytes);
        var chain = (RemoteChain)await ledger.OpenAsync(Chain, new ChainOptions(), Cancelled);
        await StopRoleAsync();
        LedgerEntry large = Entry(1) with { Payload = new RequestDenied { Verb = "v", Resource = "r", Reason = new string('x', 100_000) } };

        await Should.ThrowAsync<LedgerUnavailableException>(async () =>
        {
            for (int number = 0; number < 20; number++)
            {
                await chain.SpoolAsync(large, Cancelled);
            }
        });
        chain.SpooledBytes.ShouldBeLessThanOrEqualTo(LedgerLimits.MaxRecordBytes);
    }

    [Fact]
    public async Task A_claim_whose_answer_was_lost_does_not_fence_its_own_writer_and_anothers_does_and_is_recorded()
    {
        using HttpClient client = Authorized(Url);
        RemoteHead first = await ClaimAsync(client, new RemoteClaim(Writer: "w1"), HttpStatusCode.OK);
        RemoteHead lost = await ClaimAsync(client, new RemoteClaim(first.Seq, "w1"), HttpStatusCode.OK);
        RemoteHead again = await ClaimAsync(client, new RemoteClaim(first.Seq, "w1"), HttpStatusCode.OK);
        again.Epoch.ShouldBe(lost.Epoch + 1);
        await ClaimAsync(client, new RemoteClaim(Writer: "w2"), HttpStatusCode.OK);
        for (int time = 0; time < 3; time++)
        {
            await ClaimAsync(client, new RemoteClaim(again.Seq, "w1"), HttpStatusCode.Conflict);
        }

        await ClaimAsync(client, new RemoteClaim(Writer: "w 2"), HttpStatusCode.UnprocessableEntity);
        await using RemoteLedger ledger = await OpenAsync("a");
        LedgerRecord fenced = (await ReadAsync(await ledger.OpenAsync(Chain, new ChainOptions(), Cancelled))).Where(record => record.Type == nameof(WriterFenced)).ShouldHaveSingleItem();
        fenced.Payload.GetProperty("writer").GetString().ShouldBe("writer:a/w1");
        fenced.Payload.GetProperty("epoch").GetInt64().ShouldBe(again.Epoch);
        fenced.Payload.GetProperty("current_epoch").GetInt64().ShouldBe(again.Epoch + 1);
        string metrics = await client.GetStringAsync("metrics", Cancelled);
        metrics.ShouldContain("rynxs_ledger_role_fenced_total 3\n");
        metrics.ShouldContain("rynxs_ledger_role_writable 1\n");
        metrics.ShouldContain("rynxs_ledger_role_appends_in_work 0\n");
    }

    [Fact]
    public async Task More_appends_than_it_holds_are_answered_with_429_and_when_to_ask_again()
    {
        await StopRoleAsync();
        await StartRoleAsync(options => options with { MaxAppendBytes = RemoteLimits.MaxBodyBytes });
        using HttpClient client = Authorized(Url);
        byte[] body = System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(
            new RemoteAppend(99, [new RemoteEntry("k", "T", "a/b", "p", System.Text.Json.JsonElement.Parse("{}"))]), RemoteJson.Default.RemoteAppend);

        // A body without a length counts as the largest one, and this one has not ended.
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var slow = new SlowContent(body, begun, release.Task);
        Task<HttpResponseMessage> first = client.PostAsync("v1/chains/agents/rynxs/my-agent/append", slow, Cancelled);
        await begun.Task;
        HttpResponseMessage? refused = null;
        for (int attempt = 0; attempt < 200 && refused is null; attempt++)
        {
            using var content = new ByteArrayContent(body);
            content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            HttpResponseMessage answer = await client.PostAsync("v1/chains/agents/rynxs/my-agent/append", content, Cancelled);
            refused = answer.StatusCode == HttpStatusCode.TooManyRequests ? answer : null; // Until the role has seen the first one.
        }

        refused.ShouldNotBeNull();
        refused.Headers.RetryAfter?.Delta.ShouldNotBeNull().ShouldBeInRange(TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(10));
        release.SetResult();
        using HttpResponseMessage ended = await first;
        ended.StatusCode.ShouldBe(HttpStatusCode.Conflict, "positive control: let in, only its epoch is wrong");
        using var after = new ByteArrayContent(body);
        after.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        (await client.PostAsync("v1/chains/agents/rynxs/my-agent/append", after, Cancelled)).StatusCode.ShouldBe(HttpStatusCode.Conflict, "its place was given back");
    }

    [Fact]
    public async Task C_over_tls_the_client_takes_the_roles_authority_and_no_other()
    {
        await StopRoleAsync();
        await StartRoleAsync(options => options with { Tls = true });
        var address = new Uri($"https://127.0.0.1:{_port}/");
        await using (RemoteLedger ledger = await OpenAsync("tls", address: address, caFile: _directory.At("state", "tls", "ca.crt")))
        {
            ILedgerChain chain = await ledger.OpenAsync(Chain, new ChainOptions(), Cancelled);
            await chain.AppendAsync(Entry(1), Cancelled);
            (await NumbersAsync(chain)).ShouldBe([1]);
        }

        await using (RemoteLedger stranger = await OpenAsync("tls2", TimeSpan.FromMilliseconds(500), address: address))
        {
            ILedgerChain chain = await stranger.OpenAsync(Chain, new ChainOptions(), Cancelled);
            await Should.ThrowAsync<LedgerUnavailableException>(async () => await chain.AppendAsync(Entry(2), Cancelled));
        }

        await Should.ThrowAsync<LedgerUnavailableException>(() => OpenAsync("tls3", address: address, caFile: _directory.At("none.pem")));
    }

    [Fact]
    public async Task G5_a_full_disk_is_a_507_the_clients_spool_keeps_the_entries_and_none_is_lost_when_there_is_room()
    {
        await StopRoleAsync();
        await using SmallDisk disk = await SmallDisk.MountAsync(_directory.At("store"), "1m", Cancelled);
        await StartRoleAsync();
        await using RemoteLedger ledger = await OpenAsync("a");
        var chain = (RemoteChain)await ledger.OpenAsync(Chain, new ChainOptions(), Cancelled);
        await chain.AppendAsync(Entry(0), Cancelled);
        string ballast = Path.Combine(disk.Path, "ballast");
        FillDisk(ballast);
        int number = 0;
        while (chain.SpooledBytes < 100_000)
        {
            await chain.SpoolAsync(Entry(++number), Cancelled);
        }

        using HttpClient client = Authorized(Url);
        HttpStatusCode status = HttpStatusCode.OK;
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        patience.CancelAfter(TimeSpan.FromSeconds(30));
        for (int key = 0; status != HttpStatusCode.InsufficientStorage; key++)
        {
            RemoteHead head = (await client.GetFromJsonAsync("v1/chains/agents/rynxs/my-agent/head", RemoteJson.Default.RemoteHead, patience.Token)).ShouldNotBeNull();
            using HttpResponseMessage response = await client.PostAsJsonAsync(
                "v1/chains/agents/rynxs/my-agent/append",
                new RemoteAppend(head.Epoch, [new RemoteEntry($"probe-{key}", "Probe", "a/b", "p", System.Text.Json.JsonElement.Parse($"{{\"text\":\"{new string('x', 20_000)}\"}}"))]),
                RemoteJson.Default.RemoteAppend, patience.Token);
            status = response.StatusCode;
        }

        (await client.GetStringAsync("metrics", Cancelled)).ShouldContain("outcome=\"unavailable\"");
        chain.SpooledBytes.ShouldBeGreaterThan(0);
        File.Delete(ballast);
        await chain.AppendAsync(Entry(++number), Cancelled);

        (await NumbersAsync(chain)).ShouldBe(Enumerable.Range(0, number + 1));
        await StopRoleAsync();
        ChainVerifier.VerifyPath(_directory.At("store"), Cancelled).Valid.ShouldBeTrue();
    }

    [Theory]
    [InlineData(null, "control/head", HttpStatusCode.Unauthorized)]
    [InlineData("wrong", "control/head", HttpStatusCode.Unauthorized)]
    [InlineData("agent", "control/append", HttpStatusCode.Forbidden)]
    [InlineData("auditor", "agents/rynxs/my-agent/append", HttpStatusCode.Forbidden)]
    [InlineData("elsewhere", "agents/rynxs/my-agent/append", HttpStatusCode.NotFound)]
    [InlineData("elsewhere", "control/append", HttpStatusCode.NotFound)]
    [InlineData("writer", "agents/rynxs/..%2f..%2fcontrol/append", HttpStatusCode.NotFound)]
    [InlineData("writer", "agents/rynxs/no-such-agent/head", HttpStatusCode.NotFound)]
    [InlineData("writer", "agents/rynxs/my-agent/append", HttpStatusCode.Conflict)] // Positive control: let in, only its epoch is not the chain's.
    public async Task D_a_token_reaches_only_what_its_roles_and_namespaces_allow(string? who, string path, HttpStatusCode expected)
    {
        string? token = who switch
        {
            "writer" => _token,
            "agent" => Tokens.Create("agent:rynxs/my-agent", new HashSet<Role> { Role.Agent }, null, null),
            "auditor" => Tokens.Create("user:auditor", new HashSet<Role> { Role.Auditor }, null, null),
            "elsewhere" => Tokens.Create("writer:b", new HashSet<Role> { Role.Operator }, new HashSet<string> { "other" }, null),
            _ => who,
        };
        using var client = new HttpClient { BaseAddress = Url };
        using var request = new HttpRequestMessage(path.EndsWith("append", StringComparison.Ordinal) ? HttpMethod.Post : HttpMethod.Get, "v1/chains/" + path);
        request.Headers.Authorization = token is null ? null : new AuthenticationHeaderValue("Bearer", token);
        request.Content = request.Method == HttpMethod.Get ? null : JsonContent.Create(
            new RemoteAppend(99, [new RemoteEntry("k", "T", "a/b", "p", System.Text.Json.JsonElement.Parse("{}"))]), RemoteJson.Default.RemoteAppend);

        using HttpResponseMessage response = await client.SendAsync(request, Cancelled);

        response.StatusCode.ShouldBe(expected);
    }

    [Theory]
    [InlineData("{\"epoch\":1,\"entries\":[]}", HttpStatusCode.UnprocessableEntity)]
    [InlineData("{\"epoch\":1}", HttpStatusCode.BadRequest)]
    [InlineData("{\"epoch\":1,\"entries\":[{\"key\":\"k\"}]}", HttpStatusCode.UnprocessableEntity)]
    [InlineData("{\"epoch\":1,\"entries\":[{\"key\":\"k\",\"type\":\"T\",\"aggregate_id\":\"a\",\"principal\":\"p\",\"payload\":[]}]}", HttpStatusCode.UnprocessableEntity)]
    [InlineData("{\"epoch\":1,\"entries\":[{\"key\":\"k\",\"type\":\"T\",\"aggregate_id\":\"a\",\"principal\":\"p\",\"payload\":{},\"more\":1}]}", HttpStatusCode.UnprocessableEntity)]
    [InlineData("nonsense", HttpStatusCode.BadRequest)]
    public async Task Bad_bodies_are_named_and_change_nothing(string body, HttpStatusCode expected)
    {
        using var client = new HttpClient { BaseAddress = Url };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", _token);
        using var content = new StringContent(body, new MediaTypeHeaderValue("application/json"));

        using HttpResponseMessage response = await client.PostAsync("v1/chains/agents/rynxs/my-agent/append", content, Cancelled);

        response.StatusCode.ShouldBeOneOf(expected, HttpStatusCode.BadRequest, HttpStatusCode.UnprocessableEntity);
        (await response.Content.ReadAsStringAsync(Cancelled)).ShouldNotContain("   at ");
    }

    private async Task StartRoleAsync(Func<LedgerRoleOptions, LedgerRoleOptions>? configure = null) => _role = await LedgerRoleServer.StartAsync(
        (configure ?? (options => options))(new LedgerRoleOptions
        {
            Listen = $"127.0.0.1:{_port}",
            StateDirectory = _directory.At("state"),
            Store = _directory.At("store"),
            LogWriter = TextWriter.Null,
            Drain = TimeSpan.FromSeconds(2),
            MaxWait = TimeSpan.FromSeconds(1),
        }),
        Cancelled);

    private async Task StopRoleAsync()
    {
        if (_role is not null)
        {
            await _role.DisposeAsync();
            _role = null;
        }
    }

    private Task<RemoteLedger> OpenAsync(
        string name, TimeSpan? appendTimeout = null, long spoolBytes = 16 * 1024 * 1024, Uri? address = null, string? caFile = null) => RemoteLedger.OpenAsync(
        new RemoteLedgerOptions
        {
            Address = address ?? Url,
            CaFile = caFile,
            Token = () => _token,
            Writer = name,
            SpoolDirectory = _directory.At("spool-" + name),
            SpoolBytes = spoolBytes,
            AppendTimeout = appendTimeout ?? TimeSpan.FromSeconds(2),
            MaxBackoff = TimeSpan.FromMilliseconds(200),
        },
        Cancelled);

    private HttpClient Authorized(Uri address)
    {
        var client = new HttpClient { BaseAddress = address };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", _token);
        return client;
    }

    private static async Task<RemoteHead> ClaimAsync(HttpClient client, RemoteClaim claim, HttpStatusCode expected)
    {
        using HttpResponseMessage response = await client.PostAsJsonAsync("v1/chains/agents/rynxs/my-agent/claim", claim, RemoteJson.Default.RemoteClaim, Cancelled);
        response.StatusCode.ShouldBe(expected);
        return expected == HttpStatusCode.OK
            ? (await response.Content.ReadFromJsonAsync(RemoteJson.Default.RemoteHead, Cancelled)).ShouldNotBeNull()
            : new RemoteHead(0, 0, "");
    }

    private static void FillDisk(string path)
    {
        using FileStream file = File.Create(path, bufferSize: 0);
        try
        {
            while (true)
            {
                file.Write(new byte[4096]);
            }
        }
        catch (IOException)
        {
            // Full, which is what it is for.
        }
    }

    /// <summary>A body that begins, and ends when it is told to; without a length.</summary>
    private sealed class SlowContent : HttpContent
    {
        private readonly byte[] _body;
        private readonly TaskCompletionSource _begun;
        private readonly Task _release;

        public SlowContent(byte[] body, TaskCompletionSource begun, Task release)
        {
            (_body, _begun, _release) = (body, begun, release);
            Headers.ContentType = new MediaTypeHeaderValue("application/json");
        }

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            await stream.WriteAsync(_body.AsMemory(0, 10));
            await stream.FlushAsync();
            _begun.TrySetResult();
            await _release;
            await stream.WriteAsync(_body.AsMemory(10));
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }

    private static LedgerEntry Entry(int number) => new()
    {
        Payload = new ToolOutcome { CallId = $"call-{number}", Tool = "sandbox.shell", Status = "ok", ExitCode = number },
        AggregateId = "rynxs/my-agent",
        Principal = "agent:rynxs/my-agent",
    };

    private static async Task<IEnumerable<int>> NumbersAsync(ILedgerChain chain) =>
        (await ReadAsync(chain)).Where(record => record.Type == "ToolOutcome").Select(record => record.Payload.GetProperty("exit_code").GetInt32());

    private static async Task<List<LedgerRecord>> ReadAsync(ILedgerChain chain)
    {
        var records = new List<LedgerRecord>();
        await foreach (LedgerRecord record in chain.ReadAsync(0, Cancelled))
        {
            records.Add(record);
        }

        return records;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
