using Rynxs.Ledger.Files;
using Rynxs.Ledger.Stores.Copying;

namespace Rynxs.Ledger.Stores.Tests.Evidence;

public sealed class FileEvidenceTests : EvidenceConformance
{
    protected override LedgerLocation Location => new LedgerLocation.Files(Scratch.At("ledger"));

    protected override async Task ForgeAsync(IReadOnlyList<string> lines) =>
        await File.WriteAllLinesAsync(Scratch.At("ledger", "control", SegmentName.Of(0)), lines, Cancelled);

    protected override async Task DamageTreeAsync(string path, bool remove)
    {
        string file = Scratch.At("ledger", "control", "tlog", path);
        byte[] content = await File.ReadAllBytesAsync(file, Cancelled);
        content[3] ^= 1;
        File.Delete(file);
        if (!remove)
        {
            await File.WriteAllBytesAsync(file, content, Cancelled);
        }
    }

    protected override Task SnapshotAsync() => Copy(Scratch.At("ledger"), Scratch.At("kept"));

    protected override Task RestoreAsync()
    {
        Directory.Delete(Scratch.At("ledger"), recursive: true);
        return Copy(Scratch.At("kept"), Scratch.At("ledger"));
    }

    private static async Task Copy(string from, string to) => (await ProcessRun.RunAsync("/bin/cp", ["-a", from, to], Cancelled)).Exit.ShouldBe(0);
}
