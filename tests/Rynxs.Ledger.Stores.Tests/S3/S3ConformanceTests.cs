using Amazon.S3.Model;
using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Tests.Conformance;

namespace Rynxs.Ledger.Stores.Tests.S3;

public sealed class S3ConformanceTests(S3Server server) : LedgerConformance
{
    private string? _bucket;

    protected override async Task<ILedger> OpenAsync(OpenHow how)
    {
        _bucket ??= await server.MakeBucketAsync();
        return await S3Ledger.OpenAsync(server.Options(_bucket) with { Prefix = "some/prefix", TimeProvider = how.Clock ?? TimeProvider.System }, Cancelled);
    }

    /// <summary>Blobs of a batch that was never written, and an object that is none of ours: a cut upload itself makes no object.</summary>
    protected override async Task TearAsync()
    {
        foreach (string key in new[] { "some/prefix/control/blobs/00000000000000000003-00.jsonl", "some/prefix/control/records/notes.txt" })
        {
            await server.Admin.PutObjectAsync(new PutObjectRequest { BucketName = _bucket, Key = key, ContentBody = "{\"commitment\":\"sha256:00" }, Cancelled);
        }
    }
}
