using Rynxs.Ledger.Merkle;

namespace Rynxs.Ledger.Tests.Merkle;

/// <summary>The tree of RFC 6962 with the test vectors of the Certificate Transparency reference implementation.</summary>
public sealed class TreeHashTests
{
    private static readonly string[] Entries = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];

    [Fact]
    public void The_empty_tree_has_the_hash_of_nothing() =>
        Hex(TreeHash.OfEmptyTree).ShouldBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

    [Theory]
    [InlineData(1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d")]
    [InlineData(2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125")]
    [InlineData(3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77")]
    [InlineData(4, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7")]
    [InlineData(5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4")]
    [InlineData(6, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef")]
    [InlineData(7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c")]
    [InlineData(8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")]
    public void The_published_roots_of_eight_entries_come_out(int size, string root)
    {
        var frontier = new MerkleFrontier();
        foreach (string entry in Entries[..size])
        {
            frontier.Append(TreeHash.OfEntry(Convert.FromHexString(entry)));
        }

        Hex(frontier.Root()).ShouldBe(root);
        new MerkleFrontier(size, frontier.Edge).Root().ShouldBe(frontier.Root());
    }

    [Theory]
    [InlineData(0, "000")]
    [InlineData(67, "067")]
    [InlineData(1234067, "x001/x234/067")]
    [InlineData(1000, "x001/000")]
    public void Indices_are_written_in_groups_of_three_digits(long index, string path)
    {
        TilePath.OfTile(3, index).ShouldBe("tile/3/" + path);
        TilePath.OfEntries(index, 8).ShouldBe($"tile/entries/{path}.p/8");
        TilePath.IsValid(TilePath.OfTile(3, index)).ShouldBeTrue();
        TilePath.IsValid(TilePath.OfEntries(index, 8)).ShouldBeTrue();
    }

    [Theory]
    [InlineData("tile/0/../../../keys.json")]
    [InlineData("/tile/0/000")]
    [InlineData("tile/00/000")]
    [InlineData("tile/64/000")]
    [InlineData("tile/0/x000/001")]
    [InlineData("tile/0/0001")]
    [InlineData("tile/0/000.p/256")]
    [InlineData("tile/0/000.p/0")]
    [InlineData("tile/0/000.p/01")]
    [InlineData("tile/0/000/")]
    [InlineData("tile/0")]
    [InlineData("checkpoint/")]
    [InlineData("")]
    public void A_path_that_no_tile_has_is_none(string path) => TilePath.IsValid(path).ShouldBeFalse();

    private static string Hex(TreeHash hash) => Convert.ToHexStringLower(hash.ToArray());
}
