using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Objects;

/// <summary>The rules of <c>metadata</c> that hold for every kind, in the words of the real server.</summary>
internal static partial class MetadataRules
{
    private const int MaxAnnotationBytes = 256 * 1024;

    private const string Subdomain =
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

    private const string Label =
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

    private const string NamePart =
        "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

    private const string LabelValue =
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

    /// <summary>Every cause. The document has a metadata object.</summary>
    public static IReadOnlyList<StatusCause> Validate(RegisteredKind kind, JsonObject document)
    {
        List<StatusCause> causes = [];
        JsonObject metadata = (JsonObject)document["metadata"]!; // the pipeline puts one there
        string name = Text(metadata, "name");
        if (name.Length == 0)
        {
            causes.Add(new StatusCause(CauseReasons.Required, "Required value: name or generateName is required", "metadata.name"));
        }
        else
        {
            foreach (string problem in Name(kind, name))
                causes.Add(Invalid("metadata.name", name, problem));
        }

        CheckLabels(metadata["labels"] as JsonObject, causes);
        CheckAnnotations(metadata["annotations"] as JsonObject, causes);
        CheckOwners(metadata["ownerReferences"] as JsonArray, causes);
        CheckFinalizers(metadata["finalizers"] as JsonArray, causes);
        return causes;
    }

    /// <summary>Whether other rules may wait until these are mended, as the real server decides before it runs CEL.</summary>
    public static bool Blocks(IReadOnlyList<StatusCause> causes) => causes.Any(cause => cause.Reason is
        CauseReasons.Required or CauseReasons.NotSupported or CauseReasons.TooLong or CauseReasons.TooMany or CauseReasons.TypeInvalid);

    /// <summary>Problems of a name, by the rule of its kind.</summary>
    private static IEnumerable<string> Name(RegisteredKind kind, string name)
    {
        (string group, string plural) = (kind.Kind.Group, kind.Kind.Plural);
        if (group is "rbac.authorization.k8s.io")
        {
            // Path segments: what a URL cannot carry.
            if (name is "." or "..")
                yield return $"may not be '{name}'";
            foreach (char c in "/%")
            {
                if (name.Contains(c))
                    yield return $"may not contain '{c}'";
            }

            yield break;
        }

        bool label = (group, plural) is ("", "namespaces" or "services");
        int limit = label ? 63 : 253;
        if (name.Length > limit)
            yield return $"must be no more than {limit} characters";
        if (!(label ? LabelText() : SubdomainText()).IsMatch(name))
            yield return label ? Label : Subdomain;
    }

    private static void CheckLabels(JsonObject? labels, List<StatusCause> causes)
    {
        foreach ((string key, JsonNode? value) in (labels ?? []).OrderBy(entry => entry.Key, StringComparer.Ordinal))
        {
            foreach (string problem in QualifiedName(key))
                causes.Add(Invalid("metadata.labels", key, problem));
            string text = (string?)value ?? "";
            if (text.Length > 63)
                causes.Add(Invalid("metadata.labels", text, "must be no more than 63 characters"));
            if (!LabelValueText().IsMatch(text))
                causes.Add(Invalid("metadata.labels", text, LabelValue));
        }
    }

    private static void CheckAnnotations(JsonObject? annotations, List<StatusCause> causes)
    {
        long size = 0;
        foreach ((string key, JsonNode? value) in (annotations ?? []).OrderBy(entry => entry.Key, StringComparer.Ordinal))
        {
            foreach (string problem in QualifiedName(key.ToLowerInvariant()))
                causes.Add(Invalid("metadata.annotations", key, problem));
            size += System.Text.Encoding.UTF8.GetByteCount(key) + System.Text.Encoding.UTF8.GetByteCount((string?)value ?? "");
        }

        if (size > MaxAnnotationBytes)
            causes.Add(new StatusCause(CauseReasons.TooLong, $"Too long: may not be more than {MaxAnnotationBytes} bytes", "metadata.annotations"));
    }

    private static void CheckOwners(JsonArray? owners, List<StatusCause> causes)
    {
        int controllers = 0;
        for (int i = 0; i < (owners?.Count ?? 0); i++)
        {
            if (owners?[i] is not JsonObject owner)
                continue;
            foreach (string field in (ReadOnlySpan<string>)["apiVersion", "kind", "name", "uid"])
            {
                if (Text(owner, field).Length == 0)
                    causes.Add(Invalid($"metadata.ownerReferences.{field}", "", field == "apiVersion" ? "version must not be empty" : "must not be empty"));
            }

            if (owner["controller"] is JsonValue flag && flag.TryGetValue(out bool controls) && controls)
                controllers++;
        }

        if (controllers > 1)
            causes.Add(Invalid("metadata.ownerReferences", "", "Only one reference can have Controller set to true. Found \"true\" in references"));
    }

    private static void CheckFinalizers(JsonArray? finalizers, List<StatusCause> causes)
    {
        bool orphan = false;
        bool foreground = false;
        foreach (JsonNode? node in finalizers ?? [])
        {
            string text = (string?)node ?? "";
            orphan |= text == "orphan";
            foreground |= text == "foregroundDeletion";
            foreach (string problem in QualifiedName(text))
                causes.Add(Invalid("metadata.finalizers", text, problem));
        }

        if (orphan && foreground)
            causes.Add(Invalid("metadata.finalizers", "", "finalizer orphan and foregroundDeletion cannot be both set"));
    }

    private static IEnumerable<string> QualifiedName(string text)
    {
        string name = text;
        string[] parts = text.Split('/');
        if (parts.Length > 2)
        {
            yield return "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            yield break;
        }

        if (parts.Length == 2)
        {
            name = parts[1];
            if (parts[0].Length == 0)
                yield return "prefix part must be non-empty";
            else if (parts[0].Length > 253)
                yield return "prefix part must be no more than 253 characters";
            else if (!SubdomainText().IsMatch(parts[0]))
                yield return "prefix part " + Subdomain;
        }

        if (name.Length == 0)
            yield return "name part must be non-empty";
        else if (name.Length > 63)
            yield return "name part must be no more than 63 characters";
        if (!QualifiedText().IsMatch(name))
            yield return NamePart;
    }

    private static StatusCause Invalid(string field, string value, string problem) =>
        new(CauseReasons.Invalid, $"Invalid value: {ApiErrors.Quote(value)}: {problem}", field);

    private static string Text(JsonObject from, string name) => from[name] is JsonValue value && value.TryGetValue(out string? text) ? text : "";

    [GeneratedRegex(@"\A[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\z", RegexOptions.NonBacktracking)]
    private static partial Regex SubdomainText();

    [GeneratedRegex(@"\A[a-z0-9]([-a-z0-9]*[a-z0-9])?\z", RegexOptions.NonBacktracking)]
    private static partial Regex LabelText();

    [GeneratedRegex(@"\A([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\z", RegexOptions.NonBacktracking)]
    private static partial Regex QualifiedText();

    [GeneratedRegex(@"\A(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\z", RegexOptions.NonBacktracking)]
    private static partial Regex LabelValueText();
}
