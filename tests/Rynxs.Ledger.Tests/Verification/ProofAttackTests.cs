using System.Text;
using System.Text.Json.Nodes;
using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Tests.Anchors;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Verification;

/// <summary>
/// What a hash chain alone cannot show: cut tails, old copies, rebuilt histories, two views. The attacker may write every file of the ledger and
/// recompute every hash; what it lacks is the log's key and what the auditor keeps.
/// </summary>
public sealed class ProofAttackTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string LedgerPath => _directory.At("ledger");

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_published_ledger_verifies_with_its_key_its_tiles_and_its_anchors()
    {
        await using PublishedLedger ledger = await OpenAsync();
        await ledger.AppendAndPublishAsync(300);
        SignedCheckpoint first = ledger.Checkpoint();
        await ledger.AppendAndPublishAsync(300);
        await ledger.AppendAsync(5);

        LedgerVerification result = Verify(ledger, first);

        result.Failure.ShouldBeNull();
        result.AnchorsSeen.ShouldBe(2);
        ChainReport control = result.Chains.Single(chain => chain.Chain == "control");
        control.Checkpoint.ShouldNotBeNull().SignedBy.ShouldBe([ledger.Key.Text]);
        control.Checkpoint.Size.ShouldBe(ledger.Checkpoint().Size);
        control.TilesChecked.ShouldBeGreaterThan(6);
        ChainReport agent = result.Chains.Single(chain => chain.Chain != "control");
        agent.MarksChecked.ShouldBe(2);
        agent.Records.ShouldBe(606);
        agent.Checkpoint.ShouldNotBeNull().Origin.ShouldBe("rynxs.test/log/agents/rynxs/my-agent");
    }

    [Fact]
    public async Task F1_a_cut_tail_of_the_control_chain_is_named()
    {
        PinnedKey key = await PublishAndCloseAsync();
        CutLines("control", 3);

        Code(Verify(key)).ShouldBe(FailureCodes.TailTruncated);
    }

    [Fact]
    public async Task F1_a_cut_tail_of_an_agents_chain_is_named_even_without_its_own_checkpoint()
    {
        PinnedKey key = await PublishAndCloseAsync();
        CutLines("agents/rynxs/my-agent", 3);
        Directory.Delete(_directory.At("ledger", "agents", "rynxs", "my-agent", "tlog"), recursive: true);

        ChainFailure failure = Verify(key).Failure.ShouldNotBeNull();

        failure.Code.ShouldBe(FailureCodes.TailTruncated);
        failure.Chain.ShouldBe("agents/rynxs/my-agent");
        failure.Message.ShouldContain("anchor");
    }

    [Fact]
    public async Task F1_a_removed_agents_chain_is_named()
    {
        PinnedKey key = await PublishAndCloseAsync();
        Directory.Move(_directory.At("ledger", "agents", "rynxs", "my-agent"), _directory.At("aside"));
        Directory.CreateDirectory(_directory.At("ledger", "agents", "rynxs", "other"));

        LedgerVerification result = Verify(key);

        result.Chains.Single(chain => chain.Chain == "agents/rynxs/my-agent").Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.ChainMissing);
    }

    [Fact]
    public async Task F1_an_agents_chain_from_an_old_copy_is_named()
    {
        string old = _directory.At("old");
        await using (PublishedLedger ledger = await OpenAsync())
        {
            await ledger.AppendAndPublishAsync(10);
            PublishedLedger.Copy(LedgerPath, old);
            await ledger.AppendAndPublishAsync(10);
        }

        string chain = _directory.At("ledger", "agents", "rynxs", "my-agent");
        Directory.Delete(chain, recursive: true);
        PublishedLedger.Copy(Path.Combine(old, "agents", "rynxs", "my-agent"), chain);

        Verify(null).Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.TailTruncated);
    }

    [Fact]
    public async Task F1_the_whole_state_from_an_old_copy_shows_against_a_kept_checkpoint_and_only_then()
    {
        string old = _directory.At("old");
        SignedCheckpoint kept;
        PinnedKey key;
        await using (PublishedLedger ledger = await OpenAsync())
        {
            key = ledger.Key;
            await ledger.AppendAndPublishAsync(10);
            PublishedLedger.Copy(LedgerPath, old);
            await ledger.AppendAndPublishAsync(10);
            kept = ledger.Checkpoint();
        }

        Verify(key, kept).Failure.ShouldBeNull();
        LedgerVerification rolledBack = ChainVerifier.VerifyPath(
            old, new VerificationOptions { Keys = [key], Checkpoints = [new KeptCheckpoint("monday", kept)] }, Cancelled);
        ChainFailure failure = rolledBack.Failure.ShouldNotBeNull();
        failure.Code.ShouldBe(FailureCodes.RolledBack);
        failure.Message.ShouldContain("monday");
        ChainVerifier.VerifyPath(old, new VerificationOptions { Keys = [key] }, Cancelled).Valid
            .ShouldBeTrue("an old copy is whole in itself: without a kept checkpoint or a witness nothing shows");
    }

    [Fact]
    public async Task F1_a_history_rebuilt_without_the_key_is_named()
    {
        PinnedKey key = await PublishAndCloseAsync();
        Rebuild("control", line => line.Replace("\"exit_code\":3,", "\"exit_code\":4,", StringComparison.Ordinal));

        // Every hash of the chain verifies: that is what the chain alone cannot show.
        ChainVerifier.VerifyPath(LedgerPath, new VerificationOptions { CheckTree = false }, Cancelled).Failure.ShouldBeNull();
        Code(Verify(key)).ShouldBeOneOf(FailureCodes.TileMismatch, FailureCodes.CheckpointMismatch);
        Directory.Delete(_directory.At("ledger", "control", "tlog", "tile"), recursive: true);
        Code(Verify(key)).ShouldBe(FailureCodes.CheckpointMismatch);
        File.Delete(_directory.At("ledger", "control", "tlog", "checkpoint"));
        Code(Verify(key)).ShouldBe(FailureCodes.CheckpointMissing);
    }

    [Fact]
    public async Task F1_an_agents_history_rebuilt_is_named_by_its_anchor()
    {
        PinnedKey key = await PublishAndCloseAsync();
        Rebuild("agents/rynxs/my-agent", line => line.Replace("\"exit_code\":3,", "\"exit_code\":4,", StringComparison.Ordinal));
        Directory.Delete(_directory.At("ledger", "agents", "rynxs", "my-agent", "tlog"), recursive: true);

        Code(Verify(key)).ShouldBe(FailureCodes.AnchorMismatch);
        ChainVerifier.VerifyPath(LedgerPath, new VerificationOptions { CheckTree = false }, Cancelled).Failure.ShouldNotBeNull().Code
            .ShouldBe(FailureCodes.AnchorMismatch, "the head hash alone shows it too");
    }

    [Fact]
    public async Task F1_a_history_rebuilt_and_signed_with_another_key_is_named()
    {
        PinnedKey key = await PublishAndCloseAsync();
        string forged = _directory.At("forged");
        await using (PublishedLedger forger = await PublishedLedger.OpenAsync(forged, _directory.At("other-keys")))
        {
            await forger.AppendAndPublishAsync(20);
            ChainVerifier.VerifyPath(forged, new VerificationOptions { Keys = [forger.Key] }, Cancelled).Valid.ShouldBeTrue();
        }

        ChainVerifier.VerifyPath(forged, new VerificationOptions { Keys = [key] }, Cancelled).Failure.ShouldNotBeNull().Code
            .ShouldBe(FailureCodes.CheckpointUnsigned);
    }

    [Fact]
    public async Task F1_two_histories_signed_by_one_key_and_shown_to_two_verifiers_are_a_split_view()
    {
        // The log itself lies: it goes on from one state in two ways, and signs both.
        string other = _directory.At("other");
        PinnedKey key;
        SignedCheckpoint kept;
        await using (PublishedLedger ledger = await OpenAsync())
        {
            key = ledger.Key;
            await ledger.AppendAndPublishAsync(10);
        }

        PublishedLedger.Copy(LedgerPath, other);
        await using (PublishedLedger ledger = await OpenAsync())
        {
            await ledger.AppendAndPublishAsync(10);
            kept = ledger.Checkpoint();
        }

        await using (PublishedLedger liar = await PublishedLedger.OpenAsync(other, _directory.At("keys")))
        {
            await liar.AppendAndPublishAsync(30);
        }

        ChainVerifier.VerifyPath(other, new VerificationOptions { Keys = [key] }, Cancelled).Valid.ShouldBeTrue();
        LedgerVerification result = ChainVerifier.VerifyPath(
            other, new VerificationOptions { Keys = [key], Checkpoints = [new KeptCheckpoint("shown to the first verifier", kept)] }, Cancelled);
        result.Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.SplitView);
    }

    [Fact]
    public async Task F1_the_writer_refuses_to_go_on_from_a_control_chain_that_was_rolled_back_or_rebuilt()
    {
        await PublishAndCloseAsync();
        PublishedLedger.Copy(LedgerPath, _directory.At("good"));
        CutLines("control", 3);
        (await Should.ThrowAsync<ChainRolledBackException>(OpenAsync)).Chain.ShouldBe(ChainId.Control);

        Directory.Delete(LedgerPath, recursive: true);
        PublishedLedger.Copy(_directory.At("good"), LedgerPath);
        Rebuild("control", line => line.Replace("\"exit_code\":3,", "\"exit_code\":4,", StringComparison.Ordinal));
        await Should.ThrowAsync<ChainRolledBackException>(OpenAsync);

        Directory.Delete(LedgerPath, recursive: true);
        PublishedLedger.Copy(_directory.At("good"), LedgerPath);
        await using PublishedLedger good = await OpenAsync();
        (await good.AppendAndPublishAsync(1)).Alarms.ShouldBeEmpty();
    }

    [Fact]
    public async Task F1_an_agents_chain_that_was_rolled_back_raises_an_alarm_and_is_not_anchored_again()
    {
        PinnedKey key = await PublishAndCloseAsync();
        CutLines("agents/rynxs/my-agent", 5);

        await using PublishedLedger ledger = await OpenAsync();
        TransparencyStatus status = await ledger.AppendAndPublishAsync(3);
        await ledger.AppendAndPublishAsync(3);

        status.Alarms.ShouldHaveSingleItem().ShouldContain("agents/rynxs/my-agent");
        status.Checkpoint.ShouldNotBeNull().Size.ShouldBe(ledger.Control.Head.Seq + 1 - 3);
        Verify(key).Chains.Single(chain => chain.Chain != "control").Failure.ShouldNotBeNull();
    }

    [Theory]
    [InlineData("tile/0/000")]
    [InlineData("tile/0/001.p/")]
    [InlineData("tile/1/000.p/")]
    [InlineData("tile/entries/000")]
    [InlineData("tile/entries/001.p/")]
    public async Task F1_a_changed_or_missing_tile_is_named(string tile)
    {
        PinnedKey key;
        await using (PublishedLedger ledger = await OpenAsync())
        {
            await ledger.AppendAndPublishAsync(300);
            key = ledger.Key;
        }

        string path = _directory.At("ledger", "control", "tlog", tile);
        path = path.EndsWith('/') ? Directory.EnumerateFiles(path).Single() : path;
        byte[] content = await File.ReadAllBytesAsync(path, Cancelled);
        foreach (int at in new[] { 0, content.Length / 2, content.Length - 1 })
        {
            byte[] changed = [.. content];
            changed[at] ^= 1;
            await File.WriteAllBytesAsync(path, changed, Cancelled);
            Code(Verify(key)).ShouldBe(FailureCodes.TileMismatch);
        }

        File.Delete(path);
        Code(Verify(key)).ShouldBe(FailureCodes.TileMissing);
        await File.WriteAllBytesAsync(path, content, Cancelled);
        Verify(key).Failure.ShouldBeNull();
    }

    [Fact]
    public async Task F1_any_changed_byte_of_a_checkpoint_is_detected()
    {
        PinnedKey key = await PublishAndCloseAsync();
        string path = _directory.At("ledger", "control", "tlog", "checkpoint");
        byte[] content = await File.ReadAllBytesAsync(path, Cancelled);
        for (int at = 0; at < content.Length; at += Soak.Enabled ? 1 : 3)
        {
            byte[] changed = [.. content];
            changed[at] ^= 1;
            await File.WriteAllBytesAsync(path, changed, Cancelled);
            Verify(key).Failure.ShouldNotBeNull($"byte {at}").Code
                .ShouldBeOneOf(FailureCodes.CheckpointMalformed, FailureCodes.CheckpointUnsigned, FailureCodes.CheckpointMismatch, FailureCodes.TailTruncated);
        }
    }

    [Fact]
    public async Task F5_a_clock_that_runs_back_changes_nothing_that_is_proved()
    {
        var time = new Keys.ManualTime();
        await using PublishedLedger ledger = await PublishedLedger.OpenAsync(LedgerPath, _directory.At("keys"), time);
        await ledger.AppendAndPublishAsync(10);
        SignedCheckpoint first = ledger.Checkpoint();
        time.Advance(TimeSpan.FromDays(-400));
        await ledger.AppendAndPublishAsync(10);

        ledger.Checkpoint().Size.ShouldBeGreaterThan(first.Size);
        Verify(ledger, first).Failure.ShouldBeNull();
    }

    [Fact]
    public async Task A_rotated_key_leaves_checkpoints_that_both_pins_accept()
    {
        var time = new Keys.ManualTime();
        await using PublishedLedger ledger = await PublishedLedger.OpenAsync(LedgerPath, _directory.At("keys"), time);
        await ledger.AppendAndPublishAsync(3);
        PinnedKey old = ledger.Key;
        ledger.Keys.Rotate(TimeSpan.FromDays(7), time);
        await ledger.Log.PublishAsync(Cancelled);

        Verify(old).Failure.ShouldBeNull();
        Verify(ledger.Key).Failure.ShouldBeNull();
        time.Advance(TimeSpan.FromDays(8));
        await ledger.AppendAndPublishAsync(3);
        Code(Verify(old)).ShouldBe(FailureCodes.CheckpointUnsigned);
        Verify(ledger.Key).Failure.ShouldBeNull();
    }

    private Task<PublishedLedger> OpenAsync() => PublishedLedger.OpenAsync(LedgerPath, _directory.At("keys"));

    private async Task<PinnedKey> PublishAndCloseAsync()
    {
        await using PublishedLedger ledger = await OpenAsync();
        await ledger.AppendAndPublishAsync(20);
        Verify(ledger.Key).Failure.ShouldBeNull("the positive control");
        return ledger.Key;
    }

    private static string? Code(LedgerVerification result) => result.Failure?.Code;

    private LedgerVerification Verify(PublishedLedger ledger, SignedCheckpoint kept) => Verify(ledger.Key, kept);

    private LedgerVerification Verify(PinnedKey? key, SignedCheckpoint? kept = null) => ChainVerifier.VerifyPath(
        LedgerPath,
        new VerificationOptions { Keys = key is null ? [] : [key], Checkpoints = kept is null ? [] : [new KeptCheckpoint("kept", kept)] },
        Cancelled);

    private string Segment(string chain) => _directory.At("ledger", chain, SegmentName.Of(0));

    private void CutLines(string chain, int lines)
    {
        string[] all = File.ReadAllLines(Segment(chain));
        File.WriteAllText(Segment(chain), string.Concat(all[..^lines].Select(line => line + "\n")));
    }

    /// <summary>Changes lines and recomputes every hash from there on, as whoever owns the disk can.</summary>
    private void Rebuild(string chain, Func<string, string> change)
    {
        var text = new StringBuilder();
        string previous = Logs.Genesis;
        bool changed = false;
        foreach (string line in File.ReadLines(Segment(chain)))
        {
            string altered = change(line);
            changed |= altered != line;
            string rebuilt = Logs.Line(altered[9..altered.LastIndexOf(",\"event_hash\"", StringComparison.Ordinal)], previous);
            previous = JsonNode.Parse(rebuilt)?["event_hash"]?.GetValue<string>() ?? "";
            text.Append(rebuilt).Append('\n');
        }

        changed.ShouldBeTrue();
        File.WriteAllText(Segment(chain), text.ToString());
    }
}
