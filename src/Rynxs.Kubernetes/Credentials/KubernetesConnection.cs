using System.Security.Cryptography.X509Certificates;

namespace Rynxs.Kubernetes.Credentials;

/// <summary>How to reach an API server, and as whom.</summary>
public sealed record KubernetesConnection
{
    /// <summary>Such as <c>https://10.0.0.1:6443</c>; plain HTTP only to a loopback address.</summary>
    public required Uri Server { get; init; }

    /// <summary>The authorities that may vouch for the server, and no other; null for the machine's own.</summary>
    public X509Certificate2Collection? Authority { get; init; }

    /// <summary>The name that the server's certificate must have, when it is not the address's.</summary>
    public string? ServerName { get; init; }

    /// <summary>Takes whatever certificate the server shows. Only where a kubeconfig says so and the caller has allowed it.</summary>
    public bool DangerousAcceptAnyServerCertificate { get; init; }

    public IClientCredential Credential { get; init; } = FixedCredential.Anonymous;

    /// <summary>Namespace of the context, or of the pod; null when nothing says.</summary>
    public string? Namespace { get; init; }
}
