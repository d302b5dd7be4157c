using Rynxs.Gateway.Credentials;
using Rynxs.Server.Hosting;

namespace Rynxs.Server.Inference;

/// <summary>Where Vault is, from the gateway's environment: <c>VAULT_ADDR</c> and what its own clients use beside it.</summary>
internal static class VaultSettings
{
    /// <summary>Null when <c>RYNXS_VAULT_ADDR</c> is not set.</summary>
    /// <exception cref="ServerStartException">It is set and cannot be used.</exception>
    public static VaultOptions? FromEnvironment()
    {
        if (Environment.GetEnvironmentVariable("RYNXS_VAULT_ADDR") is not { Length: > 0 } address)
        {
            return null;
        }

        if (!Uri.TryCreate(address, UriKind.Absolute, out Uri? url) || !(url.Scheme == Uri.UriSchemeHttps || (url.Scheme == Uri.UriSchemeHttp && url.IsLoopback)))
        {
            throw new ServerStartException(StartFailure.InvalidOptions, "RYNXS_VAULT_ADDR: an https address is due (http on loopback alone).");
        }

        string? role = Environment.GetEnvironmentVariable("RYNXS_VAULT_ROLE");
        string? roleId = Environment.GetEnvironmentVariable("RYNXS_VAULT_ROLE_ID");
        string? secretIdFile = Environment.GetEnvironmentVariable("RYNXS_VAULT_SECRET_ID_FILE");
        VaultLogin login = (role, roleId, secretIdFile) switch
        {
            (null, { Length: > 0 }, { Length: > 0 }) => new VaultLogin.AppRole(Environment.GetEnvironmentVariable("RYNXS_VAULT_AUTH_MOUNT") ?? "approle", roleId, secretIdFile),
            ({ Length: > 0 }, null, null) => new VaultLogin.Kubernetes(
                Environment.GetEnvironmentVariable("RYNXS_VAULT_AUTH_MOUNT") ?? "kubernetes", role,
                Environment.GetEnvironmentVariable("RYNXS_VAULT_JWT_FILE") ?? "/var/run/secrets/kubernetes.io/serviceaccount/token"),
            _ => throw new ServerStartException(
                StartFailure.InvalidOptions, "Vault: set either RYNXS_VAULT_ROLE_ID and RYNXS_VAULT_SECRET_ID_FILE (AppRole) or RYNXS_VAULT_ROLE (Kubernetes)."),
        };
        return new VaultOptions { Address = url, Login = login, VaultNamespace = Environment.GetEnvironmentVariable("RYNXS_VAULT_NAMESPACE") };
    }
}
