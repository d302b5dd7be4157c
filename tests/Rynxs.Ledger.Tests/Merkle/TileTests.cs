using System.Security.Cryptography;
using System.Text;
using Rynxs.Ledger.Merkle;

namespace Rynxs.Ledger.Tests.Merkle;

/// <summary>Trees in tiles, beside the recursive definitions of RFC 6962, section 2.1, written down here once more.</summary>
public sealed class TileTests
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(257)]
    [InlineData(1000)]
    [InlineData(65536)]
    [InlineData(70000)]
    public async Task Roots_and_proofs_from_tiles_are_those_of_the_definitions(int size)
    {
        TreeHash[] leaves = Leaves(size);
        (MemoryTreeStore store, TreeWriter writer) = await GrowAsync(size);
        await writer.FlushAsync(Cancelled);
        TreeHash root = Mth(leaves);
        writer.Frontier.Root().ShouldBe(root);
        var reader = new TileReader(store, size);
        var random = new Random(size);

        for (int sample = 0; sample < 20; sample++)
        {
            int index = sample == 0 ? size - 1 : random.Next(size);
            IReadOnlyList<TreeHash> path = await reader.InclusionAsync(index, Cancelled);
            path.ShouldBe(Path(index, leaves));
            MerkleProof.VerifyInclusion(leaves[index], index, size, path, root).ShouldBeTrue();
            MerkleProof.VerifyInclusion(leaves[(index + 1) % size], index, size, path, root).ShouldBe(size == 1);
            MerkleProof.VerifyInclusion(leaves[index], index + 1, size, path, root).ShouldBeFalse();

            int old = sample == 0 ? size : random.Next(1, size + 1);
            IReadOnlyList<TreeHash> consistency = await reader.ConsistencyAsync(old, Cancelled);
            consistency.ShouldBe(old == size ? [] : SubProof(old, leaves, true));
            TreeHash oldRoot = Mth(leaves.AsSpan(0, old));
            MerkleProof.VerifyConsistency(old, oldRoot, size, root, consistency).ShouldBeTrue();
            MerkleProof.VerifyConsistency(old, TreeHash.OfEmptyTree, size, root, consistency).ShouldBeFalse();
            (await reader.FrontierAsync(old, Cancelled)).Root().ShouldBe(oldRoot);
        }
    }

    [Fact]
    public async Task A_tree_of_70000_has_the_tiles_that_the_specification_counts()
    {
        (MemoryTreeStore store, TreeWriter writer) = await GrowAsync(70_000);
        await writer.FlushAsync(Cancelled);

        store.Blobs.Keys.Count(path => path.StartsWith("tile/0/", StringComparison.Ordinal) && !path.Contains(".p/", StringComparison.Ordinal)).ShouldBe(273);
        store.Blobs["tile/0/273.p/112"].Length.ShouldBe(112 * 32);
        store.Blobs["tile/1/000"].Length.ShouldBe(256 * 32);
        store.Blobs["tile/1/001.p/17"].Length.ShouldBe(17 * 32);
        store.Blobs["tile/2/000.p/1"].Length.ShouldBe(32);
        store.Blobs["tile/entries/273.p/112"].Length.ShouldBe(112 * 34);
        store.Blobs.Keys.Count(path => path.StartsWith("tile/entries/", StringComparison.Ordinal)).ShouldBe(274);
        store.Blobs["tile/entries/000"].AsSpan(0, 2).ToArray().ShouldBe([0, 32]);
        TreeHash.OfEntry(store.Blobs["tile/entries/000"].AsSpan(2, 32)).ShouldBe(new TreeHash(store.Blobs["tile/0/000"].AsSpan(0, 32)));
    }

    [Theory]
    [InlineData(0, 300)]
    [InlineData(100, 156)]
    [InlineData(256, 1)]
    [InlineData(65535, 2)]
    [InlineData(65536, 300)]
    public async Task A_tree_continued_from_its_tiles_is_the_tree_grown_at_once(int first, int more)
    {
        (MemoryTreeStore store, TreeWriter writer) = await GrowAsync(first);
        await writer.FlushAsync(Cancelled);
        TreeWriter continued = (await TreeWriter.TryContinueAsync(store, first, writer.Frontier.Root(), Cancelled)).ShouldNotBeNull();
        for (int index = first; index < first + more; index++)
        {
            await continued.AppendAsync(EventHash(index), Cancelled);
        }

        await continued.FlushAsync(Cancelled);
        await continued.DropPartialsAsync(Cancelled);
        (MemoryTreeStore atOnce, TreeWriter whole) = await GrowAsync(first + more);
        await whole.FlushAsync(Cancelled);

        continued.Frontier.Root().ShouldBe(whole.Frontier.Root());
        foreach ((string path, byte[] content) in atOnce.Blobs)
        {
            store.Blobs[path].ShouldBe(content, path);
        }
    }

    [Fact]
    public async Task Damaged_tiles_are_not_continued()
    {
        (MemoryTreeStore store, TreeWriter writer) = await GrowAsync(300);
        await writer.FlushAsync(Cancelled);
        TreeHash root = writer.Frontier.Root();

        (await TreeWriter.TryContinueAsync(store, 300, root, Cancelled)).ShouldNotBeNull();
        (await TreeWriter.TryContinueAsync(store, 299, root, Cancelled)).ShouldBeNull();
        store.Blobs["tile/0/001.p/44"][5] ^= 1;
        (await TreeWriter.TryContinueAsync(store, 300, root, Cancelled)).ShouldBeNull();
        store.Blobs.Remove("tile/0/001.p/44", out _);
        (await TreeWriter.TryContinueAsync(store, 300, root, Cancelled)).ShouldBeNull();
    }

    [Fact]
    public void Proofs_of_impossible_sizes_are_refused_without_a_fault()
    {
        TreeHash[] leaves = Leaves(4);
        TreeHash root = Mth(leaves);
        foreach (long size in new[] { long.MinValue, -1, 0, long.MaxValue })
        {
            foreach (long index in new[] { long.MinValue, -1, 0, 1, long.MaxValue })
            {
                MerkleProof.VerifyInclusion(leaves[0], index, size, [root], root).ShouldBeFalse();
                MerkleProof.VerifyConsistency(index, root, size, root, [root, root]).ShouldBeFalse();
            }
        }

        MerkleProof.VerifyInclusion(leaves[0], 0, 4, [.. Enumerable.Repeat(root, 1000)], root).ShouldBeFalse();
        MerkleProof.VerifyConsistency(0, TreeHash.OfEmptyTree, 4, root, []).ShouldBeTrue();
        MerkleProof.VerifyConsistency(0, root, 4, root, []).ShouldBeFalse();
    }

    [Fact]
    public async Task Tiles_in_files_are_private_whole_and_bounded()
    {
        using var directory = new TemporaryDirectory();
        var store = new FileTreeStore(directory);
        await store.WriteAsync([new TreeBlob("tile/0/000.p/3", new byte[96]), new TreeBlob("checkpoint", new byte[10])], Cancelled);

        (await store.TryReadAsync("tile/0/000.p/3", 8192, Cancelled)).ShouldNotBeNull().Length.ShouldBe(96);
        (await store.TryReadAsync("tile/0/000", 8192, Cancelled)).ShouldBeNull();
        File.GetUnixFileMode(directory.At("tlog", "checkpoint")).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await Should.ThrowAsync<LedgerCorruptException>(() => store.TryReadAsync("tile/0/000.p/3", 95, Cancelled).AsTask());
        await Should.ThrowAsync<ArgumentException>(() => store.TryReadAsync("../LOCK", 95, Cancelled).AsTask());
        await store.DeletePartialsAsync("tile/0/000", Cancelled);
        (await store.TryReadAsync("tile/0/000.p/3", 8192, Cancelled)).ShouldBeNull();
    }

    internal static string EventHash(int index) => Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes($"record {index}")));

    private static TreeHash[] Leaves(int size) =>
        [.. Enumerable.Range(0, size).Select(index => TreeHash.OfEntry(Convert.FromHexString(EventHash(index))))];

    private static async Task<(MemoryTreeStore Store, TreeWriter Writer)> GrowAsync(int size)
    {
        var store = new MemoryTreeStore();
        TreeWriter writer = TreeWriter.Begin(store);
        for (int index = 0; index < size; index++)
        {
            await writer.AppendAsync(EventHash(index), Cancelled);
        }

        return (store, writer);
    }

    private static int Half(int count)
    {
        int half = 1;
        while (half * 2 < count)
        {
            half *= 2;
        }

        return half;
    }

    private static TreeHash Mth(ReadOnlySpan<TreeHash> leaves) => leaves.Length switch
    {
        0 => TreeHash.OfEmptyTree,
        1 => leaves[0],
        _ => TreeHash.OfNode(Mth(leaves[..Half(leaves.Length)]), Mth(leaves[Half(leaves.Length)..])),
    };

    private static List<TreeHash> Path(int index, ReadOnlySpan<TreeHash> leaves)
    {
        if (leaves.Length == 1)
        {
            return [];
        }

        int half = Half(leaves.Length);
        return index < half
            ? [.. Path(index, leaves[..half]), Mth(leaves[half..])]
            : [.. Path(index - half, leaves[half..]), Mth(leaves[..half])];
    }

    private static List<TreeHash> SubProof(int old, ReadOnlySpan<TreeHash> leaves, bool whole)
    {
        if (old == leaves.Length)
        {
            return whole ? [] : [Mth(leaves)];
        }

        int half = Half(leaves.Length);
        return old <= half
            ? [.. SubProof(old, leaves[..half], whole), Mth(leaves[half..])]
            : [.. SubProof(old - half, leaves[half..], false), Mth(leaves[..half])];
    }
}
