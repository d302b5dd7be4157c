using System.Globalization;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>Columns of the built-in kinds, as kubectl shows them.</summary>
internal static class BuiltInColumns
{
    private const string None = "<none>";
    private const string Unset = "<unset>";

    public static PrinterColumn Age { get; } = Text("Age", (document, now) => Ages.Since(document["metadata"]?["creationTimestamp"].Text(), now));

    public static PrinterColumn CreatedAt { get; } = new()
    {
        Name = "Created At", Type = "date", Read = (document, _) => document["metadata"]?["creationTimestamp"]?.DeepClone(),
    };

    public static IReadOnlyList<PrinterColumn> Namespace { get; } = [Path("Status", "status", "phase"), Age];

    public static IReadOnlyList<PrinterColumn> Secret { get; } =
        [Path("Type", "type"), Cell("Data", "string", document => Count(document["data"])), Age];

    public static IReadOnlyList<PrinterColumn> ConfigMap { get; } =
        [Cell("Data", "string", document => Count(document["data"]) + Count(document["binaryData"])), Age];

    public static IReadOnlyList<PrinterColumn> Pod { get; } =
    [
        Text("Ready", (pod, _) => PodCells.Ready(pod)),
        Text("Status", (pod, _) => PodCells.Status(pod)),
        Text("Restarts", (pod, now) => PodCells.Restarts(pod, now)),
        Age,
        Wide("IP", pod => pod["status"]?["podIP"].Text() ?? None),
        Wide("Node", pod => pod["spec"]?["nodeName"].Text() is { Length: > 0 } node ? node : None),
        Wide("Nominated Node", pod => pod["status"]?["nominatedNodeName"].Text() is { Length: > 0 } node ? node : None),
        Wide("Readiness Gates", PodCells.ReadinessGates),
    ];

    public static IReadOnlyList<PrinterColumn> Service { get; } =
    [
        Path("Type", "spec", "type"),
        Text("Cluster-IP", (service, _) => service["spec"]?["clusterIP"].Text() is { Length: > 0 } address ? address : None),
        Text("External-IP", (service, _) => ServiceCells.ExternalAddress(service)),
        Text("Port(s)", (service, _) => ServiceCells.Ports(service)),
        Age,
        Wide("Selector", service => Pairs(service["spec"]?["selector"])),
    ];

    public static IReadOnlyList<PrinterColumn> PersistentVolumeClaim { get; } =
    [
        Path("Status", "status", "phase"),
        Path("Volume", "spec", "volumeName"),
        Path("Capacity", "status", "capacity", "storage"),
        Text("Access Modes", (claim, _) => AccessModes(claim["status"]?["accessModes"])),
        Path("StorageClass", "spec", "storageClassName"),
        Text("VolumeAttributesClass", (claim, _) => claim["spec"]?["volumeAttributesClassName"].Text() ?? Unset),
        Age,
        Wide("VolumeMode", claim => claim["spec"]?["volumeMode"].Text() ?? Unset),
    ];

    public static IReadOnlyList<PrinterColumn> Endpoints { get; } = [Text("Endpoints", (endpoints, _) => ServiceCells.Endpoints(endpoints)), Age];

    public static IReadOnlyList<PrinterColumn> EndpointSlice { get; } =
    [
        Path("AddressType", "addressType"),
        Text("Ports", (slice, _) => Join(Items(slice["ports"]).Select(port => port["port"] is { } number ? JsonScalars.Scalar(number) : "*"), Unset)),
        Text("Endpoints", (slice, _) => Join(Items(slice["endpoints"]).SelectMany(endpoint => Texts(endpoint["addresses"])), Unset)),
        Age,
    ];

    public static IReadOnlyList<PrinterColumn> Deployment { get; } =
    [
        Text("Ready", (document, _) => $"{Number(document, "status", "readyReplicas")}/{Number(document, "spec", "replicas")}"),
        Cell("Up-to-date", "string", document => Number(document, "status", "updatedReplicas")),
        Cell("Available", "string", document => Number(document, "status", "availableReplicas")),
        Age,
        .. Template,
        Wide("Selector", document => Selector(document["spec"]?["selector"])),
    ];

    public static IReadOnlyList<PrinterColumn> StatefulSet { get; } =
    [
        Text("Ready", (document, _) => $"{Number(document, "status", "readyReplicas")}/{Number(document, "spec", "replicas")}"),
        Age,
        .. Template,
    ];

    public static IReadOnlyList<PrinterColumn> DaemonSet { get; } =
    [
        Integer("Desired", "status", "desiredNumberScheduled"),
        Integer("Current", "status", "currentNumberScheduled"),
        Integer("Ready", "status", "numberReady"),
        Integer("Up-to-date", "status", "updatedNumberScheduled"),
        Integer("Available", "status", "numberAvailable"),
        Text("Node Selector", (document, _) => Pairs(document["spec"]?["template"]?["spec"]?["nodeSelector"])),
        Age,
        .. Template,
        Wide("Selector", document => Selector(document["spec"]?["selector"])),
    ];

    public static IReadOnlyList<PrinterColumn> ReplicaSet { get; } =
    [
        Integer("Desired", "spec", "replicas"),
        Integer("Current", "status", "replicas"),
        Integer("Ready", "status", "readyReplicas"),
        Age,
        .. Template,
        Wide("Selector", document => Selector(document["spec"]?["selector"])),
    ];

    public static IReadOnlyList<PrinterColumn> Job { get; } =
    [
        Text("Status", (job, _) => WorkloadCells.JobStatus(job)),
        Text("Completions", (job, _) => WorkloadCells.Completions(job)),
        Text("Duration", WorkloadCells.Duration),
        Age,
        .. Template,
        Wide("Selector", job => Selector(job["spec"]?["selector"])),
    ];

    public static IReadOnlyList<PrinterColumn> CronJob { get; } =
    [
        Path("Schedule", "spec", "schedule"),
        Text("Timezone", (job, _) => job["spec"]?["timeZone"].Text() ?? None),
        Cell("Suspend", "boolean", job => job["spec"]?["suspend"].Flag() ?? false),
        Cell("Active", "integer", job => Count(job["status"]?["active"])),
        Text("Last Schedule", (job, now) => job["status"]?["lastScheduleTime"].Text() is { } last ? Ages.Since(last, now) : None),
        Age,
        Wide("Containers", job => Containers(job["spec"]?["jobTemplate"], "name")),
        Wide("Images", job => Containers(job["spec"]?["jobTemplate"], "image")),
        Wide("Selector", job => Selector(job["spec"]?["jobTemplate"]?["spec"]?["selector"])),
    ];

    public static IReadOnlyList<PrinterColumn> Lease { get; } = [Path("Holder", "spec", "holderIdentity"), Age];

    public static IReadOnlyList<PrinterColumn> Binding { get; } =
    [
        Text("Role", (binding, _) => $"{binding["roleRef"]?["kind"].Text()}/{binding["roleRef"]?["name"].Text()}"),
        Age,
        Wide("Users", binding => Subjects(binding, "User")),
        Wide("Groups", binding => Subjects(binding, "Group")),
        Wide("ServiceAccounts", binding => Subjects(binding, "ServiceAccount")),
    ];

    public static IReadOnlyList<PrinterColumn> NetworkPolicy { get; } =
        [Text("Pod-Selector", (policy, _) => Selector(policy["spec"]?["podSelector"])), Age];

    public static IReadOnlyList<PrinterColumn> Ingress { get; } =
    [
        Text("Class", (ingress, _) => ingress["spec"]?["ingressClassName"].Text() ?? None),
        Text("Hosts", (ingress, _) => Join(Items(ingress["spec"]?["rules"]).Select(rule => rule["host"].Text() is { Length: > 0 } host ? host : "*"), "*")),
        Text("Address", (ingress, _) => ServiceCells.LoadBalancer(ingress)),
        Text("Ports", (ingress, _) => Items(ingress["spec"]?["tls"]).Any() ? "80, 443" : "80"),
        Age,
    ];

    public static IReadOnlyList<PrinterColumn> RuntimeClass { get; } = [Path("Handler", "handler"), Age];

    public static IReadOnlyList<PrinterColumn> PodDisruptionBudget { get; } =
    [
        Text("Min Available", (budget, _) => budget["spec"]?["minAvailable"] is { } least ? ServiceCells.IntOrString(least) : "N/A"),
        Text("Max Unavailable", (budget, _) => budget["spec"]?["maxUnavailable"] is { } most ? ServiceCells.IntOrString(most) : "N/A"),
        Integer("Allowed Disruptions", "status", "disruptionsAllowed"),
        Age,
    ];

    public static IReadOnlyList<PrinterColumn> StorageClass { get; } =
    [
        Path("Provisioner", "provisioner"),
        Path("ReclaimPolicy", "reclaimPolicy"),
        Path("VolumeBindingMode", "volumeBindingMode"),
        Cell("AllowVolumeExpansion", "string", document => document["allowVolumeExpansion"].Flag() ?? false),
        Age,
    ];

    public static IReadOnlyList<PrinterColumn> PriorityClass { get; } =
    [
        Integer("Value", "value"),
        Cell("Global-Default", "boolean", document => document["globalDefault"].Flag() ?? false),
        Age,
        Path("PreemptionPolicy", "preemptionPolicy"),
    ];

    /// <summary>Events have the same columns under different names in their two groups.</summary>
    public static IReadOnlyList<PrinterColumn> Event(string about, string note, string last, string first, string count, string source) =>
    [
        Text("Last Seen", (item, now) => Ages.Since(item["series"]?["lastObservedTime"].Text() ?? item[last].Text() ?? item["eventTime"].Text(), now)),
        Path("Type", "type"),
        Path("Reason", "reason"),
        Text("Object", (item, _) => item[about]?["kind"].Text() is { Length: > 0 } kind
            ? $"{kind.ToLowerInvariant()}/{item[about]?["name"].Text()}"
            : item[about]?["name"].Text() ?? ""),
        Wide("Subobject", item => item[about]?["fieldPath"].Text() ?? ""),
        Wide("Source", item => string.Join(", ",
            new[] { item[source]?["component"].Text(), item[source]?["host"].Text() }.Where(part => !string.IsNullOrEmpty(part)))),
        Text("Message", (item, _) => item[note].Text()?.Trim() ?? ""),
        new() { Name = "First Seen", Type = "string", Priority = 1, Read = (item, now) => Ages.Since(item[first].Text() ?? item["eventTime"].Text(), now) },
        new() { Name = "Count", Type = "string", Priority = 1, Read = (item, _) => item["series"]?["count"]?.DeepClone() ?? item[count]?.DeepClone() ?? 1 },
        Wide("Name", item => item["metadata"]?["name"].Text() ?? ""),
    ];

    public static IEnumerable<JsonObject> Items(JsonNode? list) => (list as JsonArray)?.OfType<JsonObject>() ?? [];

    public static IEnumerable<string> Texts(JsonNode? list) => (list as JsonArray)?.Select(item => item.Text() ?? "") ?? [];

    public static int Count(JsonNode? node) => node switch { JsonObject map => map.Count, JsonArray list => list.Count, _ => 0 };

    private static IReadOnlyList<PrinterColumn> Template =>
    [
        Wide("Containers", document => Containers(document, "name")),
        Wide("Images", document => Containers(document, "image")),
    ];

    private static string Containers(JsonNode? owner, string field) =>
        string.Join(',', Items(owner?["spec"]?["template"]?["spec"]?["containers"]).Select(container => container[field].Text() ?? ""));

    private static string Subjects(JsonObject binding, string kind) => string.Join(", ", Items(binding["subjects"])
        .Where(subject => subject["kind"].Text() == kind)
        .Select(subject => kind == "ServiceAccount" ? $"{subject["namespace"].Text()}/{subject["name"].Text()}" : subject["name"].Text() ?? ""));

    private static string Pairs(JsonNode? map) =>
        map is JsonObject { Count: > 0 } pairs ? string.Join(',', pairs.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key}={pair.Value.Text()}")) : None;

    private static string Selector(JsonNode? selector)
    {
        IEnumerable<string> labels = selector?["matchLabels"] is JsonObject pairs
            ? pairs.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => $"{pair.Key}={pair.Value.Text()}")
            : [];
        IEnumerable<string> expressions = Items(selector?["matchExpressions"]).Select(expression => expression["operator"].Text() switch
        {
            "In" => $"{expression["key"].Text()} in ({string.Join(',', Texts(expression["values"]).Order(StringComparer.Ordinal))})",
            "NotIn" => $"{expression["key"].Text()} notin ({string.Join(',', Texts(expression["values"]).Order(StringComparer.Ordinal))})",
            "DoesNotExist" => $"!{expression["key"].Text()}",
            _ => expression["key"].Text() ?? "",
        });
        return Join(labels.Concat(expressions), None);
    }

    private static string AccessModes(JsonNode? modes) => string.Join(',', Texts(modes).Select(mode => mode switch
    {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        "ReadWriteOncePod" => "RWOP",
        _ => mode,
    }));

    private static string Join(IEnumerable<string> parts, string empty)
    {
        string joined = string.Join(',', parts);
        return joined.Length == 0 ? empty : joined;
    }

    private static long Number(JsonObject document, params ReadOnlySpan<string> path) => At(document, path).TryInteger(out long number) ? number : 0;

    private static JsonNode? At(JsonObject document, ReadOnlySpan<string> path)
    {
        JsonNode? node = document;
        foreach (string name in path)
            node = node is JsonObject map ? map[name] : null;
        return node;
    }

    private static PrinterColumn Path(string name, params string[] path) =>
        new() { Name = name, Type = "string", Read = (document, _) => At(document, path)?.DeepClone() ?? "" };

    private static PrinterColumn Integer(string name, params string[] path) =>
        new() { Name = name, Type = "integer", Read = (document, _) => Number(document, path) };

    private static PrinterColumn Cell(string name, string type, Func<JsonObject, JsonNode?> read) =>
        new() { Name = name, Type = type, Read = (document, _) => read(document) };

    private static PrinterColumn Text(string name, Func<JsonObject, DateTimeOffset, string> read) =>
        new() { Name = name, Type = "string", Read = (document, now) => read(document, now) };

    private static PrinterColumn Wide(string name, Func<JsonObject, string> read) =>
        new() { Name = name, Type = "string", Priority = 1, Read = (document, _) => read(document) };
}

/// <summary>Ages as kubectl writes them: <c>45s</c>, <c>5m32s</c>, <c>3d4h</c>, <c>2y10d</c>.</summary>
internal static class Ages
{
    public static string Since(string? timestamp, DateTimeOffset now) =>
        DateTimeOffset.TryParse(timestamp, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time)
            ? Text(now - time)
            : "<unknown>";

    public static string Text(TimeSpan age)
    {
        long seconds = (long)age.TotalSeconds;
        if (seconds < -1)
            return "<invalid>";
        if (seconds < 0)
            return "0s";
        if (seconds < 120)
            return $"{seconds}s";
        long minutes = seconds / 60;
        if (minutes < 10)
            return With(minutes, 'm', seconds % 60, 's');
        if (minutes < 180)
            return $"{minutes}m";
        long hours = minutes / 60;
        if (hours < 8)
            return With(hours, 'h', minutes % 60, 'm');
        if (hours < 48)
            return $"{hours}h";
        long days = hours / 24;
        if (days < 8)
            return With(days, 'd', hours % 24, 'h');
        if (days < 2 * 365)
            return $"{days}d";
        return days < 8 * 365 ? With(days / 365, 'y', days % 365, 'd') : $"{days / 365}y";
    }

    private static string With(long large, char unit, long small, char smallUnit) => small == 0 ? $"{large}{unit}" : $"{large}{unit}{small}{smallUnit}";
}
