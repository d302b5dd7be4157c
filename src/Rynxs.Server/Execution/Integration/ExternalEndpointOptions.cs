namespace Rynxs.Server.Execution.Integration;

/// <summary>
/// A policy engine and an audit engine outside of this process, which the execute API asks and tells beside its own. Null: there is none. Where one is named it must answer:
/// what it does not allow, or cannot be told, is not run.
/// </summary>
public sealed record ExternalEndpointOptions
{
    /// <summary>Base URL; <c>POST /api/v1/evaluate</c> is asked before each execution.</summary>
    public string? PolicyUrl { get; init; }

    /// <summary>File with a bearer token for it.</summary>
    public string? PolicyTokenFile { get; init; }

    /// <summary>Base URL; <c>POST /api/v1/audit/events</c> is told of each execution, before and after.</summary>
    public string? AuditUrl { get; init; }

    /// <summary>File with a bearer token for it.</summary>
    public string? AuditTokenFile { get; init; }

    /// <summary>PEM file with the certificates that HTTPS endpoints must chain to; null: the system's.</summary>
    public string? CaFile { get; init; }

    /// <summary>How long one call may take, 100 to 60,000 ms, default 5,000.</summary>
    public int TimeoutMilliseconds { get; init; } = 5000;

    /// <summary>Every problem, each naming its setting.</summary>
    public IEnumerable<string> Problems()
    {
        foreach ((string option, string? url) in ((string, string?)[])[("--policy-url", PolicyUrl), ("--audit-url", AuditUrl)])
        {
            if (url is not null && !(Uri.TryCreate(url, UriKind.Absolute, out Uri? parsed) && parsed is { Scheme: "http" or "https", UserInfo: "" }))
            {
                yield return $"{option}: '{url}' is not an http or https URL without credentials.";
            }
        }

        foreach ((string option, string? file) in ((string, string?)[])[("--policy-token-file", PolicyTokenFile), ("--audit-token-file", AuditTokenFile), ("--endpoint-ca", CaFile)])
        {
            if (file is not null && !File.Exists(file))
            {
                yield return $"{option}: '{file}' does not exist.";
            }
        }

        if (TimeoutMilliseconds is < 100 or > 60_000)
        {
            yield return $"--endpoint-timeout-ms: {TimeoutMilliseconds} is not within 100 to 60000.";
        }
    }
}
