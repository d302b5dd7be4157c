using System.Globalization;
using System.Net;
using Rynxs.Ledger;
using Rynxs.Server.Identity;
using Rynxs.Ledger.Export;

namespace Rynxs.Server.Hosting;

/// <summary>Settings of one server process. Bound once; <see cref="Validate"/> reports every problem together.</summary>
public sealed record ServerOptions
{
    /// <summary>The state directory: created with mode 0700 when it does not exist. One server at a time.</summary>
    public required string StateDirectory { get; init; }

    /// <summary><c>ADDRESS:PORT</c>; an IP address or <c>localhost</c>. Port 0 takes a free one. Default <c>127.0.0.1:8002</c>.</summary>
    public string Listen { get; init; } = "127.0.0.1:8002";

    /// <summary>
    /// Where the server speaks TLS, as <see cref="Listen"/>, or <c>none</c>. Port 0, the default, takes the port of the last start when it is free, else any
    /// free one; <c>STATE/kubeconfig</c> names it.
    /// </summary>
    public string ListenTls { get; init; } = "127.0.0.1:0";

    /// <summary>Further names and addresses of the server's certificate, beside localhost, the loopback addresses and the address of <see cref="ListenTls"/>.</summary>
    public IReadOnlyList<string> TlsNames { get; init; } = [];

    /// <summary>
    /// Also serves the workload, network, storage and role kinds of Kubernetes as stored objects: nothing acts on them. Default: the core kinds alone.
    /// </summary>
    public bool AllKinds { get; init; }

    /// <summary>Requests that one principal may begin in a second, 1 to 100,000, default 1,000; bursts of twice as many.</summary>
    public int RequestsPerSecond { get; init; } = 1000;

    /// <summary>An OpenID provider whose tokens count. Null: none.</summary>
    public OidcOptions? Oidc { get; init; }

    /// <summary>Where root filesystems are kept, shared by all states. Null: <c>RYNXS_IMAGES</c>, else <c>images</c> below the default state directory.</summary>
    public string? ImagesDirectory { get; init; }

    /// <summary>Requests without a token act as an administrator. Refused unless <see cref="Listen"/> is a loopback address. Default false.</summary>
    public bool DangerousAllowAnonymous { get; init; }

    /// <summary>How long a stop waits for running work, 0 to 600 seconds, default 20.</summary>
    public int DrainSeconds { get; init; } = 20;

    /// <summary>Constitutional hash that this deployment pins; requests that pin another one are refused. Default: the seed's.</summary>
    public string ConstitutionalHash { get; init; } = DefaultConstitutionalHash;

    /// <summary>Sandboxes of the execute API at once over all agents, 1 to 4096. Null: four per CPU.</summary>
    public int? MaxConcurrentExecutions { get; init; }

    /// <summary>Executions that wait for a place at once over all agents, 1 to 100,000; what is beyond is refused with 429. Default 4,000.</summary>
    public int MaxQueuedExecutions { get; init; } = Execution.ExecutionGate.DefaultQueued;

    /// <summary>Policy and audit engines outside of this process. Default: none.</summary>
    public Execution.Integration.ExternalEndpointOptions External { get; init; } = new();

    /// <summary>Logs what the monitor saw of each execution, and puts it into the answer (<c>ENABLE_SECURITY_DEBUG</c>). Default false.</summary>
    public bool SecurityDebug { get; init; }

    /// <summary>Signed checkpoints of the ledger and their witnesses.</summary>
    public Transparency.TransparencyOptions Transparency { get; init; } = new();
    /// <summary>
    /// Sandboxes of the execute API that are kept ready, 0 to 500; the pool grows up to four times as many while requests find it empty. 0 (default here; <c>rynxs up</c> asks for 2)
    /// prepares nothing: each request starts its sandbox by the command line of the runtime.
    /// </summary>
    public int WarmSandboxes { get; init; }

    /// <summary>gVisor platform of sandboxes, <c>systrap</c> (default) or <c>ptrace</c>.</summary>
    public string SandboxPlatform { get; init; } = "systrap";

    /// <summary>Where the JSON log lines go. Null: standard error.</summary>
    public TextWriter? LogWriter { get; init; }

    /// <summary>Least level that is logged. Default information.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;

    /// <summary>Told what start-up is doing (<c>"Opening the ledger"</c>), for a person. Null when nobody watches.</summary>
    public Action<string>? Progress { get; init; }

    /// <summary>Where every record of the ledger is shipped to (docs/operations/siem.md); at most 8. Default: nowhere.</summary>
    public IReadOnlyList<string> Exports { get; init; } = [];

    /// <summary>File with the bearer token for HTTP destinations of <see cref="Exports"/>; null for none.</summary>
    public string? ExportTokenFile { get; init; }

    /// <summary>PEM file with the certificates that TLS destinations must chain to; null: the system's.</summary>
    public string? ExportCaFile { get; init; }

    /// <summary>Keeps the output of sandboxes as recordings, linked from the audit chain by hash. Default false: output may hold secrets.</summary>
    public bool RecordSessions { get; init; }

    /// <summary>
    /// Blocks of private, loopback or other addresses that are not global, and that names may lead to all the same. Default none: then no allowed name reaches this
    /// host or its network, whatever it resolves to.
    /// </summary>
    public IReadOnlyList<string> OpenedEgress { get; init; } = [];

    /// <summary>Names of the gateway's own, as NAME=ADDRESS: they are not asked of the host's resolver. Default none.</summary>
    public IReadOnlyList<string> EgressHosts { get; init; } = [];

    /// <summary>Clock of everything in this process.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Namespaces that the first start makes beside Kubernetes' own; tests add theirs.</summary>
    internal IReadOnlyList<string> InitialNamespaces { get; init; } = ["rynxs"];

    /// <summary>Puts something between every part and the ledger: the crash tests end the process at a chosen append. Null: nothing.</summary>
    internal Func<ILedger, ILedger>? LedgerDecorator { get; init; }

    /// <summary>Value of <see cref="ListenTls"/> that turns TLS off.</summary>
    public const string NoTls = "none";

    /// <summary>The hash named by the hardened sandbox API's documentation.</summary>
    public const string DefaultConstitutionalHash = "cdd01ef066bc6cf2";

    /// <summary><c>/var/lib/rynxs</c> for root, else <c>rynxs</c> below <c>XDG_STATE_HOME</c> or <c>~/.local/state</c>.</summary>
    public static string DefaultStateDirectory
    {
        get
        {
            if (Environment.IsPrivilegedProcess)
            {
                return "/var/lib/rynxs";
            }

            string? state = Environment.GetEnvironmentVariable("XDG_STATE_HOME");
            return Path.Combine(
                state is { Length: > 0 } ? state : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".local", "state"), "rynxs");
        }
    }

    /// <summary>Every problem, each naming its setting; empty when the options can be used.</summary>
    public IReadOnlyList<string> Validate()
    {
        var problems = new List<string>();
        if (string.IsNullOrWhiteSpace(StateDirectory))
        {
            problems.Add("--state: a directory is required.");
        }
        else if (StateDirectory.Contains('\0', StringComparison.Ordinal))
        {
            problems.Add("--state: the path contains a NUL character.");
        }
        else if (File.Exists(StateDirectory))
        {
            problems.Add($"--state: '{StateDirectory}' is a file, not a directory.");
        }

        if (!TryParseListen(Listen, out IPEndPoint? endpoint))
        {
            problems.Add($"--listen: '{Listen}' is not ADDRESS:PORT with an IP address (or localhost) and a port from 0 to 65535, such as 127.0.0.1:8002.");
        }
        else if (DangerousAllowAnonymous && !IPAddress.IsLoopback(endpoint.Address))
        {
            problems.Add($"--dangerous-allow-anonymous: only on a loopback address; '{Listen}' can be reached by others.");
        }

        if (ListenTls != NoTls)
        {
            if (!TryParseListen(ListenTls, out IPEndPoint? tls))
            {
                problems.Add($"--listen-tls: '{ListenTls}' is not ADDRESS:PORT with an IP address (or localhost) and a port from 0 to 65535, and not '{NoTls}'.");
            }
            else if (DangerousAllowAnonymous && !IPAddress.IsLoopback(tls.Address))
            {
                problems.Add($"--dangerous-allow-anonymous: only on a loopback address; '{ListenTls}' can be reached by others.");
            }
        }

        foreach (string name in TlsNames.Where(name => Uri.CheckHostName(name) is not (UriHostNameType.Dns or UriHostNameType.IPv4 or UriHostNameType.IPv6)))
        {
            problems.Add($"--tls-name: '{name}' is neither a host name nor an address.");
        }

        if (RequestsPerSecond is < 1 or > 100_000)
        {
            problems.Add(string.Create(CultureInfo.InvariantCulture, $"--max-requests-per-second: {RequestsPerSecond} is not within 1 to 100000."));
        }

        problems.AddRange(Oidc?.Problems() ?? []);

        if (DrainSeconds is < 0 or > 600)
        {
            problems.Add(string.Create(CultureInfo.InvariantCulture, $"--drain-seconds: {DrainSeconds} is not within 0 to 600."));
        }

        if (MaxConcurrentExecutions is < 1 or > 4096)
        {
            problems.Add(string.Create(CultureInfo.InvariantCulture, $"--max-executions: {MaxConcurrentExecutions} is not within 1 to 4096."));
        }

        problems.AddRange(OpenedEgress.Where(range => !Policy.Egress.AddressRange.TryParse(range, out _))
            .Select(range => $"--egress-open: '{range}' is not ADDRESS or ADDRESS/BITS, such as 10.1.2.0/24."));
        problems.AddRange(EgressHosts.Where(host => !Egress.EgressNames.TryParse(host, out _, out _)).Select(host => $"--egress-host: '{host}' is not NAME=ADDRESS, such as mirror.example.com=10.1.2.3."));

        if (MaxQueuedExecutions is < 1 or > 100_000)
        {
            problems.Add(string.Create(CultureInfo.InvariantCulture, $"--max-queued-executions: {MaxQueuedExecutions} is not within 1 to 100000."));
        }

        problems.AddRange(External.Problems());
        if (Exports.Count > 8)
        {
            problems.Add("--export: at most 8 destinations.");
        }

        foreach (string export in Exports)
        {
            if (!ExportDestination.TryParse(export, out _, out string? problem))
            {
                problems.Add("--export: " + problem);
            }
        }

        foreach ((string option, string? file) in ((string, string?)[])[("--export-token-file", ExportTokenFile), ("--export-ca", ExportCaFile)])
        {
            if (file is not null && !File.Exists(file))
            {
                problems.Add($"{option}: '{file}' does not exist.");
            }
        }

        if (WarmSandboxes is < 0 or > 500)
        {
            problems.Add(string.Create(CultureInfo.InvariantCulture, $"--warm-sandboxes: {WarmSandboxes} is not within 0 to 500."));
        }

        if (SandboxPlatform is not ("systrap" or "ptrace"))
        {
            problems.Add($"--sandbox-platform: '{SandboxPlatform}' is neither systrap nor ptrace.");
        }

        if (ConstitutionalHash.Length is < 1 or > 128 || !ConstitutionalHash.All(char.IsAsciiHexDigitLower))
        {
            problems.Add("--constitutional-hash: 1 to 128 lowercase hexadecimal digits.");
        }

        problems.AddRange(Transparency.Validate());
        return problems;
    }

    /// <summary>Splits <c>ADDRESS:PORT</c>; IPv6 addresses stand in brackets.</summary>
    internal static bool TryParseListen(string text, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out IPEndPoint? endpoint)
    {
        endpoint = null;
        int colon = text.LastIndexOf(':');
        if (colon <= 0 || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out ushort port))
        {
            return false;
        }

        string host = text[..colon];
        if (host == "localhost")
        {
            endpoint = new IPEndPoint(IPAddress.Loopback, port);
            return true;
        }

        bool bracketed = host.StartsWith('[') && host.EndsWith(']');
        if (!IPAddress.TryParse(bracketed ? host[1..^1] : host, out IPAddress? address)
            || bracketed != (address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6))
        {
            return false;
        }

        endpoint = new IPEndPoint(address, port);
        return true;
    }
}
