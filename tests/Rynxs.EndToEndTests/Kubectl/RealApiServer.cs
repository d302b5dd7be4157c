using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Rynxs.EndToEndTests.Kubectl;

/// <summary>A kube-apiserver with an etcd of its own, as envtest starts them, with our definitions applied.</summary>
public sealed class RealApiServer : IAsyncLifetime
{
    private readonly TemporaryDirectory _directory = new();
    private readonly List<(Process Process, Task Output)> _processes = [];

    internal string? Kubeconfig { get; private set; }

    public async ValueTask InitializeAsync()
    {
        if (KubernetesTools.RealApiServer is not { } assets)
        {
            return; // each test then says why it is skipped
        }

        int client = FreePort(), peer = FreePort(), secure = FreePort();
        Start(assets, "etcd", [
            "--data-dir", _directory.File("etcd"), "--unsafe-no-fsync",
            "--listen-client-urls", $"http://127.0.0.1:{client}", "--advertise-client-urls", $"http://127.0.0.1:{client}",
            "--listen-peer-urls", $"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls", $"http://127.0.0.1:{peer}",
            "--initial-cluster", $"default=http://127.0.0.1:{peer}"]);
        string token = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16));
        using (var key = RSA.Create(2048))
        {
            await File.WriteAllTextAsync(_directory.File("sa.key"), key.ExportPkcs8PrivateKeyPem(), TestContext.Current.CancellationToken);
            await File.WriteAllTextAsync(_directory.File("sa.pub"), key.ExportSubjectPublicKeyInfoPem(), TestContext.Current.CancellationToken);
        }

        await File.WriteAllTextAsync(_directory.File("tokens.csv"), $"{token},admin,1,\"system:masters\"\n", TestContext.Current.CancellationToken);
        Start(assets, "kube-apiserver", [
            $"--etcd-servers=http://127.0.0.1:{client}", $"--secure-port={secure}", "--bind-address=127.0.0.1", $"--cert-dir={_directory.File("certs")}",
            $"--token-auth-file={_directory.File("tokens.csv")}", "--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.test",
            $"--service-account-signing-key-file={_directory.File("sa.key")}", $"--service-account-key-file={_directory.File("sa.pub")}",
            "--disable-admission-plugins=ServiceAccount", "--service-cluster-ip-range=10.0.0.0/24"]);

        string certificate = _directory.At("certs", "apiserver.crt");
        await Eventually.Async(() => File.Exists(certificate) ? true : (bool?)null);
        string kubeconfig = _directory.File("kubeconfig");
        await File.WriteAllTextAsync(
            kubeconfig,
            $$$"""
            {"apiVersion":"v1","kind":"Config","current-context":"real",
             "clusters":[{"name":"real","cluster":{"server":"https://127.0.0.1:{{{secure}}}","certificate-authority":"{{{certificate}}}"}}],
             "users":[{"name":"real","user":{"token":"{{{token}}}"}}],
             "contexts":[{"name":"real","context":{"cluster":"real","user":"real","namespace":"default"}}]}
            """,
            TestContext.Current.CancellationToken);
        await Eventually.Async(async () => (await KubectlAsync(kubeconfig, "get", "--raw", "/readyz")).ExitCode == 0 ? "ready" : null);
        Finished applied = await KubectlAsync(kubeconfig, "apply", "-f", Path.Combine(RynxsProgram.Repository, "crds"));
        applied.ExitCode.ShouldBe(0, applied.All);
        Finished established = await KubectlAsync(kubeconfig, "wait", "crd", "--all", "--for=condition=Established", "--timeout=30s");
        established.ExitCode.ShouldBe(0, established.All);
        Kubeconfig = kubeconfig;
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

    private static Task<Finished> KubectlAsync(string kubeconfig, params string[] arguments) => RynxsProgram.RunAsync(new Invocation
    {
        Program = "/usr/bin/env",
        Arguments = ["kubectl", .. arguments],
        Environment = new Dictionary<string, string> { ["PATH"] = KubernetesTools.SearchPath, ["KUBECONFIG"] = kubeconfig },
    });

    private void Start(string assets, string program, string[] arguments)
    {
        Process process = RynxsProgram.Start(new Invocation { Program = Path.Combine(assets, program), Arguments = arguments, WorkingDirectory = _directory.Path });
        process.StandardInput.Close();
        _processes.Add((process, Task.WhenAll(process.StandardOutput.BaseStream.CopyToAsync(Stream.Null), process.StandardError.BaseStream.CopyToAsync(Stream.Null))));
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
