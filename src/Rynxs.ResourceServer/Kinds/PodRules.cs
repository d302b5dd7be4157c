using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>Rules of pods and pod templates: the essential ones, not all that the real server has.</summary>
internal static class PodRules
{
    private static readonly string[] Lists = ["initContainers", "containers", "ephemeralContainers"];

    public static IReadOnlyList<StatusCause> Pod(JsonObject document, JsonObject? old)
    {
        List<StatusCause> causes = [];
        if (document["spec"] is not JsonObject spec)
        {
            causes.Add(new StatusCause(CauseReasons.Required, "Required value", "spec.containers"));
            return causes;
        }

        Spec(spec, "spec", causes);
        if (old?["spec"] is JsonObject before && !JsonNode.DeepEquals(Frozen(spec), Frozen(before)))
        {
            causes.Add(new StatusCause(CauseReasons.Forbidden,
                "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
                + "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)", "spec"));
        }

        return causes;
    }

    public static void Spec(JsonObject spec, string path, List<StatusCause> causes)
    {
        HashSet<string> volumes = Names(spec["volumes"], path + ".volumes", causes);
        if (spec["containers"] is not JsonArray { Count: > 0 })
            causes.Add(new StatusCause(CauseReasons.Required, "Required value", path + ".containers"));

        HashSet<string> containers = [];
        foreach (string list in Lists)
        {
            int i = 0;
            foreach (JsonObject container in BuiltInColumns.Items(spec[list]))
            {
                string at = FieldPaths.Index($"{path}.{list}", i++);
                string name = container["name"].Text() ?? "";
                MetadataChecks.Names(causes, at + ".name", name, name.Length == 0 ? [] : KubernetesNames.LabelProblems(name));
                if (name.Length == 0)
                    causes.Add(new StatusCause(CauseReasons.Required, "Required value", at + ".name"));
                else if (!containers.Add(name))
                    causes.Add(new StatusCause(CauseReasons.Duplicate, $"Duplicate value: {JsonScalars.Quote(name)}", at + ".name"));
                if (container["image"].Text() is not { Length: > 0 })
                    causes.Add(new StatusCause(CauseReasons.Required, "Required value", at + ".image"));
                Mounts(container, at, volumes, causes);
            }
        }
    }

    private static HashSet<string> Names(JsonNode? list, string path, List<StatusCause> causes)
    {
        HashSet<string> names = [];
        int i = 0;
        foreach (JsonObject item in BuiltInColumns.Items(list))
        {
            string at = FieldPaths.Index(path, i++) + ".name";
            string name = item["name"].Text() ?? "";
            MetadataChecks.Names(causes, at, name, name.Length == 0 ? [] : KubernetesNames.LabelProblems(name));
            if (name.Length == 0)
                causes.Add(new StatusCause(CauseReasons.Required, "Required value", at));
            else if (!names.Add(name))
                causes.Add(new StatusCause(CauseReasons.Duplicate, $"Duplicate value: {JsonScalars.Quote(name)}", at));
        }

        return names;
    }

    private static void Mounts(JsonObject container, string path, HashSet<string> volumes, List<StatusCause> causes)
    {
        HashSet<string> places = [];
        int i = 0;
        foreach (JsonObject mount in BuiltInColumns.Items(container["volumeMounts"]))
        {
            string at = FieldPaths.Index(path + ".volumeMounts", i++);
            if (mount["name"].Text() is { } name && !volumes.Contains(name))
                causes.Add(new StatusCause(CauseReasons.NotFound, $"Not found: {JsonScalars.Quote(name)}", at + ".name"));
            if (mount["mountPath"].Text() is { } place && !places.Add(place))
                causes.Add(MetadataChecks.Invalid(at + ".mountPath", place, "must be unique"));
        }
    }

    /// <summary>What may not change once a pod is stored; scheduling fields may be set once.</summary>
    private static JsonObject Frozen(JsonObject spec)
    {
        JsonObject copy = (JsonObject)spec.DeepClone();
        foreach (string field in new[] { "activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "nodeName", "nodeSelector", "schedulingGates", "ephemeralContainers" })
            copy.Remove(field);
        foreach (string list in new[] { "containers", "initContainers" })
        {
            foreach (JsonObject container in BuiltInColumns.Items(copy[list]))
            {
                container.Remove("image");
                container.Remove("resources");
            }
        }

        return copy;
    }
}
