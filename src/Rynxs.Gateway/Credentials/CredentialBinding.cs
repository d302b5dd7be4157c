namespace Rynxs.Gateway.Credentials;

/// <summary>Says for which requests, and only for which, a placeholder stands for a credential (D2).</summary>
public sealed record CredentialBinding
{
    /// <summary>The credential.</summary>
    public required CredentialRef Credential { get; init; }

    /// <summary>The host, in lower case, exactly.</summary>
    public required string Host { get; init; }

    /// <summary>The port.</summary>
    public required int Port { get; init; }

    /// <summary>Methods, such as <c>GET</c>, exactly; none is none.</summary>
    public required IReadOnlySet<string> Methods { get; init; }

    /// <summary>The one header, such as <c>Authorization</c>, in which the placeholder is replaced; anywhere else it stays what it is.</summary>
    public required string Header { get; init; }

    /// <summary>
    /// Whether the request may leave in clear text. False by default: the credential is then replaced only in requests over TLS of the gateway's own.
    /// </summary>
    public bool AllowPlainHttp { get; init; }

    /// <summary>Rule for the record; null for none.</summary>
    public string? Rule { get; init; }
}

/// <summary>Where a request goes: what decides whether a placeholder is replaced.</summary>
/// <param name="Host">As the connection is really made, in lower case: not what the Host header says.</param>
/// <param name="Port">Port of the connection.</param>
/// <param name="IsTls">Whether the gateway itself speaks TLS to it.</param>
/// <param name="Method">Method of the request.</param>
/// <param name="Purpose"><c>egress</c>, <c>inference</c>, <c>mcp</c>: for the record.</param>
public sealed record CredentialTarget(string Host, int Port, bool IsTls, string Method, string Purpose);

/// <summary>What became of the placeholders of a request.</summary>
public abstract record Injection
{
    private Injection()
    {
    }

    /// <summary>There was none that is this caller's; the headers go as they are.</summary>
    public sealed record None : Injection;

    /// <summary>Headers with credentials in them. They go to the target and nowhere else: not into a log, a record or a redirect.</summary>
    /// <param name="Headers">All headers of the request, replaced where they are bound.</param>
    /// <param name="Scrubber">Every byte of the answer (headers and body) goes through it before the sandbox sees it.</param>
    public sealed record Replaced(IReadOnlyList<KeyValuePair<string, string>> Headers, ResponseScrubber Scrubber) : Injection;

    /// <summary>A placeholder was used where it is not bound, or its credential cannot be had, or the disclosure cannot be recorded: the request must not go out.</summary>
    /// <param name="Code"><c>credential_not_bound</c>, <c>credential_unavailable</c> or <c>credential_unrecorded</c>.</param>
    /// <param name="Detail">For the caller; no value in it.</param>
    public sealed record Refused(string Code, string Detail) : Injection;
}
