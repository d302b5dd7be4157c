using System.Diagnostics;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Tests.Applying;

/// <summary>
/// A real kube-apiserver with its etcd, in a directory and on ports of its own: the judge of what we answer. Its binaries are found where
/// <c>KUBEBUILDER_ASSETS</c> says, otherwise in <c>/usr/local/kubebuilder/bin</c>; tests that need it are skipped without them.
/// </summary>
internal sealed class KubeApiServer : IAsyncDisposable
{
    private const string Token = "rynxs-test-token";
    private readonly TemporaryDirectory _directory = new();
    private readonly List<Process> _processes = [];
    private readonly HttpClient _client;

    private KubeApiServer(int port)
    {
        // Its certificate is its own and the connection is loopback.
        _client = new HttpClient(new HttpClientHandler { ServerCertificateCustomValidationCallback = HttpClientHandler.DangerousAcceptAnyServerCertificateValidator })
        {
            BaseAddress = new Uri($"https://127.0.0.1:{port}"),
        };
        _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", Token);
        _client.DefaultRequestHeaders.UserAgent.ParseAdd("rynxs-tests/1");
    }

    /// <summary>Where the binaries are; null where there are none.</summary>
    public static string? Binaries { get; } = Find();

    public static async Task<KubeApiServer> StartAsync(CancellationToken cancellationToken)
    {
        string binaries = Binaries ?? throw new InvalidOperationException("There is no kube-apiserver here.");
        int[] ports = FreePorts(3);
        KubeApiServer server = new(ports[2]);
        try
        {
            await server.StartAsync(binaries, ports, cancellationToken);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Sends JSON and reads JSON.</summary>
    public async Task<(int Status, JsonObject Body)> SendAsync(string method, string path, JsonNode? body, string contentType, CancellationToken cancellationToken)
    {
        using HttpRequestMessage request = new(new HttpMethod(method), path);
        if (body is not null)
        {
            request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body.ToJsonString()));
            request.Content.Headers.ContentType = new MediaTypeHeaderValue(contentType);
        }

        using HttpResponseMessage response = await _client.SendAsync(request, cancellationToken);
        string text = await response.Content.ReadAsStringAsync(cancellationToken);
        bool isJson = response.Content.Headers.ContentType?.MediaType == "application/json"; // a path that is not served yet answers text
        return ((int)response.StatusCode, isJson ? JsonNode.Parse(text)!.AsObject() : new JsonObject { ["message"] = text });
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        foreach (Process process in _processes)
        {
            if (!process.HasExited)
                process.Kill();
            await process.WaitForExitAsync(CancellationToken.None); // it was killed: it ends
            process.Dispose();
        }

        _directory.Dispose();
    }

    private async Task StartAsync(string binaries, int[] ports, CancellationToken cancellationToken)
    {
        using (RSA key = RSA.Create(2048))
            await File.WriteAllTextAsync(_directory.File("sa.key"), key.ExportRSAPrivateKeyPem(), cancellationToken);
        await File.WriteAllTextAsync(_directory.File("tokens.csv"), $"{Token},admin,admin,\"system:masters\"\n", cancellationToken);
        Start(Path.Combine(binaries, "etcd"),
            "--data-dir", _directory.File("etcd"), "--unsafe-no-fsync", "--listen-client-urls", $"http://127.0.0.1:{ports[0]}",
            "--advertise-client-urls", $"http://127.0.0.1:{ports[0]}", "--listen-peer-urls", $"http://127.0.0.1:{ports[1]}");
        Process api = Start(Path.Combine(binaries, "kube-apiserver"),
            "--etcd-servers", $"http://127.0.0.1:{ports[0]}", "--bind-address", "127.0.0.1", "--secure-port", $"{ports[2]}",
            "--cert-dir", _directory.File("certificates"), "--token-auth-file", _directory.File("tokens.csv"),
            "--service-account-key-file", _directory.File("sa.key"), "--service-account-signing-key-file", _directory.File("sa.key"),
            "--service-account-issuer", "https://rynxs.test", "--service-cluster-ip-range", "10.0.0.0/24",
            "--authorization-mode", "AlwaysAllow", "--disable-admission-plugins", "ServiceAccount");

        using CancellationTokenSource timeout = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        timeout.CancelAfter(TimeSpan.FromMinutes(2));
        while (!await IsReadyAsync(timeout.Token))
        {
            if (api.HasExited)
                throw new InvalidOperationException($"kube-apiserver ended with {api.ExitCode}.");
            await Task.Delay(TimeSpan.FromMilliseconds(200), timeout.Token); // it has no other signal than its answer
        }
    }

    private async Task<bool> IsReadyAsync(CancellationToken cancellationToken)
    {
        try
        {
            using HttpResponseMessage response = await _client.GetAsync(new Uri("/readyz", UriKind.Relative), cancellationToken);
            return response.StatusCode == HttpStatusCode.OK;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private Process Start(string program, params string[] arguments)
    {
        ProcessStartInfo start = new(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true };
        Process process = Process.Start(start) ?? throw new InvalidOperationException($"{program} did not start.");
        process.BeginErrorReadLine();
        process.BeginOutputReadLine();
        _processes.Add(process);
        return process;
    }

    private static string? Find()
    {
        foreach (string? directory in new[] { Environment.GetEnvironmentVariable("KUBEBUILDER_ASSETS"), "/usr/local/kubebuilder/bin" })
        {
            if (directory is { Length: > 0 } && File.Exists(Path.Combine(directory, "kube-apiserver")) && File.Exists(Path.Combine(directory, "etcd")))
                return directory;
        }

        return null;
    }

    private static int[] FreePorts(int count)
    {
        TcpListener[] listeners = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
        foreach (TcpListener listener in listeners)
            listener.Start();
        int[] ports = [.. listeners.Select(listener => ((IPEndPoint)listener.LocalEndpoint).Port)];
        foreach (TcpListener listener in listeners)
            listener.Dispose();
        return ports;
    }
}
