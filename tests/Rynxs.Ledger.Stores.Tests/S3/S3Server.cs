using System.Net;
using System.Net.Sockets;
using System.Diagnostics;
using Amazon.Runtime;
using Amazon.S3;
using Amazon.S3.Model;
using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Stores.Tests.S3;

[assembly: AssemblyFixture(typeof(S3Server))]

namespace Rynxs.Ledger.Stores.Tests.S3;

/// <summary>
/// A real S3 server for all tests of this assembly: radosgw 16.2 of Debian 12, in memory, on loopback. Tests are skipped where it is not installed.
/// With <c>RYNXS_TEST_S3="URL ACCESS SECRET"</c> they run against another one, such as the radosgw 20.2 of a newer suite (docs/operations/ledger-stores.md).
/// </summary>
public sealed class S3Server : IAsyncLifetime
{
    private readonly string _directory = Path.Combine(Path.GetTempPath(), "rynxs-s3-" + Guid.NewGuid().ToString("N")[..8]);
    private string? _missing;
    private bool _given;
    private AmazonS3Client? _admin;

    /// <summary>Its address; the test is skipped when there is none.</summary>
    public Uri Endpoint { get; private set; } = new("http://127.0.0.1:1/");

    public string AccessKey { get; private set; } = "";

    public string SecretKey { get; private set; } = "";

    /// <summary>Whether the server compares <c>If-Match</c>, asked with single requests of the SDK: 16.2 does not, 20.2 does.</summary>
    public bool ComparesAndSwaps { get; private set; }

    public async ValueTask InitializeAsync()
    {
        if (Environment.GetEnvironmentVariable("RYNXS_TEST_S3")?.Split(' ') is [var url, var access, var secret])
        {
            (Endpoint, AccessKey, SecretKey, _given) = (new Uri(url), access, secret, true);
            await ConnectAsync();
            return;
        }

        if (new[] { "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph" }.FirstOrDefault(program => !IsInstalled(program)) is { } missing)
        {
            _missing = $"{missing} is not installed (Debian packages ceph-mon, ceph-osd, radosgw, ceph-common)";
            return;
        }

        int port = FreePort();
        (int exit, string output) = await ScriptAsync("start", _directory, $"{port}", $"{Environment.ProcessId}");
        if (exit != 0)
        {
            throw new InvalidOperationException("The S3 server did not start: " + output);
        }

        string[] credentials = await File.ReadAllLinesAsync(Path.Combine(_directory, "credentials"));
        (Endpoint, AccessKey, SecretKey) = (new Uri($"http://127.0.0.1:{port}/"), credentials[0], credentials[1]);
        await ConnectAsync();
    }

    private async Task ConnectAsync()
    {
        _admin = new AmazonS3Client(
            new BasicAWSCredentials(AccessKey, SecretKey),
            new AmazonS3Config
            {
                ServiceURL = Endpoint.ToString(),
                ForcePathStyle = true,
                AuthenticationRegion = "us-east-1",
                RequestChecksumCalculation = RequestChecksumCalculation.WHEN_REQUIRED,
                ResponseChecksumValidation = ResponseChecksumValidation.WHEN_REQUIRED,
            });
        string bucket = await MakeBucketAsync();
        string etag = (await _admin.PutObjectAsync(new PutObjectRequest { BucketName = bucket, Key = "k", ContentBody = "1" })).ETag;
        try
        {
            await _admin.PutObjectAsync(new PutObjectRequest { BucketName = bucket, Key = "k", ContentBody = "2", IfMatch = etag });
            ComparesAndSwaps = true;
        }
        catch (AmazonS3Exception)
        {
            // The ETag is the present one: a server that refuses it does not compare.
        }
    }

    public async ValueTask DisposeAsync()
    {
        _admin?.Dispose();
        if (_missing is null && !_given)
        {
            await ScriptAsync("stop", _directory);
            Directory.Delete(_directory, recursive: true);
        }
    }

    /// <summary>The server's own client.</summary>
    public AmazonS3Client Admin
    {
        get
        {
            SkipIfMissing();
            return _admin ?? throw new InvalidOperationException("The server has not been started.");
        }
    }

    /// <summary>A new bucket.</summary>
    public async Task<string> MakeBucketAsync(bool versioned = false, bool locked = false)
    {
        string name = "b-" + Guid.NewGuid().ToString("N")[..12];
        await Admin.PutBucketAsync(new PutBucketRequest { BucketName = name, ObjectLockEnabledForBucket = locked });
        if (versioned)
        {
            await Admin.PutBucketVersioningAsync(new PutBucketVersioningRequest
            {
                BucketName = name,
                VersioningConfig = new S3BucketVersioningConfig { Status = VersionStatus.Enabled },
            });
        }

        return name;
    }

    /// <summary>Options for a bucket, with time limits that suit a local server.</summary>
    public S3LedgerOptions Options(string bucket, Uri? through = null)
    {
        SkipIfMissing();
        return new S3LedgerOptions
        {
            Bucket = bucket,
            Endpoint = through ?? Endpoint,
            AccessKey = AccessKey,
            SecretKey = SecretKey,
            RequestTimeout = TimeSpan.FromSeconds(5),
        };
    }

    public async Task<IReadOnlyList<string>> KeysAsync(string bucket, string prefix)
    {
        ListObjectsV2Response page = await Admin.ListObjectsV2Async(new ListObjectsV2Request { BucketName = bucket, Prefix = prefix });
        return [.. (page.S3Objects ?? []).Select(item => item.Key)];
    }

    public static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private void SkipIfMissing() => Assert.SkipWhen(_missing is not null, _missing ?? "");

    private static bool IsInstalled(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(directory => File.Exists(Path.Combine(directory, program)));

    private async Task<(int Exit, string Output)> ScriptAsync(params string[] arguments)
    {
        // To files, not pipes: the daemons inherit them and would keep a pipe open.
        string log = _directory + ".log";
        using var process = new Process
        {
            StartInfo = new ProcessStartInfo("/bin/bash", ["-c", "exec \"$@\" >\"$0\" 2>&1 </dev/null", log, Path.Combine(AppContext.BaseDirectory, "s3-test-server.sh"), .. arguments]),
        };
        process.Start();
        await process.WaitForExitAsync();
        string output = await File.ReadAllTextAsync(log);
        File.Delete(log);
        return (process.ExitCode, output);
    }
}
