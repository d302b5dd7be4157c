using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Tests.Replay;

/// <summary>What is measured here is counted for the whole process, so no other test may run meanwhile.</summary>
[CollectionDefinition(nameof(Alone), DisableParallelization = true)]
public sealed class Alone;

[Collection(nameof(Alone))]
public sealed class LineBoundTests
{
    [Fact]
    public void F4_A_line_without_an_end_is_reported_without_being_held()
    {
        using var directory = new TemporaryDirectory();
        string path = directory.At("huge.log");
        using (FileStream file = File.Create(path))
        {
            file.SetLength(64L * 1024 * 1024); // Sparse: 64 MiB of zeros, then a newline.
            file.Seek(0, SeekOrigin.End);
            file.WriteByte((byte)'\n');
        }

        long before = GC.GetTotalAllocatedBytes();
        Should.Throw<LedgerCorruptException>(() => LogWalk.Read(LogSource.Open(path), TestContext.Current.CancellationToken).Count()).Code.ShouldBe("form");
        (GC.GetTotalAllocatedBytes() - before).ShouldBeLessThan(16L * 1024 * 1024);
    }
}
