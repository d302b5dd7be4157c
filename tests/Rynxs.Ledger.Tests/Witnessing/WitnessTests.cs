using System.Net;
using System.Text;
using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Tests.Anchors;
using Rynxs.Ledger.Tests.Keys;
using Rynxs.Ledger.Tests.Merkle;
using Rynxs.Ledger.Verifier;
using Rynxs.Ledger.Witnessing;

namespace Rynxs.Ledger.Tests.Witnessing;

/// <summary>The witness's side of <c>add-checkpoint</c>, status by status as C2SP tlog-witness says, and what its cosignature is worth.</summary>
public sealed class WitnessTests : IDisposable
{
    private const string Origin = "example.com/log";

    private readonly TemporaryDirectory _directory = new();
    private readonly ManualTime _time = new();
    private readonly SigningKey _log = SigningKey.Generate(Origin);
    private readonly KeyDirectory _keys;
    private readonly MemoryTreeStore _tree = new();
    private Witness _witness;

    public WitnessTests()
    {
        _keys = KeyDirectory.Create(_directory.At("keys"), "witness.example/w1", NoteSignatureType.CosignatureV1, _time);
        _witness = Open();
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _witness.Dispose();
        _keys.Dispose();
        _log.Dispose();
        _directory.Dispose();
    }

    [Fact]
    public async Task A_tree_that_grows_is_cosigned_each_time()
    {
        foreach ((int old, int size) in new[] { (0, 3), (3, 3), (3, 300), (300, 301) })
        {
            WitnessAnswer answer = await AskAsync(old, size);
            answer.Status.ShouldBe(200, answer.Body);
            NoteSignature line = NoteSignature.ParseLine(answer.Body.TrimEnd('\n'));
            NoteSignatures.Verify(_keys.Keys[0].PublicKey, (await CheckpointAsync(size)).ToText(), line.Bytes.Span).ShouldBeTrue();
            NoteSignatures.TimeOf(line.Bytes.Span).ShouldBe(_time.GetUtcNow().ToUnixTimeSeconds());
        }
    }

    [Fact]
    public async Task A_wrong_old_size_is_a_409_with_the_size_that_is_known()
    {
        (await AskAsync(0, 10)).Status.ShouldBe(200);

        WitnessAnswer answer = await AskAsync(5, 20);

        answer.ShouldBe(new WitnessAnswer(409, "10\n", "text/x.tlog.size"));
        (await AskAsync(0, 10)).Status.ShouldBe(409);
    }

    [Fact]
    public async Task F1_another_history_is_a_422_and_nothing_is_forgotten()
    {
        (await AskAsync(0, 10)).Status.ShouldBe(200);
        TreeCheckpoint other = new(Origin, 10, TreeHash.OfEntry([1]));

        (await SendAsync(10, [], other)).Status.ShouldBe(422, "the same size with another root");
        (await SendAsync(10, [], other with { Size = 11 })).Status.ShouldBe(422, "no proof");
        (await SendAsync(10, [TreeHash.OfEntry([2])], await CheckpointAsync(20))).Status.ShouldBe(422, "a false proof");
        (await SendAsync(0, [], other)).Status.ShouldBe(409, "begun anew");
        (await AskAsync(10, 20)).Status.ShouldBe(200, "the true one goes on");
    }

    [Fact]
    public async Task A_proof_where_none_belongs_and_an_empty_tree_with_a_root_are_422()
    {
        (await SendAsync(0, [TreeHash.OfEmptyTree], await CheckpointAsync(4))).Status.ShouldBe(422);
        (await SendAsync(0, [], new TreeCheckpoint(Origin, 0, TreeHash.OfEntry([])))).Status.ShouldBe(422);
        (await SendAsync(0, [], new TreeCheckpoint(Origin, 0, TreeHash.OfEmptyTree))).Status.ShouldBe(200);
    }

    [Fact]
    public async Task Unknown_logs_keys_and_forged_signatures_are_404_and_403()
    {
        using SigningKey other = SigningKey.Generate(Origin);
        TreeCheckpoint checkpoint = await CheckpointAsync(4);
        NoteSignature forged = _log.Sign(checkpoint.ToText()) with { Bytes = new byte[64] };

        (await SendAsync(0, [], checkpoint with { Origin = "example.com/other" })).Status.ShouldBe(404);
        (await SendNoteAsync(0, new SignedNote(checkpoint.ToText(), [other.Sign(checkpoint.ToText())]))).Status.ShouldBe(403);
        (await SendNoteAsync(0, new SignedNote(checkpoint.ToText(), [_log.Sign(checkpoint.ToText()), forged]))).Status.ShouldBe(403);
        (await SendNoteAsync(5, new SignedNote(checkpoint.ToText(), [_log.Sign(checkpoint.ToText())]))).Status.ShouldBe(400, "old is larger");
    }

    [Theory]
    [InlineData("")]
    [InlineData("old 0\n")]
    [InlineData("old 00\n\nx\n")]
    [InlineData("old -1\n\nx\n")]
    [InlineData("new 0\n\nx\n")]
    [InlineData("old 0\nAAAA\n\nx\n")]
    public async Task What_is_no_request_is_a_400(string body) =>
        (await _witness.AddCheckpointAsync(Encoding.UTF8.GetBytes(body), Cancelled)).Status.ShouldBe(400);

    [Fact]
    public async Task F1_what_was_cosigned_is_remembered_over_a_restart()
    {
        (await AskAsync(0, 10)).Status.ShouldBe(200);
        _witness.Dispose();
        _witness = Open();

        (await AskAsync(0, 5)).Body.ShouldBe("10\n");
        string hash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(Origin)));
        SignedNote kept = (await _witness.LatestAsync(hash, Cancelled)).ShouldNotBeNull();
        kept.VerifyBy([_log.PublicKey, _keys.Keys[0].PublicKey]).Count.ShouldBe(2);
        (await _witness.LatestAsync("00", Cancelled)).ShouldBeNull();
    }

    [Fact]
    public async Task F1_a_changed_state_stops_the_witness()
    {
        (await AskAsync(0, 10)).Status.ShouldBe(200);
        _witness.Dispose();
        string state = Directory.EnumerateFiles(_directory.At("state"), "*.checkpoint").Single();
        await File.WriteAllTextAsync(state, (await File.ReadAllTextAsync(state, Cancelled)).Replace("\n10\n", "\n9\n", StringComparison.Ordinal), Cancelled);

        Should.Throw<LedgerCorruptException>(Open);
        File.Delete(state);
        _witness = Open();
    }

    [Fact]
    public async Task Requests_at_once_are_taken_in_turns()
    {
        WitnessAnswer[] answers = await Task.WhenAll(Enumerable.Range(1, 20).Select(size => Task.Run(() => AskAsync(0, size), Cancelled)));

        answers.Count(answer => answer.Status == 200).ShouldBe(1, "all but one find another size than zero");
        answers.Count(answer => answer.Status == 409).ShouldBe(19);
    }

    [Fact]
    public async Task F1_a_log_that_was_rolled_back_finds_its_witness_ahead()
    {
        using var http = new HttpClient(new DirectWitness(_witness));
        WitnessClient Client() => new(http, new WitnessEndpoint(_keys.Keys[0].PublicKey, new Uri("http://witness.example/w1/")), TimeSpan.FromSeconds(20));
        (await AskByClientAsync(Client(), 300)).Outcome.ShouldBe(WitnessOutcome.Cosigned);
        (await AskByClientAsync(Client(), 1000)).Outcome.ShouldBe(WitnessOutcome.Cosigned, "a client that knows nothing yet asks twice");

        (await AskByClientAsync(Client(), 500)).Outcome.ShouldBe(WitnessOutcome.Ahead);
    }

    [Fact]
    public async Task A_witness_that_cannot_be_reached_is_seen_and_the_quorum_is_not_met()
    {
        string path = _directory.At("ledger");
        _witness.Dispose();
        PublishedLedger ledger = await PublishedLedger.OpenAsync(path, _directory.At("log-keys"), _time);
        VerifierKey logKey = ledger.Keys.Keys[0].PublicKey;
        await ledger.DisposeAsync();
        using Witness witness = Witness.Open(Options(new WitnessedLog(PublishedLedger.Origin, [logKey])));
        var direct = new DirectWitness(witness);
        using var http = new HttpClient(direct);
        using KeyDirectory gone = KeyDirectory.Create(_directory.At("gone"), "witness.example/w2", NoteSignatureType.CosignatureV1, _time);
        WitnessClient[] clients =
        [
            new(http, new WitnessEndpoint(_keys.Keys[0].PublicKey, new Uri("http://witness.example/w1")), TimeSpan.FromSeconds(20)),
            new(http, new WitnessEndpoint(gone.Keys[0].PublicKey, new Uri("http://gone.example/w2")), TimeSpan.FromSeconds(20)),
        ];
        await using PublishedLedger witnessed = await PublishedLedger.OpenAsync(path, _directory.At("log-keys"), _time, clients, names => names.Count >= 2);

        TransparencyStatus status = await witnessed.AppendAndPublishAsync(5);

        status.QuorumMet.ShouldBeFalse();
        status.Witnesses.Select(reply => reply.Outcome).ShouldBe([WitnessOutcome.Cosigned, WitnessOutcome.Unreachable]);
        string lines = $"log {logKey}\nwitness w1 {_keys.Keys[0].PublicKey}\nwitness w2 {gone.Keys[0].PublicKey}\n";
        Verify(path, lines + "group both all w1 w2\nquorum both\n").Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.QuorumNotMet);
        LedgerVerification one = Verify(path, lines + "group one 1 w1 w2\nquorum one\n");
        one.Failure.ShouldBeNull();
        one.Chains.Single(chain => chain.Chain == "control").Checkpoint.ShouldNotBeNull().CosignedBy.ShouldBe([_keys.Keys[0].PublicKey.ToString()]);

        // Once it can be reached, the same checkpoint is completed without a new record.
        using Witness second = Witness.Open(Options(new WitnessedLog(PublishedLedger.Origin, [logKey])) with { Directory = _directory.At("state2"), Keys = gone });
        direct.Second = second;
        (await witnessed.Log.PublishAsync(Cancelled)).QuorumMet.ShouldBeTrue();
        Verify(path, lines + "group both all w1 w2\nquorum both\n").Failure.ShouldBeNull();
    }

    [Fact]
    public async Task F1_the_whole_state_from_an_old_copy_shows_against_a_witness()
    {
        string path = _directory.At("ledger");
        SignedCheckpoint atWitness;
        PinnedKey key;
        await using (PublishedLedger ledger = await PublishedLedger.OpenAsync(path, _directory.At("log-keys"), _time))
        {
            await ledger.AppendAndPublishAsync(5);
            PublishedLedger.Copy(path, _directory.At("old"));
            await ledger.AppendAndPublishAsync(5);
            key = ledger.Key;
            _witness.Dispose();
            using Witness witness = Witness.Open(Options(new WitnessedLog(PublishedLedger.Origin, [ledger.Keys.Keys[0].PublicKey])));
            SignedNote note = SignedNote.Parse(await File.ReadAllBytesAsync(Path.Combine(path, "control", "tlog", "checkpoint"), Cancelled));
            (await witness.AddCheckpointAsync(Encoding.UTF8.GetBytes(new ConsistencyProof(0, [], note).ToString()), Cancelled)).Status.ShouldBe(200);
            string hash = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(PublishedLedger.Origin)));
            atWitness = SignedCheckpoint.Parse((await witness.LatestAsync(hash, Cancelled)).ShouldNotBeNull().ToBytes());
        }

        var options = new VerificationOptions { Keys = [key], Checkpoints = [new KeptCheckpoint("witness.example/w1", atWitness)] };
        ChainVerifier.VerifyPath(path, options, Cancelled).Failure.ShouldBeNull();
        ChainVerifier.VerifyPath(_directory.At("old"), options, Cancelled).Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.RolledBack);
    }

    private static LedgerVerification Verify(string path, string policy) =>
        ChainVerifier.VerifyPath(path, new VerificationOptions { Policy = TrustPolicy.Parse(policy) }, Cancelled);

    private Witness Open() => Witness.Open(Options(new WitnessedLog(Origin, [_log.PublicKey])));

    private WitnessOptions Options(WitnessedLog log) => new() { Directory = _directory.At("state"), Keys = _keys, Logs = [log], TimeProvider = _time };

    private async Task<TreeCheckpoint> CheckpointAsync(int size)
    {
        TreeWriter writer = TreeWriter.Begin(_tree);
        for (int index = 0; index < size; index++)
        {
            await writer.AppendAsync(TileTests.EventHash(index), Cancelled);
        }

        await writer.FlushAsync(Cancelled);
        return new TreeCheckpoint(Origin, size, writer.Frontier.Root());
    }

    private async Task<WitnessAnswer> AskAsync(int old, int size)
    {
        TreeCheckpoint checkpoint = await CheckpointAsync(size);
        IReadOnlyList<TreeHash> path = old == 0 || old == size ? [] : await new TileReader(_tree, size).ConsistencyAsync(old, Cancelled);
        return await SendAsync(old, path, checkpoint);
    }

    private async Task<WitnessReply> AskByClientAsync(WitnessClient client, int size)
    {
        TreeCheckpoint checkpoint = await CheckpointAsync(size);
        return await client.AskAsync(
            checkpoint, new SignedNote(checkpoint.ToText(), [_log.Sign(checkpoint.ToText())]),
            (old, token) => new TileReader(_tree, size).ConsistencyAsync(old, token), Cancelled);
    }

    private Task<WitnessAnswer> SendAsync(long old, IReadOnlyList<TreeHash> path, TreeCheckpoint checkpoint) =>
        SendNoteAsync(old, new SignedNote(checkpoint.ToText(), [_log.Sign(checkpoint.ToText())]), path);

    private Task<WitnessAnswer> SendNoteAsync(long old, SignedNote note, IReadOnlyList<TreeHash>? path = null) =>
        _witness.AddCheckpointAsync(Encoding.UTF8.GetBytes(new ConsistencyProof(old, path ?? [], note).ToString()), Cancelled);

    /// <summary>The client's HTTP requests, answered by a real witness in this process; other hosts cannot be reached.</summary>
    private sealed class DirectWitness(Witness witness) : HttpMessageHandler
    {
        public Witness? Second { get; set; }

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            Witness? asked = request.RequestUri?.AbsoluteUri switch
            {
                "http://witness.example/w1/add-checkpoint" => witness,
                "http://gone.example/w2/add-checkpoint" => Second,
                _ => null,
            };
            if (asked is null || request.Content is null)
            {
                throw new HttpRequestException("no route to host");
            }

            WitnessAnswer answer = await asked.AddCheckpointAsync(await request.Content.ReadAsByteArrayAsync(cancellationToken), cancellationToken);
            return new HttpResponseMessage((HttpStatusCode)answer.Status) { Content = new StringContent(answer.Body, Encoding.UTF8) };
        }
    }
}
