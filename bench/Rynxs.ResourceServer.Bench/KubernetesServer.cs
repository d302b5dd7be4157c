using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Rynxs.ResourceServer.Bench;

/// <summary>kube-apiserver with etcd, as envtest starts them: durable, without controllers. It speaks TLS, which ours does not in this bench: a part of a percent per request.</summary>
internal static class KubernetesServer
{
    /// <summary>Directory of both executables; null when there is none.</summary>
    public static string? Find() =>
        ((string?[])[Environment.GetEnvironmentVariable("KUBEBUILDER_ASSETS"), "/usr/local/kubebuilder/bin"])
            .FirstOrDefault(directory => directory is not null && File.Exists(Path.Combine(directory, "kube-apiserver")) && File.Exists(Path.Combine(directory, "etcd")));

    public static async Task<Server> StartAsync(string executables)
    {
        string directory = Directory.CreateTempSubdirectory("rynxs-bench-").FullName;
        List<Process> started = [];
        HttpClient client = Client();
        // Owns all of it from here on: a start that fails leaves no process and no directory behind.
        Server peer = new(client, started, directory);
        try
        {
            await StartAsync(executables, directory, started, client);
            return peer;
        }
        catch
        {
            await peer.DisposeAsync();
            throw;
        }
    }

    private static HttpClient Client()
    {
        SocketsHttpHandler handler = new() { MaxConnectionsPerServer = 4096 };
        // The server made its certificate a moment ago, on this machine, for nobody else.
        handler.SslOptions.RemoteCertificateValidationCallback = (_, _, _, _) => true;
        return new HttpClient(handler) { Timeout = TimeSpan.FromMinutes(5) };
    }

    private static async Task StartAsync(string executables, string directory, List<Process> started, HttpClient client)
    {
        int[] ports = FreePorts(3);
        string etcdUrl = $"http://127.0.0.1:{ports[0]}";
        started.Add(Spawn(executables, "etcd", "--data-dir", Path.Combine(directory, "etcd"), "--listen-client-urls", etcdUrl, "--advertise-client-urls", etcdUrl,
            "--listen-peer-urls", $"http://127.0.0.1:{ports[1]}", "--log-level", "error"));
        string key = Path.Combine(directory, "sa.key");
        using (RSA rsa = RSA.Create(2048))
            await File.WriteAllTextAsync(key, rsa.ExportRSAPrivateKeyPem());
        // With AlwaysAllow the server takes nobody without a name, so a token of this run alone.
        string token = Convert.ToHexString(RandomNumberGenerator.GetBytes(16));
        string tokens = Path.Combine(directory, "tokens.csv");
        await File.WriteAllTextAsync(tokens, $"{token},bench,bench\n");
        started.Add(Spawn(executables, "kube-apiserver", $"--token-auth-file={tokens}", $"--etcd-servers={etcdUrl}", $"--secure-port={ports[2]}", "--bind-address=127.0.0.1", $"--cert-dir={directory}",
            "--service-account-issuer=https://localhost", $"--service-account-key-file={key}", $"--service-account-signing-key-file={key}", "--authorization-mode=AlwaysAllow",
            "--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.0.0.0/24", "--v=0"));
        client.BaseAddress = new Uri($"https://127.0.0.1:{ports[2]}");
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        using CancellationTokenSource patience = new(TimeSpan.FromMinutes(2));
        while (true)
        {
            try
            {
                using HttpResponseMessage ready = await client.GetAsync("/api/v1/namespaces/default", patience.Token);
                if (ready.IsSuccessStatusCode)
                    return;
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }

            if (started.Find(process => process.HasExited) is { } ended)
                throw new InvalidOperationException($"{ended.StartInfo.FileName} ended with {ended.ExitCode} before the server was ready");
            await Task.Delay(200, patience.Token);
        }
    }

    private static Process Spawn(string directory, string program, params string[] arguments)
    {
        ProcessStartInfo start = new(Path.Combine(directory, program), arguments) { RedirectStandardError = true, RedirectStandardOutput = true };
        Process process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start");
        // Read and dropped, so that a full pipe does not stop it.
        process.OutputDataReceived += (_, _) => { };
        process.ErrorDataReceived += (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }

    private static int[] FreePorts(int count)
    {
        TcpListener[] listeners = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        foreach (TcpListener listener in listeners)
            listener.Start();
        int[] ports = [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
        foreach (TcpListener listener in listeners)
            listener.Stop();
        return ports;
    }
}
