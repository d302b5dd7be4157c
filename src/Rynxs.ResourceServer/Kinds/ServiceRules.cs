using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>Rules of services, leases, bindings and of kinds with an immutable field.</summary>
internal static class ServiceRules
{
    public static IReadOnlyList<StatusCause> Service(JsonObject document, JsonObject? old)
    {
        List<StatusCause> causes = [];
        if (document["spec"] is not JsonObject spec)
        {
            causes.Add(new StatusCause(CauseReasons.Required, "Required value", "spec.ports"));
            return causes;
        }

        bool needsPorts = spec["type"].Text() != "ExternalName" && spec["clusterIP"].Text() != "None";
        JsonObject[] ports = [.. BuiltInColumns.Items(spec["ports"])];
        if (needsPorts && ports.Length == 0)
            causes.Add(new StatusCause(CauseReasons.Required, "Required value", "spec.ports"));
        HashSet<string> names = [];
        for (int i = 0; i < ports.Length; i++)
        {
            string at = FieldPaths.Index("spec.ports", i);
            string name = ports[i]["name"].Text() ?? "";
            if (name.Length == 0 && ports.Length > 1)
                causes.Add(new StatusCause(CauseReasons.Required, "Required value", at + ".name"));
            else if (name.Length > 0 && !names.Add(name))
                causes.Add(new StatusCause(CauseReasons.Duplicate, $"Duplicate value: {JsonScalars.Quote(name)}", at + ".name"));
            if (ports[i]["port"].TryInteger(out long port) && port is < 1 or > 65535)
                causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {port}: must be between 1 and 65535, inclusive", at + ".port"));
        }

        if (spec["type"].Text() == "ExternalName" && spec["externalName"].Text() is not { Length: > 0 })
            causes.Add(new StatusCause(CauseReasons.Required, "Required value", "spec.externalName"));
        if (old?["spec"]?["clusterIP"].Text() is { Length: > 0 } before && spec["type"].Text() != "ExternalName"
            && old["spec"]?["type"].Text() != "ExternalName" && spec["clusterIP"].Text() != before)
        {
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {JsonScalars.Canonical(new JsonArray(spec["clusterIP"].Text()))}: may not change once set", "spec.clusterIPs[0]"));
        }

        return causes;
    }

    public static IReadOnlyList<StatusCause> Lease(JsonObject document, JsonObject? old)
    {
        List<StatusCause> causes = [];
        if (document["spec"]?["leaseDurationSeconds"].TryInteger(out long seconds) is true && seconds <= 0)
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {seconds}: must be greater than 0", "spec.leaseDurationSeconds"));
        if (document["spec"]?["leaseTransitions"].TryInteger(out long transitions) is true && transitions < 0)
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {transitions}: must be greater than or equal to 0", "spec.leaseTransitions"));
        return causes;
    }

    public static IReadOnlyList<StatusCause> Binding(JsonObject document, JsonObject? old)
    {
        List<StatusCause> causes = [];
        if (document["roleRef"] is JsonObject role)
        {
            if (role["kind"].Text() is { } kind && kind is not ("Role" or "ClusterRole"))
                causes.Add(new StatusCause(CauseReasons.NotSupported, $"Unsupported value: {JsonScalars.Quote(kind)}: supported values: \"ClusterRole\", \"Role\"", "roleRef.kind"));
            if (role["name"].Text() is "")
                causes.Add(new StatusCause(CauseReasons.Required, "Required value", "roleRef.name"));
            if (old?["roleRef"] is { } before && !JsonNode.DeepEquals(role, before))
                causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {JsonScalars.Canonical(role)}: cannot change roleRef", "roleRef"));
        }

        return causes;
    }

    /// <summary>A top-level field that never changes.</summary>
    public static Func<JsonObject, JsonObject?, IReadOnlyList<StatusCause>> Immutable(string field) => (document, old) =>
        old is null || JsonNode.DeepEquals(document[field], old[field])
            ? []
            : [new StatusCause(CauseReasons.Invalid, $"Invalid value: {JsonScalars.Canonical(document[field])}: field is immutable", field)];
}
