using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Tests.Files;

public sealed class MirrorTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string Mirror => _directory.At("audit.jsonl");

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task The_mirror_holds_every_committed_line_across_segments_and_openings()
    {
        await AppendAsync(20);
        await AppendAsync(20);

        await ExpectMirrorAsync();
        File.ReadLines(Mirror).Count().ShouldBe(42);
    }

    [Theory]
    [InlineData("altered")]
    [InlineData("longer")]
    [InlineData("shorter")]
    [InlineData("absent")]
    [InlineData("link")]
    public async Task A_mirror_that_disagrees_is_made_to_agree_at_the_next_opening(string damage)
    {
        await AppendAsync(20);
        byte[] bytes = await File.ReadAllBytesAsync(Mirror, Cancelled);
        string target = _directory.At("target");
        switch (damage)
        {
            case "altered":
                bytes[300] ^= 1;
                await File.WriteAllBytesAsync(Mirror, bytes, Cancelled);
                break;
            case "longer":
                await File.AppendAllTextAsync(Mirror, "{}\n", Cancelled);
                break;
            case "shorter":
                await File.WriteAllBytesAsync(Mirror, bytes[..500], Cancelled);
                break;
            case "link":
                await File.WriteAllTextAsync(target, "not yours", Cancelled);
                File.Delete(Mirror);
                File.CreateSymbolicLink(Mirror, target);
                break;
            default:
                File.Delete(Mirror);
                break;
        }

        await AppendAsync(3);

        await ExpectMirrorAsync();
        new FileInfo(Mirror).LinkTarget.ShouldBeNull();
        if (damage == "link")
        {
            (await File.ReadAllTextAsync(target, Cancelled)).ShouldBe("not yours");
        }
    }

    [Fact]
    public async Task A_mirror_that_cannot_be_written_is_counted_and_stops_no_append()
    {
        string absent = _directory.At("absent", "audit.jsonl");
        await using FileLedger ledger = await FileLedger.OpenAsync(
            new FileLedgerOptions { Directory = _directory.At("ledger") }, Cancelled);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions { MirrorPath = absent }, Cancelled);

        (await chain.AppendAsync(Entries.Numbered(1), Cancelled)).Seq.ShouldBe(1);
        await ledger.DisposeAsync();

        ledger.MirrorFailures.ShouldBeGreaterThan(0);
    }

    private async Task AppendAsync(int records)
    {
        await using FileLedger ledger = await FileLedger.OpenAsync(
            new FileLedgerOptions { Directory = _directory.At("ledger"), SegmentBytes = 3000 }, Cancelled);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions { MirrorPath = Mirror }, Cancelled);
        for (int number = 0; number < records; number++)
        {
            await chain.AppendAsync(Entries.Numbered(number), Cancelled);
        }
    }

    private async Task ExpectMirrorAsync()
    {
        var chain = new List<byte>();
        foreach (string path in Directory.GetFiles(_directory.At("ledger", "control"), "records-*").Order(StringComparer.Ordinal))
        {
            chain.AddRange(await File.ReadAllBytesAsync(path, Cancelled));
        }

        (await File.ReadAllBytesAsync(Mirror, Cancelled)).ShouldBe(chain);
    }
}
