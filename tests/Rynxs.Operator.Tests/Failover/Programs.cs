using System.Collections.Concurrent;
using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Rynxs.Kubernetes.Credentials;
using Rynxs.Kubernetes.Tests.Kit;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Operator.Tests.Failover;

/// <summary>The built program as a process of its own, whose lines are kept.</summary>
internal sealed class RunningProgram : IAsyncDisposable
{
    private readonly Process _process;
    private readonly Task _reading;
    private readonly ConcurrentQueue<string> _lines = [];

    private RunningProgram(Process process)
    {
        _process = process;
        _reading = Task.WhenAll(ReadAsync(process.StandardOutput), ReadAsync(process.StandardError));
    }

    public int Id => _process.Id;

    public string Output => string.Join('\n', _lines);

    public static RunningProgram Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "rynxs"))
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Path.GetTempPath(),
        };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("RYNXS_", StringComparison.Ordinal) || name is "KUBECONFIG" or "POD_NAME").ToArray())
        {
            start.Environment.Remove(name);
        }

        return new RunningProgram(Process.Start(start).ShouldNotBeNull());
    }

    /// <summary>The address in a line such as "… on http://127.0.0.1:4711/ …".</summary>
    public async Task<Uri> AddressAsync()
    {
        Uri? address = null;
        await Eventually.TrueAsync(
            () =>
            {
                _process.HasExited.ShouldBeFalse(Output);
                address = _lines.SelectMany(line => line.Split(' ')).Select(word => word.TrimEnd('.', ',')).Where(word => word.StartsWith("http://127.0.0.1", StringComparison.Ordinal))
                    .Select(word => new Uri(word)).FirstOrDefault();
                return address is not null;
            },
            "an address", seconds: 60);
        return address!;
    }

    /// <summary>Sends a signal by its name.</summary>
    public async Task SignalAsync(string signal)
    {
        using Process kill = Process.Start(new ProcessStartInfo("kill", [$"-{signal}", $"{Id}"])).ShouldNotBeNull();
        await kill.WaitForExitAsync(Ct);
        kill.ExitCode.ShouldBe(0);
    }

    public async Task<int> EndAsync()
    {
        await _process.WaitForExitAsync(Ct).WaitAsync(TimeSpan.FromSeconds(60), Ct);
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
            _process.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync(CancellationToken.None);
        await _reading;
        _process.Dispose();
    }

    private async Task ReadAsync(StreamReader reader)
    {
        while (await reader.ReadLineAsync(CancellationToken.None) is { } line)
        {
            _lines.Enqueue(line);
        }
    }
}

internal static class ClusterFiles
{
    /// <summary>A kubeconfig for programs.</summary>
    public static async Task<string> WriteKubeconfigAsync(this ITestCluster cluster, string path)
    {
        KubernetesConnection connection = cluster.Connection;
        string authority = string.Concat(connection.Authority!.Select(certificate => certificate.ExportCertificatePem() + "\n"));
        var content = new JsonObject
        {
            ["apiVersion"] = "v1", ["kind"] = "Config", ["current-context"] = "c",
            ["clusters"] = new JsonArray(new JsonObject
            {
                ["name"] = "c",
                ["cluster"] = new JsonObject { ["server"] = connection.Server.ToString(), ["certificate-authority-data"] = Convert.ToBase64String(Encoding.ASCII.GetBytes(authority)) },
            }),
            ["users"] = new JsonArray(new JsonObject { ["name"] = "u", ["user"] = new JsonObject { ["token"] = await connection.Credential.TokenAsync(null, Ct) } }),
            ["contexts"] = new JsonArray(new JsonObject { ["name"] = "c", ["context"] = new JsonObject { ["cluster"] = "c", ["user"] = "u" } }),
        };
        await File.WriteAllTextAsync(path, content.ToJsonString(), Ct);
        return path;
    }

    /// <summary>A state directory with one operator's token, as the chart's Secret is; returns the token's file.</summary>
    public static async Task<string> WriteTokenAsync(string directory)
    {
        string token = "rynxs_" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(24)), file = Path.Combine(directory, "token");
        Directory.CreateDirectory(directory);
        await File.WriteAllTextAsync(file, token, Ct);
        await File.WriteAllTextAsync(
            Path.Combine(directory, "tokens.json"),
            $$"""{"tokens":[{"name":"system:operator","sha256":"{{Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(token)))}}","roles":["Operator"],"created":"2026-01-01T00:00:00Z"}]}""",
            Ct);
        return file;
    }
}
