using System.Net;
using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Tests.Anchors;
using Rynxs.Ledger.Verifier;
using Rynxs.Ledger.Witnessing;

namespace Rynxs.Ledger.Tests.Keys;

/// <summary>Keys that change while others sign with them, verify with them, and cosign.</summary>
public sealed class KeyRotationTests : IDisposable
{
    private static readonly TimeSpan Overlap = TimeSpan.FromDays(30);

    private readonly TemporaryDirectory _directory = new();
    private readonly ManualTime _time = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string KeyPath => _directory.At("keys");

    private string LedgerPath => _directory.At("ledger");

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_publisher_takes_a_rotated_key_while_it_runs_and_both_pins_verify_during_the_overlap()
    {
        await using PublishedLedger ledger = await PublishedLedger.OpenAsync(LedgerPath, KeyPath, _time);
        PinnedKey old = ledger.Key;
        await ledger.AppendAndPublishAsync(5);
        SignedCheckpoint kept = ledger.Checkpoint();
        ledger.Keys.Refresh().ShouldBeFalse("nothing changed");

        // Another process, as 'rynxs ledger keys rotate' is.
        using (KeyDirectory other = KeyDirectory.Open(KeyPath))
        {
            other.Rotate(Overlap, _time);
        }

        ledger.Keys.Refresh().ShouldBeTrue();
        await ledger.Log.PublishAsync(Cancelled); // Nothing was appended: the key alone makes it sign again, of the agent's chain, too.
        PinnedKey fresh = ledger.Key;
        fresh.ShouldNotBe(old);
        foreach (PinnedKey pin in new[] { old, fresh })
        {
            Verify([pin], kept).ShouldBe((true, null));
        }

        _time.Advance(Overlap + TimeSpan.FromSeconds(1));
        await ledger.AppendAndPublishAsync(5);
        Verify([fresh]).ShouldBe((true, null));
        Verify([old]).ShouldBe((false, FailureCodes.CheckpointUnsigned));
        Verify([old, fresh], kept).ShouldBe((true, null), "a checkpoint from before still counts for whoever pins its key");
    }

    [Fact]
    public async Task A_rotation_that_dies_at_any_step_leaves_keys_that_work_and_the_next_one_clears_up()
    {
        await using PublishedLedger ledger = await PublishedLedger.OpenAsync(LedgerPath, KeyPath, _time);
        await ledger.AppendAndPublishAsync(1);
        string list = Path.Combine(KeyPath, "keys.json"), orphan = Path.Combine(KeyPath, "key-0002.pem");

        // Died before the list: a key that nobody knows, and drafts.
        string before = await File.ReadAllTextAsync(list, Cancelled);
        using (KeyDirectory rotating = KeyDirectory.Open(KeyPath))
        {
            rotating.Rotate(Overlap, _time);
        }

        byte[] stray = await File.ReadAllBytesAsync(orphan, Cancelled);
        await File.WriteAllTextAsync(list, before, Cancelled);
        File.Copy(orphan, orphan + ".draft");
        ledger.Keys.Refresh().ShouldBeTrue();
        ledger.Keys.SigningAt(_time.GetUtcNow()).Count.ShouldBe(1);
        (await ledger.AppendAndPublishAsync(1)).Alarms.ShouldBeEmpty();

        // Died after the list: a private key that no longer counts is still there.
        using (KeyDirectory rotating = KeyDirectory.Open(KeyPath))
        {
            rotating.Rotate(TimeSpan.Zero, _time);
            byte[] first = await File.ReadAllBytesAsync(Path.Combine(KeyPath, "key-0001.pem"), Cancelled);
            rotating.Rotate(TimeSpan.Zero, _time);
            File.Exists(Path.Combine(KeyPath, "key-0001.pem")).ShouldBeFalse();
            await File.WriteAllBytesAsync(Path.Combine(KeyPath, "key-0001.pem"), first, Cancelled);
            File.SetUnixFileMode(Path.Combine(KeyPath, "key-0001.pem"), UnixFileMode.UserRead | UnixFileMode.UserWrite);
            rotating.Rotate(TimeSpan.Zero, _time);
        }

        Directory.GetFiles(KeyPath, "key-*").Select(Path.GetFileName).Order().ShouldBe(["key-0003.pem", "key-0004.pem"]);
        (await File.ReadAllBytesAsync(Path.Combine(KeyPath, "key-0004.pem"), Cancelled)).ShouldNotBe(stray);
        ledger.Keys.Refresh().ShouldBeTrue();
        await ledger.AppendAndPublishAsync(1);
        Verify([ledger.Key]).ShouldBe((true, null));
    }

    [Fact]
    public void Keys_that_cannot_be_taken_leave_those_that_sign_and_are_named()
    {
        using KeyDirectory keys = KeyDirectory.Create(KeyPath, "example.com/log", NoteSignatureType.Ed25519, _time);
        VerifierKey first = keys.Keys[0].PublicKey;
        string list = Path.Combine(KeyPath, "keys.json");
        File.WriteAllText(list, "{}");
        Should.Throw<KeyDirectoryException>(() => keys.Refresh());

        // F1: another log's keys put in its place are not taken, whatever their list says.
        using (KeyDirectory.Create(_directory.At("other"), "evil.example/log", NoteSignatureType.Ed25519, _time))
        {
        }

        File.Copy(_directory.At("other", "key-0001.pem"), Path.Combine(KeyPath, "key-0001.pem"), overwrite: true);
        File.Copy(_directory.At("other", "keys.json"), list, overwrite: true);
        Should.Throw<KeyDirectoryException>(() => keys.Refresh()).Message.ShouldContain("evil.example/log");

        keys.SigningAt(_time.GetUtcNow()).ShouldHaveSingleItem().PublicKey.ShouldBe(first);
        keys.SigningAt(_time.GetUtcNow())[0].Sign([1]).ShouldNotBe(new byte[64]);
    }

    [Fact]
    public async Task A_quorum_of_witnesses_lasts_over_rotations_of_the_log_and_of_a_witness()
    {
        using var logKeys = KeyDirectory.Create(KeyPath, PublishedLedger.Origin, NoteSignatureType.Ed25519, _time);
        VerifierKey firstLogKey = logKeys.Keys[0].PublicKey;
        List<VerifierKey> followed = [firstLogKey];
        using var firstKeys = KeyDirectory.Create(_directory.At("w1"), "w1.example/w", NoteSignatureType.CosignatureV1, _time);
        using var secondKeys = KeyDirectory.Create(_directory.At("w2"), "w2.example/w", NoteSignatureType.CosignatureV1, _time);
        using Witness first = Open("s1", firstKeys, () => followed), second = Open("s2", secondKeys, () => followed);
        VerifierKey pinned = firstKeys.Keys[0].PublicKey;
        await using PublishedLedger ledger = await PublishedLedger.OpenAsync(
            LedgerPath, KeyPath, _time, [Client(first, firstKeys.Keys[0].PublicKey), Client(second, secondKeys.Keys[0].PublicKey)], cosignatures => cosignatures.Count == 2);
        (await ledger.AppendAndPublishAsync(3)).QuorumMet.ShouldBeTrue();

        // The log rotates. Witnesses that know the old key alone go on during the overlap.
        using (KeyDirectory other = KeyDirectory.Open(KeyPath))
        {
            other.Rotate(Overlap, _time);
        }

        ledger.Keys.Refresh();
        (await ledger.AppendAndPublishAsync(3)).QuorumMet.ShouldBeTrue("both keys sign");

        // Nobody told them: when the old key ends, they refuse, and that is told.
        _time.Advance(Overlap + TimeSpan.FromSeconds(1));
        TransparencyStatus untold = await ledger.AppendAndPublishAsync(3);
        untold.QuorumMet.ShouldBeFalse();
        untold.Witnesses.ShouldAllBe(witness => witness.Outcome == WitnessOutcome.Refused);

        // The new key goes into their list while they run.
        followed.Add(ledger.Keys.Keys[^1].PublicKey);
        (await ledger.Log.PublishAsync(Cancelled)).QuorumMet.ShouldBeTrue("the checkpoint is completed without anything new in the log");

        // A witness rotates: its old key cosigns beside the new one, and the policy moves on when it likes.
        using (KeyDirectory other = KeyDirectory.Open(_directory.At("w1")))
        {
            other.Rotate(Overlap, _time);
        }

        (await ledger.AppendAndPublishAsync(3)).QuorumMet.ShouldBeTrue("the old key still cosigns");
        ledger.Log.UseWitnesses([Client(first, firstKeys.Keys[^1].PublicKey), Client(second, secondKeys.Keys[0].PublicKey)], cosignatures => cosignatures.Count == 2);
        _time.Advance(Overlap + TimeSpan.FromSeconds(1));
        (await ledger.AppendAndPublishAsync(3)).QuorumMet.ShouldBeTrue("the new key alone");
        firstKeys.Keys[^1].PublicKey.ShouldNotBe(pinned);

        TrustPolicy policy = TrustPolicy.Parse(
            $"log {ledger.Key.Text}\nwitness a {firstKeys.Keys[^1].PublicKey}\nwitness b {secondKeys.Keys[0].PublicKey}\ngroup both 2 a b\nquorum both\n");
        ChainVerifier.VerifyPath(LedgerPath, new VerificationOptions { Policy = policy }, Cancelled).Valid.ShouldBeTrue();
        TrustPolicy stale = TrustPolicy.Parse($"log {ledger.Key.Text}\nwitness a {pinned}\nwitness b {secondKeys.Keys[0].PublicKey}\ngroup both 2 a b\nquorum both\n");
        ChainVerifier.VerifyPath(LedgerPath, new VerificationOptions { Policy = stale }, Cancelled).Valid.ShouldBeFalse("the old key of the witness cosigns no more");
    }

    private Witness Open(string state, KeyDirectory keys, Func<IReadOnlyList<VerifierKey>> logKeys) => Witness.Open(new WitnessOptions
    {
        Directory = _directory.At(state), Keys = keys, TimeProvider = _time, Logs = [],
        ReadLogs = () => [new WitnessedLog(PublishedLedger.Origin, logKeys())],
    });

    private static WitnessClient Client(Witness witness, VerifierKey key) =>
        new(new HttpClient(new DirectHandler(witness)), new WitnessEndpoint(key, new Uri("http://witness.example/")), TimeSpan.FromSeconds(30));

    private (bool Valid, string? Code) Verify(IReadOnlyList<PinnedKey> keys, params SignedCheckpoint[] kept)
    {
        LedgerVerification found = ChainVerifier.VerifyPath(
            LedgerPath, new VerificationOptions { Keys = keys, Checkpoints = [.. kept.Select(checkpoint => new KeptCheckpoint("kept", checkpoint))] }, Cancelled);
        return (found.Valid, found.Chains.Select(chain => chain.Failure?.Code).FirstOrDefault(code => code is not null));
    }

    /// <summary>The protocol without a socket; the socket has tests of its own.</summary>
    private sealed class DirectHandler(Witness witness) : HttpMessageHandler
    {
        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            byte[] body = request.Content is null ? [] : await request.Content.ReadAsByteArrayAsync(cancellationToken);
            WitnessAnswer answer = await witness.AddCheckpointAsync(body, cancellationToken);
            return new HttpResponseMessage((HttpStatusCode)answer.Status) { Content = new StringContent(answer.Body) };
        }
    }
}
