using System.Text;
using Amazon.S3.Model;
using Rynxs.Ledger.Stores.Copying;
using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Stores.Tests.S3;

namespace Rynxs.Ledger.Stores.Tests.Evidence;

public sealed class S3EvidenceTests(S3Server server) : EvidenceConformance
{
    private readonly Dictionary<string, byte[]> _kept = [];
    private string _bucket = "";

    public override async ValueTask InitializeAsync() => _bucket = await server.MakeBucketAsync();

    protected override LedgerLocation Location => new LedgerLocation.S3(server.Options(_bucket) with { Prefix = "some/prefix" });

    protected override async Task ForgeAsync(IReadOnlyList<string> lines)
    {
        foreach (string key in await server.KeysAsync(_bucket, "some/prefix/control/records/"))
        {
            await server.Admin.DeleteObjectAsync(_bucket, key, Cancelled);
        }

        await PutAsync(
            "some/prefix/control/records/00000000000000000000.batch",
            S3BatchHeader.Of(0, lines.Count, 1).Wrap(Encoding.UTF8.GetBytes(string.Join('\n', lines) + "\n")));
    }

    protected override async Task DamageTreeAsync(string path, bool remove)
    {
        string key = "some/prefix/control/tlog/" + path;
        byte[] content = await GetAsync(key);
        content[3] ^= 1;
        if (remove)
        {
            await server.Admin.DeleteObjectAsync(_bucket, key, Cancelled);
        }
        else
        {
            await PutAsync(key, content);
        }
    }

    protected override async Task SnapshotAsync()
    {
        foreach (string key in await server.KeysAsync(_bucket, ""))
        {
            _kept[key] = await GetAsync(key);
        }
    }

    protected override async Task RestoreAsync()
    {
        foreach (string key in await server.KeysAsync(_bucket, ""))
        {
            await server.Admin.DeleteObjectAsync(_bucket, key, Cancelled);
        }

        foreach ((string key, byte[] content) in _kept)
        {
            await PutAsync(key, content);
        }
    }

    private async Task PutAsync(string key, byte[] content) =>
        await server.Admin.PutObjectAsync(new PutObjectRequest { BucketName = _bucket, Key = key, InputStream = new MemoryStream(content) }, Cancelled);

    private async Task<byte[]> GetAsync(string key)
    {
        using GetObjectResponse response = await server.Admin.GetObjectAsync(_bucket, key, Cancelled);
        using var content = new MemoryStream();
        await response.ResponseStream.CopyToAsync(content, Cancelled);
        return content.ToArray();
    }
}
