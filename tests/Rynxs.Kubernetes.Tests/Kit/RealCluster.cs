using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Rynxs.Kubernetes.Credentials;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Meta;
using System.Text.Json.Nodes;

namespace Rynxs.Kubernetes.Tests.Kit;

/// <summary>A kube-apiserver and an etcd of its own, as envtest starts them, with our definitions; tests are skipped where the programs are not.</summary>
public sealed class RealCluster : ITestCluster, IAsyncLifetime
{
    private readonly TemporaryDirectory _directory = new();
    private readonly List<(Process Process, Task Output)> _processes = [];

    public KubernetesConnection Connection { get; private set; } = new() { Server = new Uri("https://127.0.0.1") };

    public Rynxs.ResourceServer.Faults.FaultInjector? Faults => null;

    public string? Missing => Assets is null ? "no kube-apiserver and etcd in $KUBEBUILDER_ASSETS or /usr/local/kubebuilder/bin" : null;

    /// <summary>A kubeconfig file for programs; only where the server runs.</summary>
    public string Kubeconfig => _directory.At("kubeconfig");

    private static string? Assets => ((string?[])[Environment.GetEnvironmentVariable("KUBEBUILDER_ASSETS"), "/usr/local/kubebuilder/bin"])
        .FirstOrDefault(directory => directory is { Length: > 0 } && File.Exists(Path.Combine(directory, "kube-apiserver")) && File.Exists(Path.Combine(directory, "etcd")));

    public async ValueTask InitializeAsync()
    {
        if (Assets is not { } assets)
        {
            return; // each test then says why it is skipped
        }

        int client = FreePort(), peer = FreePort(), secure = FreePort();
        Start(assets, "etcd", [
            "--data-dir", _directory.At("etcd"), "--unsafe-no-fsync", "--listen-client-urls", $"http://127.0.0.1:{client}",
            "--advertise-client-urls", $"http://127.0.0.1:{client}", "--listen-peer-urls", $"http://127.0.0.1:{peer}",
            "--initial-advertise-peer-urls", $"http://127.0.0.1:{peer}", "--initial-cluster", $"default=http://127.0.0.1:{peer}"]);
        string token = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        using (var key = RSA.Create(2048))
        {
            await File.WriteAllTextAsync(_directory.At("sa.key"), key.ExportPkcs8PrivateKeyPem());
            await File.WriteAllTextAsync(_directory.At("sa.pub"), key.ExportSubjectPublicKeyInfoPem());
        }

        await File.WriteAllTextAsync(_directory.At("tokens.csv"), $"{token},admin,1,\"system:masters\"\n");
        Start(assets, "kube-apiserver", [
            $"--etcd-servers=http://127.0.0.1:{client}", $"--secure-port={secure}", "--bind-address=127.0.0.1", $"--cert-dir={_directory.At("certs")}",
            $"--token-auth-file={_directory.At("tokens.csv")}", "--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.test",
            $"--service-account-signing-key-file={_directory.At("sa.key")}", $"--service-account-key-file={_directory.At("sa.pub")}",
            "--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.0.0.0/24", "--allow-privileged=true"]);
        string certificate = _directory.At("certs/apiserver.crt");
        await WaitAsync(() => Task.FromResult(File.Exists(certificate) && new FileInfo(certificate).Length > 0));
        var authority = new X509Certificate2Collection();
        authority.ImportFromPemFile(certificate);
        Connection = new KubernetesConnection { Server = new Uri($"https://127.0.0.1:{secure}"), Authority = authority, Credential = new FixedCredential(token) };
        await File.WriteAllTextAsync(
            Kubeconfig,
            $$$"""
            {"apiVersion":"v1","kind":"Config","current-context":"real",
             "clusters":[{"name":"real","cluster":{"server":"https://127.0.0.1:{{{secure}}}","certificate-authority":"{{{certificate}}}"}}],
             "users":[{"name":"real","user":{"token":"{{{token}}}"}}],
             "contexts":[{"name":"real","context":{"cluster":"real","user":"real","namespace":"default"}}]}
            """);
        using var api = new KubernetesApi(new KubernetesApiOptions { Connection = Connection });
        await WaitAsync(async () => await ReadyAsync(api));
        await ApplyDefinitionsAsync(api);
    }

    public async ValueTask DisposeAsync()
    {
        foreach ((Process process, Task output) in Enumerable.Reverse(_processes))
        {
            process.Kill();
            await process.WaitForExitAsync(CancellationToken.None);
            await output;
            process.Dispose();
        }

        _directory.Dispose();
    }

    private static async Task<bool> ReadyAsync(KubernetesApi api)
    {
        try
        {
            return await api.ReadTextAsync("/readyz", CancellationToken.None) == "ok";
        }
        catch (KubernetesException)
        {
            return false; // not yet
        }
    }

    private static async Task ApplyDefinitionsAsync(KubernetesApi api)
    {
        foreach (ResourceType type in ResourceTypes.All)
        {
            JsonObject definition = CrdManifests.Of(type);
            string name = (string)definition["metadata"]!["name"]!;
            await api.ApplyAsync(ApiResources.CustomResourceDefinitions, definition, force: true, CancellationToken.None);
            await WaitAsync(async () => (await api.TryGetAsync(ApiResources.CustomResourceDefinitions, "", name, CancellationToken.None))?
                .At("status", "conditions") is { } conditions
                && conditions.EnumerateArray().Any(condition => condition.GetProperty("type").ValueEquals("Established") && condition.GetProperty("status").ValueEquals("True")));
        }
    }

    private static async Task WaitAsync(Func<Task<bool>> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(90));
        while (!await condition())
        {
            await Task.Delay(100, limit.Token);
        }
    }

    private void Start(string assets, string program, string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(assets, program)) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = _directory.Path };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        Process process = Process.Start(start) ?? throw new InvalidOperationException(program);
        _processes.Add((process, Task.WhenAll(process.StandardOutput.BaseStream.CopyToAsync(Stream.Null), process.StandardError.BaseStream.CopyToAsync(Stream.Null))));
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
