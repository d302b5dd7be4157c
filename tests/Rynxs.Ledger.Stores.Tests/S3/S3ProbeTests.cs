using Amazon.S3;
using Amazon.S3.Model;
using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Tests;

namespace Rynxs.Ledger.Stores.Tests.S3;

/// <summary>
/// radosgw 16.2 is the real negative case: it compares an If-Match only without its quotes, which every client sends, and creates conditionally
/// without atomicity in versioned buckets.
/// </summary>
public sealed class S3ProbeTests(S3Server server)
{
    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_plain_bucket_is_accepted_and_its_broken_compare_and_swap_is_told()
    {
        S3ProbeReport report = await S3Ledger.ProbeAsync(server.Options(await server.MakeBucketAsync()), Cancelled);

        report.Missing.ShouldBeEmpty();
        report.Findings.Single(finding => finding.Property == "atomic conditional creation").Works.ShouldBeTrue();
        S3Finding swap = report.Findings.Single(finding => finding.Property == "compare-and-swap (If-Match)");
        swap.Works.ShouldBe(server.ComparesAndSwaps);
        swap.Needed.ShouldBeFalse();
    }

    [Fact]
    public async Task A_server_whose_compare_and_swap_is_broken_is_refused_when_that_is_asked_for()
    {
        Assert.SkipWhen(server.ComparesAndSwaps, "this server's compare-and-swap works");
        S3BucketRefusedException refused = await Should.ThrowAsync<S3BucketRefusedException>(
            async () => await S3Ledger.OpenAsync(server.Options(await server.MakeBucketAsync()) with { HeadCache = S3HeadCache.Required }, Cancelled));

        refused.Message.ShouldContain("compare-and-swap (If-Match)");
        refused.Findings.Count.ShouldBe(1);
    }

    [Fact]
    public async Task Where_compare_and_swap_works_the_head_is_kept_and_a_checkpoint_is_replaced_only_by_who_knows_the_last()
    {
        Assert.SkipUnless(server.ComparesAndSwaps, "this server's compare-and-swap is broken (radosgw 16.2); RYNXS_TEST_S3 names another one");
        string bucket = await server.MakeBucketAsync();
        S3LedgerOptions options = server.Options(bucket) with { HeadCache = S3HeadCache.Required };
        await using (S3Ledger ledger = await S3Ledger.OpenAsync(options, Cancelled))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), Cancelled);
            await chain.AppendAsync(Entries.Numbered(1), Cancelled);
        }

        (await server.KeysAsync(bucket, "control/head.json")).Count.ShouldBe(1);
        await using S3Ledger first = await S3Ledger.OpenAsync(options, Cancelled);
        (await first.OpenAsync(ChainId.Control, new ChainOptions(), Cancelled)).Head.Seq.ShouldBe(2);
        await using S3Ledger second = await S3Ledger.OpenAsync(options, Cancelled);
        (Merkle.ITreeStore mine, Merkle.ITreeStore other) = (first.TreeOf(ChainId.Control), second.TreeOf(ChainId.Control));
        await mine.WriteAsync([new Merkle.TreeBlob("checkpoint", "one"u8.ToArray())], Cancelled);
        await other.TryReadAsync("checkpoint", 100, Cancelled);
        await other.WriteAsync([new Merkle.TreeBlob("checkpoint", "two"u8.ToArray())], Cancelled);

        await Should.ThrowAsync<LedgerFencedException>(async () => await mine.WriteAsync([new Merkle.TreeBlob("checkpoint", "three"u8.ToArray())], Cancelled));
        (await mine.TryReadAsync("checkpoint", 100, Cancelled)).ShouldBe("two"u8.ToArray());
    }

    [Fact]
    public async Task A_versioned_bucket_is_refused_because_conditional_creation_is_not_atomic_in_it()
    {
        string bucket = await server.MakeBucketAsync(versioned: true);

        S3BucketRefusedException refused = await Should.ThrowAsync<S3BucketRefusedException>(async () => await S3Ledger.OpenAsync(server.Options(bucket), Cancelled));

        refused.Message.ShouldContain("atomic conditional creation");
        refused.Message.ShouldContain("versioning: Enabled");
    }

    [Fact]
    public async Task The_probe_leaves_nothing_behind()
    {
        string bucket = await server.MakeBucketAsync();
        await S3Ledger.ProbeAsync(server.Options(bucket) with { Prefix = "a/b" }, Cancelled);

        (await server.KeysAsync(bucket, "")).ShouldBeEmpty();
    }

    [Fact]
    public async Task A_missing_bucket_and_wrong_keys_are_told_apart_and_refused()
    {
        LedgerUnavailableException absent = await Should.ThrowAsync<LedgerUnavailableException>(async () => await S3Ledger.OpenAsync(server.Options("no-such-bucket"), Cancelled));
        absent.Message.ShouldContain("NoSuchBucket");

        string bucket = await server.MakeBucketAsync();
        LedgerUnavailableException denied = await Should.ThrowAsync<LedgerUnavailableException>(
            async () => await S3Ledger.OpenAsync(server.Options(bucket) with { SecretKey = "wrong" }, Cancelled));
        denied.Message.ShouldContain("SignatureDoesNotMatch");
    }

    [Fact]
    public async Task Evidence_needs_a_locked_bucket_and_then_nobody_can_remove_it()
    {
        string bucket = await server.MakeBucketAsync();
        S3BucketRefusedException refused = await Should.ThrowAsync<S3BucketRefusedException>(
            async () => await S3Ledger.OpenAsync(server.Options(bucket) with { EvidenceBucket = await server.MakeBucketAsync() }, Cancelled));
        refused.Message.ShouldContain("Object Lock on the evidence bucket");

        string evidence = await server.MakeBucketAsync(locked: true);
        S3LedgerOptions options = server.Options(bucket) with { EvidenceBucket = evidence, EvidenceRetention = TimeSpan.FromMinutes(1) };
        (await S3Ledger.ProbeAsync(options, Cancelled)).Findings.Single(finding => finding.Property == "retention in COMPLIANCE mode").Works.ShouldBeTrue();
        await using (S3Ledger ledger = await S3Ledger.OpenAsync(options, Cancelled))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), Cancelled);
            await chain.AppendAsync(Entries.Numbered(1), Cancelled);
        }

        IReadOnlyList<string> kept = await server.KeysAsync(evidence, "control/records/");
        kept.ShouldBe(await server.KeysAsync(bucket, "control/records/"));
        ListVersionsResponse versions = await server.Admin.ListVersionsAsync(evidence, kept[0], Cancelled);
        AmazonS3Exception forbidden = await Should.ThrowAsync<AmazonS3Exception>(async () => await server.Admin.DeleteObjectAsync(
            new DeleteObjectRequest { BucketName = evidence, Key = kept[0], VersionId = versions.Versions[0].VersionId, BypassGovernanceRetention = true }, Cancelled));
        forbidden.StatusCode.ShouldBe(System.Net.HttpStatusCode.Forbidden);
    }

    [Fact]
    public async Task A_head_object_that_is_stale_or_damaged_does_not_mislead()
    {
        S3LedgerOptions options = server.Options(await server.MakeBucketAsync());
        using var client = new S3Client(options);
        var names = new S3Keys("", ChainId.Control);
        await using (S3Ledger ledger = await S3Ledger.OpenAsync(options, Cancelled))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), Cancelled);
            await chain.AppendAsync(Entries.Numbered(1), Cancelled);
            // Written once; this server refuses every later replacement, so it is stale from then on.
            (S3ChainStore store, _) = await S3ChainStore.OpenAsync(client, options, ChainId.Control, writesHead: true, Cancelled);
            await store.DisposeAsync();
            await chain.AppendAsync(Entries.Numbered(2), Cancelled);
        }

        foreach (string head in new[] { """{"format":"rynxs-head-1","first_seq":0,"seq":0,"event_hash":"00"}""", """{"format":"rynxs-head-1","first_seq":99,"seq":99,"event_hash":""}""", "[]", "" })
        {
            await server.Admin.PutObjectAsync(new PutObjectRequest { BucketName = options.Bucket, Key = names.Head, ContentBody = head }, Cancelled);
            S3Tail? tail = await new S3ChainReader(client, options, names).FindTailAsync(useHead: true, Cancelled);
            tail.ShouldNotBeNull().Head.Seq.ShouldBe(2);
        }
    }
}
