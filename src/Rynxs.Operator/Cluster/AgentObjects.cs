using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Kubernetes.Objects;
using Rynxs.Ledger.Canonical;
using Rynxs.Operator.Agents;
using Rynxs.Operator.Control;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Meta;

namespace Rynxs.Operator.Cluster;

/// <summary>An object as it should be: what is applied.</summary>
/// <param name="Resource">Kind.</param>
/// <param name="Content">The fields that are ours; the server and others may add more.</param>
/// <param name="Action">The action that brings it about.</param>
internal sealed record DesiredObject(ApiResource Resource, JsonObject Content, ControlActionType Action)
{
    public string Name => (string?)Content["metadata"]?["name"] ?? "";

    public string Namespace => (string?)Content["metadata"]?["namespace"] ?? "";

    /// <summary><c>KIND/NAMESPACE/NAME</c>.</summary>
    public string Reference => $"{Resource.Kind}/{Namespace}/{Name}";
}

/// <summary>The objects of an agent in a cluster. Pure: the same agent and options give the same objects, byte for byte.</summary>
internal static class AgentObjects
{
    /// <summary>Number of the user and group of everything of ours in a container.</summary>
    private const int User = 10001;

    /// <summary>Kinds of objects that an agent has.</summary>
    public static IReadOnlyList<ApiResource> Kinds { get; } =
    [
        ApiResources.PersistentVolumeClaims, ApiResources.ServiceAccounts, ApiResources.ConfigMaps, ApiResources.NetworkPolicies, ApiResources.Services,
        ApiResources.StatefulSets,
    ];

    /// <summary>All of them, in the order of their making: nothing runs before its policies are there.</summary>
    public static IReadOnlyList<DesiredObject> Of(AgentResource agent, ClusterOptions options)
    {
        string name = agent.Metadata.Name;
        (JsonArray egress, IReadOnlyList<string> unreachable) = AgentNetwork.AgentEgress(agent.Spec, options);
        JsonObject policyNotes = unreachable.Count == 0 ? [] : new JsonObject { ["universe.ai/unreachable"] = string.Join(",", unreachable) };
        JsonElement spec = AgentJson.SpecOf(agent);
        return
        [
            Make(agent, ApiResources.PersistentVolumeClaims, AgentNames.Workspace(name), ControlActionType.EnsureWorkspace, ("spec", Claim(agent.Spec.Workspace))),
            Make(agent, ApiResources.ServiceAccounts, name, ControlActionType.EnsureAgentRuntime, ("automountServiceAccountToken", false)),
            Make(agent, ApiResources.ConfigMaps, AgentNames.Spec(name), ControlActionType.EnsureAgentRuntime,
                ("data", new JsonObject { ["agent.json"] = Encoding.UTF8.GetString(CanonicalJson.Serialize(spec)) })),
            Make(agent, ApiResources.NetworkPolicies, AgentNames.AgentPolicy(name), ControlActionType.EnsureAgentRuntime, policyNotes,
                ("spec", AgentNetwork.Policy(Selector(AgentNames.App, name), egress))),
            Make(agent, ApiResources.NetworkPolicies, AgentNames.SandboxPolicy(name), ControlActionType.EnsureAgentRuntime,
                ("spec", AgentNetwork.Policy(Selector(AgentNames.SandboxApp, name), AgentNetwork.SandboxEgress(options)))),
            Make(agent, ApiResources.Services, ServiceName(name), ControlActionType.EnsureAgentRuntime,
                ("spec", new JsonObject { ["clusterIP"] = "None", ["selector"] = Selector(AgentNames.App, name) })),
            Make(agent, ApiResources.StatefulSets, name, ControlActionType.EnsureAgentRuntime, ("spec", Runtime(agent, AgentJson.SpecHash(spec), options))),
        ];
    }

    /// <summary>Labels that select an agent's pod, or its sandboxes'.</summary>
    public static JsonObject Selector(string app, string agent) => new() { ["app"] = app, [AgentNames.AgentLabel] = agent };

    // A Service's name begins with a letter (RFC 1035), an agent's may begin with a digit.
    private static string ServiceName(string agent) => char.IsAsciiDigit(agent[0]) ? $"agent-{agent}" : agent;

    private static JsonObject Claim(WorkspaceSpec workspace)
    {
        var claim = new JsonObject
        {
            ["accessModes"] = new JsonArray("ReadWriteOnce"),
            ["resources"] = new JsonObject { ["requests"] = new JsonObject { ["storage"] = workspace.Size } },
        };
        if (workspace.StorageClassName is { } storageClass)
            claim["storageClassName"] = storageClass;
        return claim;
    }

    private static JsonObject Runtime(AgentResource agent, string specHash, ClusterOptions options) => new()
    {
        ["replicas"] = 1,
        ["serviceName"] = ServiceName(agent.Metadata.Name),
        ["selector"] = new JsonObject { ["matchLabels"] = Selector(AgentNames.App, agent.Metadata.Name) },
        ["template"] = new JsonObject
        {
            ["metadata"] = new JsonObject
            {
                // Part of the template, so that a changed spec makes a new pod.
                ["annotations"] = new JsonObject { ["universe.ai/spec-hash"] = specHash },
                ["labels"] = Labels(agent.Metadata.Name),
            },
            ["spec"] = Pod(agent, options),
        },
    };

    private static JsonObject Pod(AgentResource agent, ClusterOptions options)
    {
        var pod = new JsonObject
        {
            ["serviceAccountName"] = agent.Metadata.Name,
            ["automountServiceAccountToken"] = false,
            ["enableServiceLinks"] = false,
            ["terminationGracePeriodSeconds"] = 30,
            ["securityContext"] = new JsonObject
            {
                ["runAsNonRoot"] = true, ["runAsUser"] = User, ["runAsGroup"] = User, ["fsGroup"] = User, ["fsGroupChangePolicy"] = "OnRootMismatch",
                ["seccompProfile"] = new JsonObject { ["type"] = "RuntimeDefault" },
            },
            ["containers"] = new JsonArray(Container(agent, options)),
            ["volumes"] = new JsonArray(
                new JsonObject { ["name"] = "workspace", ["persistentVolumeClaim"] = new JsonObject { ["claimName"] = AgentNames.Workspace(agent.Metadata.Name) } },
                new JsonObject { ["name"] = "config", ["configMap"] = new JsonObject { ["name"] = AgentNames.Spec(agent.Metadata.Name) } },
                new JsonObject { ["name"] = "tmp", ["emptyDir"] = new JsonObject { ["sizeLimit"] = "64Mi" } }),
        };
        if (options.AgentRuntimeClass is { } runtimeClass)
            pod["runtimeClassName"] = runtimeClass;
        return pod;
    }

    private static JsonObject Container(AgentResource agent, ClusterOptions options) => new()
    {
        ["name"] = "agent",
        ["image"] = options.AgentImage,
        ["imagePullPolicy"] = options.ImagePullPolicy,
        ["args"] = new JsonArray("agent", "--config", "/config/agent.json", "--workspace", "/workspace"),
        ["env"] = new JsonArray(
            new JsonObject { ["name"] = "AGENT_NAME", ["value"] = agent.Metadata.Name },
            new JsonObject { ["name"] = "AGENT_NAMESPACE", ["value"] = agent.Metadata.Namespace }),
        ["ports"] = new JsonArray(new JsonObject { ["name"] = "health", ["containerPort"] = 8080, ["protocol"] = "TCP" }),
        ["livenessProbe"] = Probe("/livez", failures: 6),
        ["readinessProbe"] = Probe("/readyz", failures: 3),
        ["resources"] = new JsonObject
        {
            ["requests"] = new JsonObject { ["cpu"] = options.CpuRequest, ["memory"] = options.MemoryRequest },
            ["limits"] = new JsonObject { ["cpu"] = options.CpuLimit, ["memory"] = options.MemoryLimit },
        },
        ["securityContext"] = new JsonObject
        {
            ["allowPrivilegeEscalation"] = false, ["readOnlyRootFilesystem"] = true, ["capabilities"] = new JsonObject { ["drop"] = new JsonArray("ALL") },
        },
        ["volumeMounts"] = new JsonArray(
            new JsonObject { ["name"] = "workspace", ["mountPath"] = "/workspace" },
            new JsonObject { ["name"] = "config", ["mountPath"] = "/config", ["readOnly"] = true },
            new JsonObject { ["name"] = "tmp", ["mountPath"] = "/tmp" }),
    };

    private static JsonObject Probe(string path, int failures) => new()
    {
        ["httpGet"] = new JsonObject { ["path"] = path, ["port"] = "health" }, ["periodSeconds"] = 10, ["timeoutSeconds"] = 3, ["failureThreshold"] = failures,
    };

    private static JsonObject Labels(string agent) => new()
    {
        ["app"] = AgentNames.App, [AgentNames.ManagedBy] = AgentNames.Manager, [AgentNames.AgentLabel] = agent,
    };

    private static DesiredObject Make(AgentResource agent, ApiResource resource, string name, ControlActionType action, params ReadOnlySpan<(string Key, JsonNode Value)> content) =>
        Make(agent, resource, name, action, [], content);

    private static DesiredObject Make(
        AgentResource agent, ApiResource resource, string name, ControlActionType action, JsonObject annotations, params ReadOnlySpan<(string Key, JsonNode Value)> content)
    {
        var whole = new JsonObject { ["apiVersion"] = resource.ApiVersion, ["kind"] = resource.Kind };
        var metadata = new JsonObject { ["name"] = name, ["namespace"] = agent.Metadata.Namespace, ["labels"] = Labels(agent.Metadata.Name) };
        if (agent.Metadata.Uid is { } uid)
        {
            metadata["ownerReferences"] = new JsonArray(new JsonObject
            {
                ["apiVersion"] = Resource.GroupVersion, ["kind"] = "Agent", ["name"] = agent.Metadata.Name, ["uid"] = uid, ["controller"] = true, ["blockOwnerDeletion"] = true,
            });
        }

        if (annotations.Count > 0)
            metadata["annotations"] = annotations;
        whole["metadata"] = metadata;
        foreach ((string key, JsonNode value) in content)
            whole[key] = value;

        string hash = CanonicalJson.Sha256Hex(JsonSerializer.SerializeToElement(whole, OperatorJson.Default.JsonObject))[..16];
        if (metadata["annotations"] is JsonObject present)
            present[AgentNames.DesiredHash] = hash;
        else
            metadata["annotations"] = new JsonObject { [AgentNames.DesiredHash] = hash };
        return new DesiredObject(resource, whole, action);
    }
}
