using Rynxs.Sandbox.Seccomp;

namespace Rynxs.Server.Hosting;

/// <summary>The seccomp profile of the namespaces tier, as a Kubernetes node gets it; the command line does not see the sandboxes themselves.</summary>
public static class NodeSeccompProfile
{
    /// <summary>Name of its file below the kubelet's seccomp directory.</summary>
    public static string FileName => OciSeccompProfile.FileName;

    /// <summary>OCI seccomp profile.</summary>
    public static string Json => OciSeccompProfile.Json;
}
