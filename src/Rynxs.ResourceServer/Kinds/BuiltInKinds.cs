using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>Kinds of Kubernetes itself: stored and checked, without the controllers that would act on them.</summary>
public static class BuiltInKinds
{
    private const string CorePackage = "io.k8s.api.core.v1";
    private const string AppsPackage = "io.k8s.api.apps.v1";
    private const string RbacPackage = "io.k8s.api.rbac.v1";
    private const string Rbac = "rbac.authorization.k8s.io";
    private static readonly IReadOnlyList<string> WithoutCollection = ["create", "delete", "get", "list", "patch", "update", "watch"];
    private static readonly string[] InAll = ["all"];

    /// <summary>Always served: Namespace, Secret, ConfigMap, ServiceAccount, Event (both groups), CustomResourceDefinition.</summary>
    public static IReadOnlyList<ServedKind> Core { get; } =
    [
        Make("", "Namespace", "namespaces", CorePackage, ["ns"], namespaced: false) with
        {
            HasStatus = true,
            Verbs = WithoutCollection,
            NameProblems = KubernetesNames.LabelProblems,
            Columns = BuiltInColumns.Namespace,
            SelectableFields = Fields("status.phase"),
            ExtraDefaulting = BuiltInDefaults.Namespace,
        },
        Make("", "Secret", "secrets", CorePackage) with
        {
            Columns = BuiltInColumns.Secret,
            SelectableFields = Fields("type"),
            ExtraDefaulting = BuiltInDefaults.Secret,
            ExtraValidation = ConfigRules.Secret,
        },
        Make("", "ConfigMap", "configmaps", CorePackage, ["cm"]) with { Columns = BuiltInColumns.ConfigMap, ExtraValidation = ConfigRules.ConfigMap },
        Make("", "ServiceAccount", "serviceaccounts", CorePackage, ["sa"]) with { Columns = [BuiltInColumns.Age] },
        Make("", "Event", "events", CorePackage, ["ev"]) with
        {
            NameIsFirstColumn = false,
            Columns = BuiltInColumns.Event("involvedObject", "message", "lastTimestamp", "firstTimestamp", "count", "source"),
            SelectableFields = Fields("involvedObject.apiVersion", "involvedObject.fieldPath", "involvedObject.kind", "involvedObject.name",
                "involvedObject.namespace", "involvedObject.resourceVersion", "involvedObject.uid", "reason", "reportingComponent", "type"),
        },
        Make("events.k8s.io", "Event", "events", "io.k8s.api.events.v1", ["ev"]) with
        {
            NameIsFirstColumn = false,
            Columns = BuiltInColumns.Event("regarding", "note", "deprecatedLastTimestamp", "deprecatedFirstTimestamp", "deprecatedCount", "deprecatedSource"),
            SelectableFields = Fields("reason", "regarding.apiVersion", "regarding.fieldPath", "regarding.kind", "regarding.name", "regarding.namespace",
                "regarding.uid", "reportingController", "type"),
        },
        Make("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions",
            "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1", ["crd", "crds"], namespaced: false) with
        {
            HasStatus = true,
            HasGeneration = true,
            Categories = ["api-extensions"],
            Columns = [BuiltInColumns.CreatedAt],
            ExtraDefaulting = CustomResourceDefinitions.Default,
            ExtraValidation = CustomResourceDefinitions.Validate,
        },
    ];

    /// <summary><see cref="Core"/> and all others.</summary>
    public static IReadOnlyList<ServedKind> All { get; } =
    [
        .. Core,
        Make("", "Pod", "pods", CorePackage, ["po"]) with
        {
            HasStatus = true,
            HasGeneration = true,
            Categories = InAll,
            Columns = BuiltInColumns.Pod,
            SelectableFields = Fields("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
                "status.phase", "status.podIP", "status.nominatedNodeName"),
            ExtraDefaulting = BuiltInDefaults.Pod,
            ExtraValidation = PodRules.Pod,
        },
        Make("", "Service", "services", CorePackage, ["svc"]) with
        {
            HasStatus = true,
            Categories = InAll,
            Columns = BuiltInColumns.Service,
            NameProblems = KubernetesNames.Dns1035Problems,
            SelectableFields = Fields("spec.clusterIP", "spec.type"),
            ExtraDefaulting = BuiltInDefaults.Service,
            ExtraValidation = ServiceRules.Service,
        },
        Make("", "PersistentVolumeClaim", "persistentvolumeclaims", CorePackage, ["pvc"]) with
        {
            HasStatus = true,
            Columns = BuiltInColumns.PersistentVolumeClaim,
            ExtraDefaulting = BuiltInDefaults.PersistentVolumeClaim,
        },
        Make("", "Endpoints", "endpoints", CorePackage, ["ep"], singular: "endpoints") with { Columns = BuiltInColumns.Endpoints },
        Make("discovery.k8s.io", "EndpointSlice", "endpointslices", "io.k8s.api.discovery.v1") with
        {
            HasGeneration = true,
            Columns = BuiltInColumns.EndpointSlice,
        },
        Make("apps", "Deployment", "deployments", AppsPackage, ["deploy"]) with
        {
            HasStatus = true,
            HasGeneration = true,
            Categories = InAll,
            Scale = Replicas,
            Columns = BuiltInColumns.Deployment,
            ExtraDefaulting = BuiltInDefaults.Deployment,
            ExtraValidation = WorkloadRules.Deployment,
        },
        Make("apps", "StatefulSet", "statefulsets", AppsPackage, ["sts"]) with
        {
            HasStatus = true,
            HasGeneration = true,
            Categories = InAll,
            Scale = Replicas,
            Columns = BuiltInColumns.StatefulSet,
            ExtraDefaulting = BuiltInDefaults.StatefulSet,
            ExtraValidation = WorkloadRules.StatefulSet,
        },
        Make("apps", "DaemonSet", "daemonsets", AppsPackage, ["ds"]) with
        {
            HasStatus = true,
            HasGeneration = true,
            Categories = InAll,
            Columns = BuiltInColumns.DaemonSet,
            ExtraDefaulting = BuiltInDefaults.DaemonSet,
            ExtraValidation = WorkloadRules.DaemonSet,
        },
        Make("apps", "ReplicaSet", "replicasets", AppsPackage, ["rs"]) with
        {
            HasStatus = true,
            HasGeneration = true,
            Categories = InAll,
            Scale = Replicas,
            Columns = BuiltInColumns.ReplicaSet,
            SelectableFields = Fields("status.replicas"),
            ExtraDefaulting = BuiltInDefaults.Template,
            ExtraValidation = WorkloadRules.ReplicaSet,
        },
        Make("batch", "Job", "jobs", "io.k8s.api.batch.v1") with
        {
            HasStatus = true,
            HasGeneration = true,
            Categories = InAll,
            Columns = BuiltInColumns.Job,
            SelectableFields = Fields("status.successful"),
            ExtraDefaulting = BuiltInDefaults.Job,
            ExtraValidation = WorkloadRules.Job,
        },
        Make("batch", "CronJob", "cronjobs", "io.k8s.api.batch.v1", ["cj"]) with
        {
            HasStatus = true,
            HasGeneration = true,
            Categories = InAll,
            Columns = BuiltInColumns.CronJob,
            ExtraDefaulting = BuiltInDefaults.CronJob,
            ExtraValidation = WorkloadRules.CronJob,
        },
        Make("coordination.k8s.io", "Lease", "leases", "io.k8s.api.coordination.v1") with
        {
            Columns = BuiltInColumns.Lease,
            ExtraValidation = ServiceRules.Lease,
        },
        Make(Rbac, "Role", "roles", RbacPackage) with { Columns = [BuiltInColumns.CreatedAt], NameProblems = KubernetesNames.PathSegmentProblems },
        Make(Rbac, "RoleBinding", "rolebindings", RbacPackage) with
        {
            Columns = BuiltInColumns.Binding,
            NameProblems = KubernetesNames.PathSegmentProblems,
            ExtraDefaulting = BuiltInDefaults.Binding,
            ExtraValidation = ServiceRules.Binding,
        },
        Make(Rbac, "ClusterRole", "clusterroles", RbacPackage, namespaced: false) with
        {
            Columns = [BuiltInColumns.CreatedAt],
            NameProblems = KubernetesNames.PathSegmentProblems,
        },
        Make(Rbac, "ClusterRoleBinding", "clusterrolebindings", RbacPackage, namespaced: false) with
        {
            Columns = BuiltInColumns.Binding,
            NameProblems = KubernetesNames.PathSegmentProblems,
            ExtraDefaulting = BuiltInDefaults.Binding,
            ExtraValidation = ServiceRules.Binding,
        },
        Make("networking.k8s.io", "NetworkPolicy", "networkpolicies", "io.k8s.api.networking.v1", ["netpol"]) with
        {
            HasGeneration = true,
            Columns = BuiltInColumns.NetworkPolicy,
            ExtraDefaulting = BuiltInDefaults.NetworkPolicy,
        },
        Make("networking.k8s.io", "Ingress", "ingresses", "io.k8s.api.networking.v1", ["ing"]) with
        {
            HasStatus = true,
            HasGeneration = true,
            Columns = BuiltInColumns.Ingress,
        },
        Make("node.k8s.io", "RuntimeClass", "runtimeclasses", "io.k8s.api.node.v1", namespaced: false) with
        {
            Columns = BuiltInColumns.RuntimeClass,
            ExtraValidation = ServiceRules.Immutable("handler"),
        },
        Make("policy", "PodDisruptionBudget", "poddisruptionbudgets", "io.k8s.api.policy.v1", ["pdb"]) with
        {
            HasStatus = true,
            HasGeneration = true,
            Columns = BuiltInColumns.PodDisruptionBudget,
        },
        Make("storage.k8s.io", "StorageClass", "storageclasses", "io.k8s.api.storage.v1", ["sc"], namespaced: false) with
        {
            Columns = BuiltInColumns.StorageClass,
            ExtraValidation = ServiceRules.Immutable("provisioner"),
        },
        Make("scheduling.k8s.io", "PriorityClass", "priorityclasses", "io.k8s.api.scheduling.v1", ["pc"], namespaced: false) with
        {
            HasGeneration = true,
            Columns = BuiltInColumns.PriorityClass,
            ExtraValidation = ServiceRules.Immutable("value"),
        },
    ];

    private static ScalePaths Replicas => new(".spec.replicas", ".status.replicas", ".spec.selector");

    private static ServedKind Make(
        string group, string kind, string plural, string package, string[]? shortNames = null, bool namespaced = true, string? singular = null) => new()
        {
            Group = group,
            Version = "v1",
            Kind = kind,
            ListKind = kind + "List",
            Plural = plural,
            Singular = singular ?? kind.ToLowerInvariant(),
            ShortNames = shortNames ?? [],
            Namespaced = namespaced,
            Strategic = true,
            Schema = FieldTable.BuiltIn[package, kind],
        };

    private static Dictionary<string, string> Fields(params ReadOnlySpan<string> names)
    {
        Dictionary<string, string> fields = [];
        foreach (string name in names)
            fields.Add(name, "." + name);
        return fields;
    }
}
