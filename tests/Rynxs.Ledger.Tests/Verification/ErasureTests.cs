using System.Text;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Tests.Anchors;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Verification;

/// <summary>F6: a text can be erased; the chain, its tree and its proofs stay valid, and the erasing itself is on record.</summary>
public sealed class ErasureTests : IDisposable
{
    private const string Secret = "the patient's name is Ada";

    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task F6_an_erased_text_is_gone_and_everything_still_verifies()
    {
        string path = _directory.At("ledger");
        LedgerEntry entry = Entries.Numbered(1, Secret);
        PinnedKey key;
        await using (PublishedLedger ledger = await PublishedLedger.OpenAsync(path, _directory.At("keys")))
        {
            await ledger.AgentChain.AppendAsync(Entries.Numbered(0, "kept before"), Cancelled);
            AppendedRecord at = await ledger.AgentChain.AppendAsync(entry, Cancelled);
            await ledger.AgentChain.AppendAsync(Entries.Numbered(2, "kept after"), Cancelled);
            await ledger.AppendAndPublishAsync(1);
            key = ledger.Key;
            Agent(Verify(path, key)).BlobsWithheld.ShouldBe(0, "the positive control");
            BlobText().ShouldContain(Base64(Secret));

            LedgerRecord record = await ledger.AgentChain.ReadAsync(at.Seq, Cancelled).FirstAsync(Cancelled);
            BlobErasure.CommitmentsOf(record).ShouldBe([entry.Blobs[0].Commitment]);
            (await BlobErasure.EraseAsync(path, ledger.AgentChain, BlobErasure.CommitmentsOf(record), "user:dpo", "request 17", Cancelled)).ShouldBe(1);
            (await ledger.AgentChain.ReadBlobAsync(entry.Blobs[0].Commitment, Cancelled)).ShouldBeNull();
        }

        BlobText().ShouldNotContain(Base64(Secret));
        BlobText().ShouldContain(Base64("kept before"));
        BlobText().ShouldContain(Base64("kept after"));
        LedgerVerification result = Verify(path, key);
        result.Failure.ShouldBeNull();
        (Agent(result).BlobsWithheld, Agent(result).BlobsErased, Agent(result).BlobsVerified).ShouldBe((1, 1, 2));
        await using PublishedLedger again = await PublishedLedger.OpenAsync(path, _directory.At("keys"));
        (await again.AppendAndPublishAsync(1)).Alarms.ShouldBeEmpty();
        (await again.AgentChain.ReadAsync(0, Cancelled).FirstAsync(record => record.Type == "BlobErased", Cancelled))
            .Payload.GetProperty("reason").GetString().ShouldBe("request 17");
    }

    [Fact]
    public async Task F6_a_changed_text_is_no_erased_one()
    {
        string path = _directory.At("ledger");
        await using PublishedLedger ledger = await PublishedLedger.OpenAsync(path, _directory.At("keys"));
        await ledger.AgentChain.AppendAsync(Entries.Numbered(1, Secret), Cancelled);
        string file = Directory.EnumerateFiles(_directory.At("ledger", "agents", "rynxs", "my-agent"), "blobs-*.jsonl").Single();
        string other = Base64("the patient's name is Bob");
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file, Cancelled)).Replace(Base64(Secret), other, StringComparison.Ordinal), Cancelled);

        Agent(ChainVerifier.VerifyPath(path, Cancelled)).Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.BlobMismatch);
    }

    [Fact]
    public async Task F6_an_old_file_that_is_still_open_holds_nothing_after_the_erasing()
    {
        string path = _directory.At("ledger");
        await using PublishedLedger ledger = await PublishedLedger.OpenAsync(path, _directory.At("keys"));
        LedgerEntry entry = Entries.Numbered(1, Secret);
        await ledger.AgentChain.AppendAsync(entry, Cancelled);
        string file = Directory.EnumerateFiles(_directory.At("ledger", "agents", "rynxs", "my-agent"), "blobs-*.jsonl").Single();
        await using var held = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);

        await BlobErasure.EraseAsync(path, ledger.AgentChain, [entry.Blobs[0].Commitment], "user:dpo", "overwritten, not only unlinked", Cancelled);

        using var reader = new StreamReader(held);
        (await reader.ReadToEndAsync(Cancelled)).ShouldNotContain(Base64(Secret));
        (await BlobErasure.EraseAsync(path, ledger.AgentChain, [entry.Blobs[0].Commitment], "user:dpo", "again", Cancelled)).ShouldBe(0);
        await Should.ThrowAsync<ArgumentException>(() => BlobErasure.EraseAsync(path, ledger.AgentChain, [entry.Blobs[0].Commitment], "user:dpo", "", Cancelled));
    }

    private static string Base64(string text) => Convert.ToBase64String(Encoding.UTF8.GetBytes(text));

    private static ChainReport Agent(LedgerVerification result) => result.Chains.Single(chain => chain.Chain != "control");

    private static LedgerVerification Verify(string path, PinnedKey key) =>
        ChainVerifier.VerifyPath(path, new VerificationOptions { Keys = [key] }, Cancelled);

    private string BlobText() => string.Concat(
        Directory.EnumerateFiles(_directory.At("ledger", "agents", "rynxs", "my-agent"), "blobs-*").Select(File.ReadAllText));
}
