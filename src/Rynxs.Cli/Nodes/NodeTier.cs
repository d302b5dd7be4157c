using Rynxs.Server.Hosting;

namespace Rynxs.Cli.Nodes;

/// <summary>What a Kubernetes node needs for a tier of sandboxes: files on the node, a RuntimeClass for the cluster, labels and a taint for the node.</summary>
/// <param name="Name">The tier and its RuntimeClass.</param>
/// <param name="Label">Set on nodes that have the tier. A key for each tier, so that a node can have several.</param>
internal sealed record NodeTier(string Name, string Label)
{
    /// <summary>Keeps other Pods away. One for all tiers, and every RuntimeClass here tolerates it: a taint for each would keep every sandbox away from a node with two.</summary>
    public const string Taint = "sandbox=dedicated:NoSchedule";

    /// <summary>Directory below /etc/rynxs for what is applied to the cluster.</summary>
    public const string ManifestDirectory = "etc/rynxs/nodes";

    public const string RunscOptionsPath = "etc/containerd/runsc.toml";

    public const string DropInPath = "etc/containerd/conf.d/rynxs-gvisor.toml";

    /// <summary>Where the kubelet looks for <c>localhostProfile</c>.</summary>
    public const string SeccompDirectory = "var/lib/kubelet/seccomp";

    public static NodeTier Gvisor { get; } = new("gvisor", "sandbox.universe.ai/gvisor=enabled");

    public static NodeTier Namespaces { get; } = new("namespaces", "sandbox.universe.ai/namespaces=enabled");

    /// <summary>Programs that must be on the node, and where they come from.</summary>
    public IReadOnlyList<(string Program, string From)> Requires => this == Gvisor
        ?
        [
            ("runsc", "the package runsc"),
            ("containerd-shim-runsc-v1", "gVisor's own package repository; Debian's package runsc does not have it"),
        ]
        : [("runc", "the package runc, or containerd.io")];

    /// <summary>For all Pods of this tier. Only here is the node chosen: a Pod with a selector of its own that says otherwise is refused.</summary>
    public string Manifest => this == Gvisor
        ? """
          apiVersion: node.k8s.io/v1
          kind: RuntimeClass
          metadata:
            name: gvisor
            labels:
              app.kubernetes.io/part-of: rynxs
          handler: runsc
          overhead:
            podFixed:
              # The sentry and the gofer; what the program uses comes on top.
              memory: 96Mi
              cpu: 50m
          scheduling:
            nodeSelector:
              sandbox.universe.ai/gvisor: enabled
            tolerations:
              - key: sandbox
                operator: Exists
                effect: NoSchedule

          """
        : """
          # The host's own kernel: for code that is trusted. A Pod of this class names the profile as well, because a RuntimeClass cannot:
          #   securityContext: {seccompProfile: {type: Localhost, localhostProfile: rynxs-namespaces.json}}
          apiVersion: node.k8s.io/v1
          kind: RuntimeClass
          metadata:
            name: namespaces
            labels:
              app.kubernetes.io/part-of: rynxs
          handler: runc
          scheduling:
            nodeSelector:
              sandbox.universe.ai/namespaces: enabled
            tolerations:
              - key: sandbox
                operator: Exists
                effect: NoSchedule

          """;

    /// <summary>gVisor's options for containerd. The shim reads a table of strings, also where a number or a truth value is meant.</summary>
    public const string RunscOptions = """
        # Written by rynxs node setup. Every value is a string.
        [runsc_config]
          platform = "systrap"
          # Without it gVisor ignores the seccomp profile of a Pod.
          oci-seccomp = "true"
          watchdog-action = "panic"

        """;

    /// <summary>Files with the same content on every node, by their path below the root.</summary>
    public IReadOnlyList<NodeFile> Files => this == Gvisor
        ? [new(RunscOptionsPath, RunscOptions), new($"{ManifestDirectory}/{Name}.yaml", Manifest)]
        : [new($"{SeccompDirectory}/{NodeSeccompProfile.FileName}", NodeSeccompProfile.Json), new($"{ManifestDirectory}/{Name}.yaml", Manifest)];

    /// <summary>The runtime for containerd, in the terms of its configuration's version.</summary>
    /// <param name="version">2 (containerd 1.5 to 1.7) or 3 (containerd 2).</param>
    public static string DropIn(int version)
    {
        string plugin = version == 3 ? "'io.containerd.cri.v1.runtime'" : "\"io.containerd.grpc.v1.cri\"";
        return $"""
            # Written by rynxs node setup.
            version = {version.ToString(System.Globalization.CultureInfo.InvariantCulture)}

            [plugins.{plugin}.containerd.runtimes.runsc]
              runtime_type = "io.containerd.runsc.v1"
            [plugins.{plugin}.containerd.runtimes.runsc.options]
              TypeUrl = "io.containerd.runsc.v1.options"
              ConfigPath = "/{RunscOptionsPath}"

            """;
    }

    /// <summary>For an administrator of the cluster, or for us when the node is named.</summary>
    public IReadOnlyList<IReadOnlyList<string>> Commands(string root, string node) =>
    [
        ["kubectl", "label", "node", node, Label, "--overwrite"],
        .. this == Gvisor ? (string[][])[["kubectl", "label", "node", node, "kernel-isolation=enabled", "--overwrite"]] : [],
        ["kubectl", "taint", "node", node, Taint, "--overwrite"],
        ["kubectl", "apply", "--server-side", "-f", Path.Combine(root, ManifestDirectory, Name + ".yaml")],
    ];
}

/// <summary>A file of a node.</summary>
internal sealed record NodeFile(string Path, string Content);
