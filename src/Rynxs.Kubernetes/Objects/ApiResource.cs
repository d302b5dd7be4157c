using Rynxs.Resources.Meta;

namespace Rynxs.Kubernetes.Objects;

/// <summary>A kind as the API serves it: all that the client needs to address objects that it has no type for.</summary>
/// <param name="Group">API group; empty for the core group.</param>
/// <param name="Version">Such as <c>v1</c>.</param>
/// <param name="Plural">Such as <c>configmaps</c>.</param>
/// <param name="Kind">Such as <c>ConfigMap</c>.</param>
/// <param name="Namespaced">False for cluster-scoped kinds.</param>
public sealed record ApiResource(string Group, string Version, string Plural, string Kind, bool Namespaced = true)
{
    /// <summary><c>apiVersion</c> of objects of this kind.</summary>
    public string ApiVersion => Group.Length == 0 ? Version : $"{Group}/{Version}";

    /// <summary>One of our own kinds.</summary>
    public static ApiResource Of(ResourceType type)
    {
        ArgumentNullException.ThrowIfNull(type);
        return new ApiResource("universe.ai", "v1alpha1", type.Plural, type.Kind, type.Namespaced);
    }

    /// <summary>Path of a collection, or of one object.</summary>
    /// <param name="inNamespace">Null or empty for all namespaces and for cluster-scoped kinds.</param>
    /// <param name="name">Null for the collection.</param>
    /// <param name="subresource">Such as <c>status</c>; null for the object itself.</param>
    public string Path(string? inNamespace, string? name = null, string? subresource = null)
    {
        string path = Group.Length == 0 ? $"/api/{Version}" : $"/apis/{Group}/{Version}";
        if (Namespaced && !string.IsNullOrEmpty(inNamespace))
        {
            path += $"/namespaces/{Segment(inNamespace)}";
        }

        path += $"/{Plural}";
        if (name is not null)
        {
            path += $"/{Segment(name)}";
        }

        return subresource is null ? path : $"{path}/{subresource}";
    }

    /// <inheritdoc/>
    public override string ToString() => Group.Length == 0 ? Plural : $"{Plural}.{Group}";

    // Names come from objects that others wrote: one with a slash or dots must not become another path.
    private static string Segment(string text) => text is "." or ".." or ""
        ? throw new ArgumentException($"'{text}' is not a name.", nameof(text))
        : Uri.EscapeDataString(text);
}

/// <summary>The kinds of Kubernetes that Rynxs uses.</summary>
public static class ApiResources
{
    public static ApiResource Namespaces { get; } = new("", "v1", "namespaces", "Namespace", Namespaced: false);
    public static ApiResource ConfigMaps { get; } = new("", "v1", "configmaps", "ConfigMap");
    public static ApiResource Secrets { get; } = new("", "v1", "secrets", "Secret");
    public static ApiResource Services { get; } = new("", "v1", "services", "Service");
    public static ApiResource ServiceAccounts { get; } = new("", "v1", "serviceaccounts", "ServiceAccount");
    public static ApiResource PersistentVolumeClaims { get; } = new("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim");
    public static ApiResource Pods { get; } = new("", "v1", "pods", "Pod");
    public static ApiResource Nodes { get; } = new("", "v1", "nodes", "Node", Namespaced: false);
    public static ApiResource Events { get; } = new("", "v1", "events", "Event");
    public static ApiResource StatefulSets { get; } = new("apps", "v1", "statefulsets", "StatefulSet");
    public static ApiResource Deployments { get; } = new("apps", "v1", "deployments", "Deployment");
    public static ApiResource Jobs { get; } = new("batch", "v1", "jobs", "Job");
    public static ApiResource Leases { get; } = new("coordination.k8s.io", "v1", "leases", "Lease");
    public static ApiResource NetworkPolicies { get; } = new("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy");
    public static ApiResource PodDisruptionBudgets { get; } = new("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget");
    public static ApiResource CustomResourceDefinitions { get; } =
        new("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", Namespaced: false);
    public static ApiResource RuntimeClasses { get; } = new("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass", Namespaced: false);
    public static ApiResource SelfSubjectAccessReviews { get; } =
        new("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", Namespaced: false);
}
