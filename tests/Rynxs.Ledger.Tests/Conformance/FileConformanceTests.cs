using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Tests.Conformance;

public sealed class FileConformanceTests : LedgerConformance
{
    protected override async Task<ILedger> OpenAsync(OpenHow how) => await FileLedger.OpenAsync(
        new FileLedgerOptions
        {
            Directory = Scratch.At("ledger"),
            SegmentBytes = 8 * 1024, // Several segments in a test.
            TakeOver = how.TakeOver,
            TimeProvider = how.Clock ?? TimeProvider.System,
        },
        Cancelled);

    protected override async Task TearAsync()
    {
        string path = SegmentName.List(Scratch.At("ledger", "control"))[^1].Path;
        await File.AppendAllTextAsync(path, "{\"event\":{\"aggregate_id\":\"rynxs", Cancelled);
        await File.AppendAllTextAsync(Scratch.At("ledger", "control", "blobs-00000001.jsonl"), "{\"commitment\":\"sha256:00", Cancelled);
    }
}
