using System.Text;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>Rules of <c>metadata</c> that hold for every kind.</summary>
internal static class MetadataChecks
{
    private const int MaxAnnotationBytes = 256 * 1024;

    public static void Check(ServedKind kind, JsonObject document, JsonObject? old, List<StatusCause> causes)
    {
        if (document["metadata"] is not JsonObject metadata)
        {
            causes.Add(new StatusCause(CauseReasons.Required, "Required value: name or generateName is required", "metadata.name"));
            return;
        }

        if (metadata["name"].Text() is not { Length: > 0 } name)
            causes.Add(new StatusCause(CauseReasons.Required, "Required value: name or generateName is required", "metadata.name"));
        else
            Names(causes, "metadata.name", name, kind.NameProblems(name));

        string @namespace = metadata["namespace"].Text() ?? "";
        if (kind.Namespaced && @namespace.Length == 0)
            causes.Add(new StatusCause(CauseReasons.Required, "Required value", "metadata.namespace"));
        else if (kind.Namespaced)
            Names(causes, "metadata.namespace", @namespace, KubernetesNames.LabelProblems(@namespace));
        else if (@namespace.Length > 0)
            causes.Add(new StatusCause(CauseReasons.Forbidden, "Forbidden: not allowed on this type", "metadata.namespace"));

        CheckLabels(metadata["labels"], causes);
        CheckAnnotations(metadata["annotations"], causes);
        CheckOwners(metadata["ownerReferences"], causes);
        CheckFinalizers(metadata["finalizers"], causes);
        if (old?["metadata"] is JsonObject before)
            CheckUpdate(metadata, before, causes);
    }

    public static void Names(List<StatusCause> causes, string field, string value, IEnumerable<string> problems)
    {
        foreach (string problem in problems)
            causes.Add(Invalid(field, value, problem));
    }

    private static void CheckLabels(JsonNode? labels, List<StatusCause> causes)
    {
        if (labels is not JsonObject map)
            return;
        foreach ((string key, JsonNode? value) in map)
        {
            Names(causes, "metadata.labels", key, KubernetesNames.QualifiedNameProblems(key));
            if (value.Text() is { } text)
                Names(causes, "metadata.labels", text, KubernetesNames.LabelValueProblems(text));
        }
    }

    private static void CheckAnnotations(JsonNode? annotations, List<StatusCause> causes)
    {
        if (annotations is not JsonObject map)
            return;
        long bytes = 0;
        foreach ((string key, JsonNode? value) in map)
        {
            // Annotations differ from labels: their keys may be in upper case.
            Names(causes, "metadata.annotations", key, KubernetesNames.QualifiedNameProblems(key.ToLowerInvariant()));
            bytes += Encoding.UTF8.GetByteCount(key) + Encoding.UTF8.GetByteCount(value.Text() ?? "");
        }

        if (bytes > MaxAnnotationBytes)
            causes.Add(new StatusCause(CauseReasons.TooLong, $"Too long: may not be more than {MaxAnnotationBytes} bytes", "metadata.annotations"));
    }

    private static void CheckOwners(JsonNode? owners, List<StatusCause> causes)
    {
        if (owners is not JsonArray list)
            return;
        string? controller = null;
        for (int i = 0; i < list.Count; i++)
        {
            if (list[i] is not JsonObject owner)
                continue;
            string path = FieldPaths.Index("metadata.ownerReferences", i);
            if (owner["apiVersion"].Text() is { } version && (version.Length == 0 || version.EndsWith('/')))
                causes.Add(Invalid(path + ".apiVersion", version, "version must not be empty"));
            foreach (string field in new[] { "kind", "name", "uid" })
            {
                if (owner[field].Text() is "")
                    causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: \"\": {field} must not be empty", $"{path}.{field}"));
            }

            if (owner["controller"].Flag() is not true)
                continue;
            string owning = $"{owner["kind"].Text()}/{owner["name"].Text()}";
            if (controller is not null)
            {
                causes.Add(new StatusCause(CauseReasons.Invalid,
                    $"Invalid value: {JsonScalars.Canonical(list)}: Only one reference can have Controller set to true. Found \"true\" in references for {controller} and {owning}",
                    "metadata.ownerReferences"));
            }

            controller = owning;
        }
    }

    private static void CheckFinalizers(JsonNode? finalizers, List<StatusCause> causes)
    {
        if (finalizers is not JsonArray list)
            return;
        foreach (JsonNode? item in list)
        {
            if (item.Text() is not { } name)
                continue;
            int before = causes.Count;
            Names(causes, "metadata.finalizers", name, KubernetesNames.QualifiedNameProblems(name));
            if (causes.Count == before && !name.Contains('/') && name is not ("orphan" or "foregroundDeletion" or "kubernetes"))
                causes.Add(Invalid("metadata.finalizers", name, "name is neither a standard finalizer name nor is it fully qualified"));
        }
    }

    private static void CheckUpdate(JsonObject metadata, JsonObject before, List<StatusCause> causes)
    {
        foreach (string field in new[] { "name", "namespace", "uid", "creationTimestamp" })
        {
            if (metadata[field].Text() is { Length: > 0 } value && before[field].Text() is { Length: > 0 } stored && value != stored)
                causes.Add(Invalid($"metadata.{field}", value, "field is immutable"));
        }

        if (before["deletionTimestamp"] is null || metadata["finalizers"] is not JsonArray finalizers)
            return;
        HashSet<string?> known = [.. (before["finalizers"] as JsonArray ?? []).Select(item => item.Text())];
        string[] added = [.. finalizers.Select(item => item.Text()).OfType<string>().Where(name => !known.Contains(name))];
        if (added.Length > 0)
        {
            causes.Add(new StatusCause(CauseReasons.Forbidden,
                "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{" + string.Join(", ", added.Select(JsonScalars.Quote)) + "}",
                "metadata.finalizers"));
        }
    }

    public static StatusCause Invalid(string field, string value, string problem) =>
        new(CauseReasons.Invalid, $"Invalid value: {JsonScalars.Quote(value)}: {problem}", field);
}
