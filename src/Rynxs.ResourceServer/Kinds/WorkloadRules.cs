using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>Rules of what makes pods from a template.</summary>
internal static class WorkloadRules
{
    public static IReadOnlyList<StatusCause> Deployment(JsonObject document, JsonObject? old) => Selected(document, old, "deployment");

    public static IReadOnlyList<StatusCause> ReplicaSet(JsonObject document, JsonObject? old) => Selected(document, old, "replica set");

    public static IReadOnlyList<StatusCause> DaemonSet(JsonObject document, JsonObject? old) => Selected(document, old, "daemonset");

    public static IReadOnlyList<StatusCause> StatefulSet(JsonObject document, JsonObject? old)
    {
        List<StatusCause> causes = [.. Selected(document, null, "statefulset")];
        if (old?["spec"] is JsonObject before && document["spec"] is JsonObject spec && !JsonNode.DeepEquals(Frozen(spec), Frozen(before)))
        {
            causes.Add(new StatusCause(CauseReasons.Forbidden,
                "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
                + "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden", "spec"));
        }

        return causes;

        static JsonObject Frozen(JsonObject spec)
        {
            JsonObject copy = (JsonObject)spec.DeepClone();
            foreach (string field in new[] { "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy", "minReadySeconds" })
                copy.Remove(field);
            return copy;
        }
    }

    public static IReadOnlyList<StatusCause> Job(JsonObject document, JsonObject? old)
    {
        List<StatusCause> causes = [];
        if (document["spec"] is not JsonObject spec)
            return causes;
        Template(spec, "spec", causes, "Never", "OnFailure");
        NotNegative(spec, "spec", causes, "parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished", "activeDeadlineSeconds");
        if (old?["spec"] is not JsonObject before)
            return causes;
        foreach (string field in new[] { "selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy" })
            Immutable(spec, before, field, causes);

        // A suspended job may still be changed; a template of one that ran may not.
        if (before["suspend"].Flag() is not true)
            Immutable(spec, before, "template", causes);
        if (spec["completionMode"].Text() != "Indexed")
            Immutable(spec, before, "completions", causes);
        return causes;
    }

    public static IReadOnlyList<StatusCause> CronJob(JsonObject document, JsonObject? old)
    {
        List<StatusCause> causes = [];
        if (document["spec"] is not JsonObject spec)
            return causes;
        if (spec["schedule"].Text() is "")
            causes.Add(new StatusCause(CauseReasons.Required, "Required value", "spec.schedule"));
        if (spec["jobTemplate"]?["spec"] is JsonObject job)
            Template(job, "spec.jobTemplate.spec", causes, "Never", "OnFailure");
        return causes;
    }

    private static List<StatusCause> Selected(JsonObject document, JsonObject? old, string noun)
    {
        List<StatusCause> causes = [];
        if (document["spec"] is not JsonObject spec)
        {
            causes.Add(new StatusCause(CauseReasons.Required, "Required value", "spec.selector"));
            return causes;
        }

        NotNegative(spec, "spec", causes, "replicas", "minReadySeconds", "revisionHistoryLimit");
        JsonObject? selector = spec["selector"] as JsonObject;
        if (selector is not null && BuiltInColumns.Count(selector["matchLabels"]) == 0 && BuiltInColumns.Count(selector["matchExpressions"]) == 0)
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {JsonScalars.Canonical(selector)}: empty selector is invalid for {noun}", "spec.selector"));

        Template(spec, "spec", causes, "Always");
        JsonObject labels = spec["template"]?["metadata"]?["labels"] as JsonObject ?? [];
        if (selector?["matchLabels"] is JsonObject due && due.Any(pair => labels[pair.Key].Text() != pair.Value.Text()))
        {
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {JsonScalars.Canonical(labels)}: `selector` does not match template `labels`",
                "spec.template.metadata.labels"));
        }

        if (old?["spec"] is JsonObject before)
            Immutable(spec, before, "selector", causes);
        return causes;
    }

    private static void Template(JsonObject spec, string path, List<StatusCause> causes, params string[] restartPolicies)
    {
        if (spec["template"] is not JsonObject template)
            return;
        if (template["spec"] is not JsonObject pod)
        {
            causes.Add(new StatusCause(CauseReasons.Required, "Required value", path + ".template.spec.containers"));
            return;
        }

        PodRules.Spec(pod, path + ".template.spec", causes);
        if (pod["restartPolicy"].Text() is { } policy && !restartPolicies.Contains(policy))
        {
            causes.Add(new StatusCause(CauseReasons.NotSupported,
                $"Unsupported value: {JsonScalars.Quote(policy)}: supported values: {string.Join(", ", restartPolicies.Order(StringComparer.Ordinal).Select(JsonScalars.Quote))}",
                path + ".template.spec.restartPolicy"));
        }
    }

    private static void NotNegative(JsonObject spec, string path, List<StatusCause> causes, params ReadOnlySpan<string> fields)
    {
        foreach (string field in fields)
        {
            if (spec[field].TryInteger(out long value) && value < 0)
                causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {value}: must be greater than or equal to 0", $"{path}.{field}"));
        }
    }

    private static void Immutable(JsonObject spec, JsonObject before, string field, List<StatusCause> causes)
    {
        if (!JsonNode.DeepEquals(spec[field], before[field]))
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {JsonScalars.Canonical(spec[field])}: field is immutable", $"spec.{field}"));
    }
}
