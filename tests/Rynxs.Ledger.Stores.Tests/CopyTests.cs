using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Stores.Copying;
using Rynxs.Ledger.Stores.Tests.S3;
using Rynxs.Ledger.Tests;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Stores.Tests;

public sealed class CopyTests(S3Server server) : IDisposable
{
    private static readonly ChainOptions NoMirror = new();
    private static readonly ChainId Agent = ChainId.Agent("rynxs", "my-agent");
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_ledger_goes_from_files_over_sqlite_and_s3_back_to_files_unchanged_and_can_be_continued_anywhere()
    {
        var first = new LedgerLocation.Files(_directory.At("first"));
        var sqlite = new LedgerLocation.Sqlite(_directory.At("second.db"));
        var s3 = new LedgerLocation.S3(server.Options(await server.MakeBucketAsync()) with { Prefix = "third" });
        var last = new LedgerLocation.Files(_directory.At("last"));
        SideBlob blob = SideBlob.Create("a text");
        await AppendAsync(first, 30, blob);

        await CopyAsync(first, sqlite);
        await CopyAsync(sqlite, s3);
        await CopyAsync(s3, last);

        byte[] copy = await File.ReadAllBytesAsync(_directory.At("last", "agents", "rynxs", "my-agent", SegmentName.Of(0)), Cancelled);
        copy.ShouldBe(await File.ReadAllBytesAsync(_directory.At("first", "agents", "rynxs", "my-agent", SegmentName.Of(0)), Cancelled));
        LedgerVerification verified = ChainVerifier.VerifyPath(_directory.At("last"), Cancelled);
        verified.Valid.ShouldBeTrue();
        verified.Chains.Sum(chain => chain.BlobsVerified).ShouldBe(1);
        foreach (LedgerLocation location in new LedgerLocation[] { sqlite, s3, last })
        {
            await using ILedger ledger = await location.OpenLedgerAsync(Cancelled);
            ILedgerChain chain = await ledger.OpenAsync(Agent, NoMirror, Cancelled);
            chain.Epoch.ShouldBe(2);
            (await chain.AppendAsync(Entries.Numbered(99), Cancelled)).Seq.ShouldBe(32);
            (await chain.ReadBlobAsync(blob.Commitment, Cancelled)).ShouldNotBeNull();
        }
    }

    [Fact]
    public async Task A_copy_that_is_repeated_adds_only_what_is_new()
    {
        var source = new LedgerLocation.Files(_directory.At("source"));
        var target = new LedgerLocation.Sqlite(_directory.At("target.db"));
        await AppendAsync(source, 10, SideBlob.Create("one"));
        await CopyAsync(source, target);
        await AppendAsync(source, 10, SideBlob.Create("two"));

        CopiedChain copied = (await CopyAsync(source, target)).Single(chain => chain.Id == Agent);

        copied.Before.Seq.ShouldBe(10);
        copied.Head.Seq.ShouldBe(21);
        copied.Blobs.ShouldBe(1);
        (await CopyAsync(source, target)).ShouldAllBe(chain => chain.Before == chain.Head && chain.Blobs == 0);
    }

    [Fact]
    public async Task A_target_with_another_chain_is_refused()
    {
        var source = new LedgerLocation.Files(_directory.At("source"));
        var target = new LedgerLocation.Sqlite(_directory.At("target.db"));
        await AppendAsync(source, 10, SideBlob.Create("one"));
        await AppendAsync(target, 3, SideBlob.Create("other"));

        await Should.ThrowAsync<LedgerCopyException>(async () => await CopyAsync(source, target));
    }

    [Fact]
    public async Task F1_damage_is_not_copied()
    {
        var source = new LedgerLocation.Files(_directory.At("source"));
        await AppendAsync(source, 10, SideBlob.Create("one"));
        string path = _directory.At("source", "agents", "rynxs", "my-agent", SegmentName.Of(0));
        string text = await File.ReadAllTextAsync(path, Cancelled);
        await File.WriteAllTextAsync(path, text.Replace("call-7", "call-8", StringComparison.Ordinal), Cancelled);

        LedgerCorruptException refused = await Should.ThrowAsync<LedgerCorruptException>(async () => await CopyAsync(source, new LedgerLocation.Sqlite(_directory.At("target.db"))));

        refused.Seq.ShouldBe(8);
    }

    private static async Task AppendAsync(LedgerLocation location, int records, SideBlob blob)
    {
        await using ILedger ledger = await location.OpenLedgerAsync(Cancelled);
        ILedgerChain chain = await ledger.OpenAsync(Agent, NoMirror, Cancelled);
        await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        for (int number = 0; number < records; number++)
        {
            await chain.AppendAsync(Entries.Numbered(number) with { Blobs = number == 0 ? [blob] : [] }, Cancelled);
        }
    }

    private static async Task<List<CopiedChain>> CopyAsync(LedgerLocation from, LedgerLocation to)
    {
        var copied = new List<CopiedChain>();
        await using LedgerReader reader = from.OpenReader();
        await using ILedger target = await to.OpenLedgerAsync(Cancelled);
        await LedgerCopy.RunAsync(reader, target, copied.Add, Cancelled);
        return copied;
    }
}
