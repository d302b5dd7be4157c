using Rynxs.Gateway.Channels;

namespace Rynxs.Gateway.Credentials;

/// <summary>
/// What the way out of sandboxes asks for each request whose headers it can see (plain HTTP, and hosts whose TLS the tenant opted in to inspect).
/// Implemented by <see cref="CredentialBroker"/>.
/// </summary>
public interface ICredentialInjector
{
    /// <summary>
    /// Replaces the caller's placeholders in the headers of one request, after the disclosure is on the record. Bodies and URLs are never changed: a
    /// placeholder there, or in another header, goes out as the meaningless text that it is (D3).
    /// </summary>
    ValueTask<Injection> InjectAsync(
        GatewayCaller caller, CredentialTarget target, IReadOnlyList<KeyValuePair<string, string>> headers, CancellationToken cancellationToken);
}
