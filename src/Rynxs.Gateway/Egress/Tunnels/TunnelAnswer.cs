namespace Rynxs.Gateway.Egress.Tunnels;

/// <summary>What a sandbox is told about a request, in the words of each protocol.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Code">Stable code; also the reason phrase.</param>
/// <param name="Problem">RFC 9457 body; null for success. It never holds text that the sandbox sent.</param>
/// <param name="Socks">SOCKS 5 reply.</param>
internal sealed record TunnelAnswer(int Status, string Code, string? Problem, SocksReply Socks)
{
    public static TunnelAnswer Open { get; } = new(200, "ok", null, SocksReply.Succeeded);

    public static TunnelAnswer Of(EgressDenial denial) => denial switch
    {
        EgressDenial.Policy => Failure(403, "egress_denied", "the egress policy does not allow this host, port or protocol", SocksReply.NotAllowed),
        EgressDenial.ApprovalRequired => Failure(403, "approval_required", "a person has to approve this first", SocksReply.NotAllowed),
        EgressDenial.RawAddress => Failure(403, "raw_address", "only host names can be reached, not addresses", SocksReply.NotAllowed),
        EgressDenial.Address => Failure(403, "address_refused", "the name resolves to an address that nothing may connect to", SocksReply.NotAllowed),
        EgressDenial.TlsName => Failure(403, "tls_name", "the TLS name is not the host that was asked for", SocksReply.NotAllowed),
        EgressDenial.NotTls => Failure(403, "not_tls", "the policy allows TLS only", SocksReply.NotAllowed),
        EgressDenial.Name => Failure(403, "name_refused", "the egress policy does not allow this name", SocksReply.NotAllowed),
        EgressDenial.Limit => Failure(429, "too_many_flows", "too many connections, or too many in this second", SocksReply.GeneralFailure),
        EgressDenial.Unrecorded => Failure(503, "unrecorded", "the record of this could not be written, so it did not happen", SocksReply.GeneralFailure),
        EgressDenial.Malformed => Failure(400, "malformed_request", "the request is malformed or has more than one reading", SocksReply.GeneralFailure),
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    public static TunnelAnswer Unreachable(bool timedOut) => timedOut
        ? Failure(504, "upstream_timeout", "the host did not answer in time", SocksReply.HostUnreachable)
        : Failure(502, "upstream_unreachable", "the host could not be reached", SocksReply.HostUnreachable);

    private static TunnelAnswer Failure(int status, string code, string detail, SocksReply socks) =>
        new(status, code, $$"""{"type":"about:blank","status":{{status}},"code":"{{code}}","detail":"{{detail}}"}""", socks);
}
