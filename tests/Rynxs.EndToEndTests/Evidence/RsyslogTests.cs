using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.RegularExpressions;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Files;

namespace Rynxs.EndToEndTests.Evidence;

/// <summary>The export over TLS into Debian's rsyslog, a receiver that has nothing of ours.</summary>
public sealed partial class RsyslogTests : IAsyncLifetime
{
    private const string Program = "/usr/sbin/rsyslogd";

    private readonly TemporaryDirectory _directory = new();
    private readonly int _port = FreePort();
    private Process? _rsyslog;

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string Received => _directory.File("received.log");

    public async ValueTask InitializeAsync()
    {
        Assert.SkipUnless(File.Exists(Program), "not installed: rsyslog (./test installs it)");
        Assert.SkipUnless(Directory.GetDirectories("/usr/lib", "*-linux-gnu").Any(libraries => File.Exists(Path.Combine(libraries, "rsyslog", "lmnsd_gtls.so"))), "not installed: rsyslog-gnutls (./test installs it)");
        WriteCertificates();
        await File.WriteAllTextAsync(
            _directory.File("rsyslog.conf"),
            $"""
            global(workDirectory="{_directory.Path}" maxMessageSize="64k" defaultNetstreamDriver="gtls" defaultNetstreamDriverCAFile="{_directory.File("ca.pem")}"
              defaultNetstreamDriverCertFile="{_directory.File("server.pem")}" defaultNetstreamDriverKeyFile="{_directory.File("server.key")}")
            module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
            template(name="raw" type="string" string="%rawmsg%\n")
            input(type="imtcp" address="127.0.0.1" port="{_port}")
            action(type="omfile" file="{Received}" template="raw" asyncWriting="off")
            """,
            Cancelled);
        await StartRsyslogAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await StopRsyslogAsync();
        _directory.Dispose();
    }

    [Fact]
    public async Task F7_every_record_arrives_over_tls_also_when_receiver_and_exporter_are_away_for_a_while()
    {
        string ledger = _directory.At("ledger");
        await LedgerFiles.AppendAsync(ledger, 40);
        string[] export = ["ledger", "export", ledger, "--to", $"syslog+tls://localhost:{_port}", "--ca", _directory.File("ca.pem"), "--cursor", _directory.File("cursor.json")];

        // A receiver whose certificate nobody vouches for gets nothing.
        Finished distrust = await RynxsProgram.RunAsync("ledger", "export", ledger, "--to", $"syslog+tls://localhost:{_port}", "--cursor", _directory.File("other.json"));
        distrust.ExitCode.ShouldBe(1, distrust.All);
        (await RynxsProgram.RunAsync(export)).ExitCode.ShouldBe(0);
        await ArrivedAsync(ledger);
        File.ReadLines(Received).ShouldAllBe(line => line.Contains("CEF:0|Rynxs|", StringComparison.OrdinalIgnoreCase));

        // The receiver is away: the exporter waits and says so, the writer notices nothing, and what was written meanwhile arrives later.
        await StopRsyslogAsync();
        using (Process following = RynxsProgram.Start(new Invocation { Arguments = [.. export, "-f"] }))
        {
            await AppendAsync(ledger, 100);
            (await following.StandardError.ReadLineAsync(Cancelled)).ShouldNotBeNull().ShouldContain("localhost");
            await StartRsyslogAsync();
            await ArrivedAsync(ledger);

            // The exporter is killed while it works; the next one goes on from the cursor.
            await AppendAsync(ledger, 300);
            following.Kill();
            await following.WaitForExitAsync(Cancelled);
        }

        (await RynxsProgram.RunAsync(export)).ExitCode.ShouldBe(0);
        await ArrivedAsync(ledger);
    }

    /// <summary>Waits until each sequence of each chain is there: more than once is allowed, a hole is not.</summary>
    private async Task ArrivedAsync(string ledger)
    {
        Dictionary<string, int> expected = Directory.EnumerateFiles(ledger, "records-*.jsonl", SearchOption.AllDirectories)
            .GroupBy(file => Path.GetRelativePath(ledger, Path.GetDirectoryName(file) ?? ""))
            .ToDictionary(chain => chain.Key, chain => chain.Sum(file => File.ReadLines(file).Count()));
        string missing = "";
        long started = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(started) < TimeSpan.FromSeconds(60))
        {
            ILookup<string, int> received = (File.Exists(Received) ? File.ReadLines(Received) : []).Select(line => Place().Match(line)).Where(match => match.Success)
                .ToLookup(match => match.Groups[1].Value, match => int.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture));
            missing = string.Join("; ", expected.Select(chain => (chain.Key, Missing: Enumerable.Range(0, chain.Value).Except(received[chain.Key]).ToArray()))
                .Where(chain => chain.Missing.Length > 0).Select(chain => $"{chain.Key}: {chain.Missing.Length}, first {chain.Missing[0]}"));
            if (missing.Length == 0)
            {
                return;
            }

            await Task.Delay(50, Cancelled);
        }

        throw new TimeoutException($"Missing at the receiver: {missing}");
    }

    private static async Task AppendAsync(string ledger, int records)
    {
        await using FileLedger opened = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = ledger }, Cancelled);
        ILedgerChain control = await opened.OpenAsync(ChainId.Control, new ChainOptions(), Cancelled);
        await Task.WhenAll(Enumerable.Range(0, records).Select(number => control.AppendAsync(
            new LedgerEntry { Payload = new RequestDenied { Verb = "get", Resource = $"r-{number}", Reason = "forbidden" }, AggregateId = "server", Principal = "user:test" }, Cancelled).AsTask()));
    }

    private async Task StartRsyslogAsync()
    {
        var start = new ProcessStartInfo(Program) { RedirectStandardError = true, RedirectStandardOutput = true };
        foreach (string argument in (string[])["-n", "-f", _directory.File("rsyslog.conf"), "-i", _directory.File("rsyslog.pid")])
        {
            start.ArgumentList.Add(argument);
        }

        _rsyslog = Process.Start(start).ShouldNotBeNull();
        await Eventually.Async<bool>(() =>
        {
            try
            {
                using var client = new TcpClient();
                client.Connect(IPAddress.Loopback, _port);
                return true;
            }
            catch (SocketException)
            {
                return _rsyslog.HasExited ? throw new InvalidOperationException("rsyslogd ended: " + _rsyslog.StandardError.ReadToEnd()) : null;
            }
        });
    }

    private async Task StopRsyslogAsync()
    {
        if (_rsyslog is { } process)
        {
            _rsyslog = null;
            process.Kill();
            await process.WaitForExitAsync(CancellationToken.None);
            process.Dispose();
            File.Delete(_directory.File("rsyslog.pid"));
        }
    }

    private void WriteCertificates()
    {
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        using ECDsa authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256), serverKey = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var authority = new CertificateRequest("CN=Test CA", authorityKey, HashAlgorithmName.SHA256);
        authority.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using X509Certificate2 root = authority.CreateSelfSigned(now.AddHours(-1), now.AddDays(1));
        var server = new CertificateRequest("CN=localhost", serverKey, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        server.CertificateExtensions.Add(names.Build());
        server.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1")], false));
        using X509Certificate2 certificate = server.Create(root, now.AddHours(-1), now.AddDays(1), RandomNumberGenerator.GetBytes(8));
        File.WriteAllText(_directory.File("ca.pem"), root.ExportCertificatePem());
        File.WriteAllText(_directory.File("server.pem"), certificate.ExportCertificatePem());
        File.WriteAllText(_directory.File("server.key"), serverKey.ExportPkcs8PrivateKeyPem());
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    [GeneratedRegex("chain=\"([^\"]+)\" seq=\"([0-9]+)\"")]
    private static partial Regex Place();
}
