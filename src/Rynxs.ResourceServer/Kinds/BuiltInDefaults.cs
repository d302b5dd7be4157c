using System.Text;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>Defaults that depend on other fields. All mutate the document.</summary>
internal static class BuiltInDefaults
{
    public static void Namespace(JsonObject document)
    {
        if (document["metadata"] is JsonObject metadata && metadata["name"].Text() is { Length: > 0 } name)
            Child(metadata, "labels")["kubernetes.io/metadata.name"] = name;
        JsonObject spec = Child(document, "spec");
        spec["finalizers"] ??= new JsonArray("kubernetes");
        Child(document, "status")["phase"] ??= "Active";
    }

    /// <summary>stringData is write-only: its texts become bytes in data, and win over what is there.</summary>
    public static void Secret(JsonObject document)
    {
        document["type"] = document["type"].Text() is { Length: > 0 } type ? type : "Opaque";
        if (document["stringData"] is not JsonObject texts || texts.Any(pair => pair.Value is not null && pair.Value.Text() is null))
            return;
        document.Remove("stringData");
        if (texts.Count == 0)
            return;
        JsonObject data = Child(document, "data");
        foreach ((string key, JsonNode? value) in texts)
            data[key] = Convert.ToBase64String(Encoding.UTF8.GetBytes(value.Text() ?? ""));
    }

    public static void Pod(JsonObject document)
    {
        if (document["spec"] is not JsonObject spec)
            return;
        PodSpec(spec);
        foreach (JsonObject container in BuiltInColumns.Items(spec["containers"]).Concat(BuiltInColumns.Items(spec["initContainers"])))
        {
            if (container["resources"] is not JsonObject resources || resources["limits"] is not JsonObject limits)
                continue;
            JsonObject requests = Child(resources, "requests");
            foreach ((string name, JsonNode? limit) in limits)
                requests[name] ??= limit?.DeepClone();
        }

        spec["enableServiceLinks"] ??= true; // pods only: a template has it when it was set there
        spec["preemptionPolicy"] ??= "PreemptLowerPriority";
        spec["priority"] ??= 0;
        JsonObject status = Child(document, "status");
        status["phase"] ??= "Pending";
        status["qosClass"] ??= PodQuality.Of(spec);
    }

    public static void Template(JsonObject document)
    {
        if (document["spec"]?["template"]?["spec"] is JsonObject spec)
            PodSpec(spec);
    }

    public static void Deployment(JsonObject document)
    {
        Template(document);
        if (document["spec"]?["strategy"] is not JsonObject strategy || strategy["type"].Text() != "RollingUpdate")
            return;
        JsonObject rolling = Child(strategy, "rollingUpdate");
        rolling["maxSurge"] ??= "25%";
        rolling["maxUnavailable"] ??= "25%";
    }

    public static void StatefulSet(JsonObject document)
    {
        Template(document);

        // Required by the schema, and there from the beginning: the field has no "omit when empty".
        Child(document, "status")["replicas"] ??= 0;
        if (document["spec"] is not JsonObject spec)
            return;
        JsonObject retention = Child(spec, "persistentVolumeClaimRetentionPolicy");
        retention["whenDeleted"] ??= "Retain";
        retention["whenScaled"] ??= "Retain";
        if (spec["updateStrategy"] is JsonObject strategy && strategy["type"].Text() == "RollingUpdate")
            Child(strategy, "rollingUpdate")["partition"] ??= 0;
    }

    public static void DaemonSet(JsonObject document)
    {
        Template(document);
        if (document["spec"]?["updateStrategy"] is not JsonObject strategy || strategy["type"].Text() != "RollingUpdate")
            return;
        JsonObject rolling = Child(strategy, "rollingUpdate");
        rolling["maxSurge"] ??= 0;
        rolling["maxUnavailable"] ??= 1;
    }

    public static void Job(JsonObject document)
    {
        Template(document);
        if (document["spec"] is not JsonObject spec)
            return;
        if (spec["completions"] is null && spec["parallelism"] is null)
            spec["completions"] = 1;
        spec["parallelism"] ??= 1;
        spec["backoffLimit"] ??= spec["backoffLimitPerIndex"] is null ? 6 : int.MaxValue;
        spec["podReplacementPolicy"] ??= spec["podFailurePolicy"] is null ? "TerminatingOrFailed" : "Failed";
    }

    public static void CronJob(JsonObject document)
    {
        if (document["spec"]?["jobTemplate"]?["spec"]?["template"]?["spec"] is JsonObject spec)
            PodSpec(spec);
    }

    public static void Service(JsonObject document)
    {
        if (document["spec"] is not JsonObject spec)
            return;
        foreach (JsonObject port in BuiltInColumns.Items(spec["ports"]))
        {
            if (port["targetPort"] is null && port["port"] is { } number && spec["clusterIP"].Text() != "None")
                port["targetPort"] = number.DeepClone();
        }

        string? type = spec["type"].Text();
        if (type != "ExternalName")
            spec["internalTrafficPolicy"] ??= "Cluster";
        if (type is "NodePort" or "LoadBalancer")
            spec["externalTrafficPolicy"] ??= "Cluster";
        if (spec["sessionAffinity"].Text() == "ClientIP")
            Child(Child(spec, "sessionAffinityConfig"), "clientIP")["timeoutSeconds"] ??= 10800;
        document["status"] ??= new JsonObject { ["loadBalancer"] = new JsonObject() };
    }

    public static void PersistentVolumeClaim(JsonObject document) => Child(document, "status")["phase"] ??= "Pending";

    public static void Binding(JsonObject document)
    {
        if (document["roleRef"] is JsonObject role && role["apiGroup"].Text() is not { Length: > 0 })
            role["apiGroup"] = "rbac.authorization.k8s.io";
        foreach (JsonObject subject in BuiltInColumns.Items(document["subjects"]))
        {
            if (subject["kind"].Text() is "User" or "Group" && subject["apiGroup"].Text() is not { Length: > 0 })
                subject["apiGroup"] = "rbac.authorization.k8s.io";
        }
    }

    public static void NetworkPolicy(JsonObject document)
    {
        if (document["spec"] is JsonObject spec && spec["policyTypes"] is not JsonArray { Count: > 0 })
            spec["policyTypes"] = spec["egress"] is JsonArray { Count: > 0 } ? new JsonArray("Ingress", "Egress") : new JsonArray("Ingress");
    }

    private static void PodSpec(JsonObject spec)
    {
        // Two names of one field: the old one mirrors the new.
        if ((spec["serviceAccountName"].Text() ?? spec["serviceAccount"].Text()) is { Length: > 0 } account)
        {
            spec["serviceAccountName"] = account;
            spec["serviceAccount"] = account;
        }

        foreach (string list in new[] { "containers", "initContainers", "ephemeralContainers" })
        {
            foreach (JsonObject container in BuiltInColumns.Items(spec[list]))
            {
                if (container["image"].Text() is { Length: > 0 } image)
                    container["imagePullPolicy"] ??= IsLatest(image) ? "Always" : "IfNotPresent";
            }
        }
    }

    private static bool IsLatest(string image)
    {
        if (image.Contains('@'))
            return false;
        int colon = image.LastIndexOf(':');
        return colon <= image.LastIndexOf('/') || image[(colon + 1)..] == "latest";
    }

    /// <summary>The object below a name, made where it is absent; a detached one where something else stands there, which the validator tells.</summary>
    private static JsonObject Child(JsonObject parent, string name)
    {
        if (parent[name] is JsonObject child)
            return child;
        JsonObject made = [];
        parent[name] ??= made;
        return made;
    }
}
