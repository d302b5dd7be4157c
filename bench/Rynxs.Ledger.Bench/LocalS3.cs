using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Amazon.Runtime;
using Amazon.S3;
using Rynxs.Ledger.Stores.S3;

namespace Rynxs.Ledger.Bench;

/// <summary>A radosgw on loopback, in memory, for the S3 rows; where it is not installed there are none.</summary>
internal sealed class LocalS3(string directory, S3LedgerOptions bucket) : IAsyncDisposable
{
    public S3LedgerOptions Bucket { get; } = bucket;

    public static async Task<LocalS3?> TryStartAsync()
    {
        string directory = Path.Combine(Path.GetTempPath(), "rynxs-bench-s3-" + Guid.NewGuid().ToString("N")[..8]);
        int port = FreePort();
        if (await ScriptAsync("start", directory, port.ToString(CultureInfo.InvariantCulture), Environment.ProcessId.ToString(CultureInfo.InvariantCulture)) != 0)
        {
            Console.WriteLine("No S3 rows: radosgw did not start (Debian packages ceph-mon, ceph-osd, radosgw, ceph-common).\n");
            return null;
        }

        string[] credentials = await File.ReadAllLinesAsync(Path.Combine(directory, "credentials"));
        var options = new S3LedgerOptions
        {
            Bucket = "bench", Endpoint = new Uri($"http://127.0.0.1:{port}/"), AccessKey = credentials[0], SecretKey = credentials[1],
        };
        using var admin = new AmazonS3Client(
            new BasicAWSCredentials(credentials[0], credentials[1]),
            new AmazonS3Config { ServiceURL = options.Endpoint.ToString(), ForcePathStyle = true, AuthenticationRegion = "us-east-1" });
        await admin.PutBucketAsync(options.Bucket);
        return new LocalS3(directory, options);
    }

    public async ValueTask DisposeAsync()
    {
        await ScriptAsync("stop", directory);
        Directory.Delete(directory, recursive: true);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static async Task<int> ScriptAsync(params string[] arguments)
    {
        // Not to our output: the daemons inherit it.
        using Process process = Process.Start(new ProcessStartInfo(
            "/bin/bash", ["-c", "exec \"$@\" >/dev/null 2>&1 </dev/null", "-", Path.Combine(AppContext.BaseDirectory, "s3-test-server.sh"), .. arguments]))
            ?? throw new InvalidOperationException("bash did not start.");
        await process.WaitForExitAsync();
        return process.ExitCode;
    }
}
