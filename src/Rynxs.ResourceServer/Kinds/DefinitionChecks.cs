using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>Rules of a CustomResourceDefinition object, but for its schemas.</summary>
internal sealed partial class DefinitionChecks(List<StatusCause> causes)
{
    private const int MaxVersions = 100;
    private const int MaxSelectableFields = 8;
    private static readonly string[] ColumnTypes = ["boolean", "date", "integer", "number", "string"];

    public void Check(JsonObject definition, JsonObject? old)
    {
        if (definition["spec"] is not JsonObject spec)
        {
            Required("spec");
            return;
        }

        JsonObject names = spec["names"] as JsonObject ?? [];
        string group = spec["group"].Text() ?? "";
        string plural = names["plural"].Text() ?? "";
        if (definition["metadata"]?["name"].Text() is { } name && name != $"{plural}.{group}")
            Invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group");
        CheckGroup(definition, group);
        OneOf("spec.scope", spec["scope"].Text() ?? "", "Cluster", "Namespaced");
        CheckNames(names);
        CheckConversion(spec["conversion"] as JsonObject);
        if (spec["preserveUnknownFields"].Flag() is true)
        {
            causes.Add(new StatusCause(CauseReasons.Invalid,
                "Invalid value: true: must be false in order to use defaults in the schema", "spec.preserveUnknownFields"));
        }

        JsonObject[] versions = [.. CustomResourceDefinitions.Versions(definition)];
        CheckVersions(versions, definition);
        if (old is not null && definition["status"]?["storedVersions"] is JsonArray stored)
        {
            for (int i = 0; i < stored.Count; i++)
            {
                if (stored[i].Text() is { } version && !versions.Any(candidate => candidate["name"].Text() == version))
                    causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {JsonScalars.Quote(version)}: missing from spec.versions; {version} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {version} and removes {version} from status.storedVersions", FieldPaths.Index("status.storedVersions", i)));
            }
        }

        if (old?["spec"] is JsonObject before)
        {
            Immutable("spec.group", spec["group"], before["group"]);
            Immutable("spec.scope", spec["scope"], before["scope"]);
            Immutable("spec.names.kind", names["kind"], before["names"]?["kind"]);
            Immutable("spec.names.plural", names["plural"], before["names"]?["plural"]);
        }
    }

    private void CheckGroup(JsonObject definition, string group)
    {
        if (group.Length == 0)
        {
            Required("spec.group");
            return;
        }

        MetadataChecks.Names(causes, "spec.group", group, KubernetesNames.SubdomainProblems(group));
        if (!group.Contains('.'))
            Invalid("spec.group", group, "should be a domain with at least one dot");
        if ((group.EndsWith(".k8s.io", StringComparison.Ordinal) || group.EndsWith(".kubernetes.io", StringComparison.Ordinal) || group is "k8s.io" or "kubernetes.io")
            && definition["metadata"]?["annotations"]?["api-approved.kubernetes.io"].Text() is not { Length: > 0 })
        {
            causes.Add(new StatusCause(CauseReasons.Required,
                "Required value: protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111",
                "metadata.annotations[api-approved.kubernetes.io]"));
        }
    }

    private void CheckNames(JsonObject names)
    {
        foreach (string field in new[] { "plural", "singular" })
        {
            if (names[field].Text() is not { Length: > 0 } text)
                Required($"spec.names.{field}");
            else
                MetadataChecks.Names(causes, $"spec.names.{field}", text, KubernetesNames.Dns1035Problems(text));
        }

        foreach (string field in new[] { "kind", "listKind" })
        {
            if (names[field].Text() is not { Length: > 0 } text)
            {
                Required($"spec.names.{field}");
                continue;
            }

            foreach (string problem in KubernetesNames.Dns1035Problems(text.ToLowerInvariant()))
                Invalid($"spec.names.{field}", text, $"may have mixed case, but should otherwise match: {problem}");
        }

        if (names["kind"].Text() is { Length: > 0 } kind && names["listKind"].Text() == kind)
            Invalid("spec.names.listKind", kind, "kind and listKind may not be the same");
        CheckList("shortNames");
        CheckList("categories");

        void CheckList(string field)
        {
            int i = 0;
            foreach (string text in BuiltInColumns.Texts(names[field]))
                MetadataChecks.Names(causes, FieldPaths.Index($"spec.names.{field}", i++), text, KubernetesNames.Dns1035Problems(text));
        }
    }

    /// <summary>Webhooks are a feature that this server does not have: a CRD that needs one would be served wrongly.</summary>
    private void CheckConversion(JsonObject? conversion)
    {
        if (conversion?["strategy"].Text() is "Webhook")
        {
            causes.Add(new StatusCause(CauseReasons.NotSupported,
                "Unsupported value: \"Webhook\": this server converts by strategy None alone; supported values: \"None\"", "spec.conversion.strategy"));
        }
        else
        {
            OneOf("spec.conversion.strategy", conversion?["strategy"].Text() ?? "", "None", "Webhook");
        }

        if (conversion?["webhook"] is JsonObject && conversion["strategy"].Text() is "None")
            causes.Add(new StatusCause(CauseReasons.Forbidden, "Forbidden: should not be set when strategy is not set to Webhook", "spec.conversion.webhook"));
    }

    private void CheckVersions(JsonObject[] versions, JsonObject definition)
    {
        if (versions.Length > MaxVersions)
        {
            causes.Add(new StatusCause(CauseReasons.TooMany, $"Too many: {versions.Length}: must have at most {MaxVersions} items", "spec.versions"));
            return;
        }

        string list = JsonScalars.Canonical(new JsonArray([.. versions.Select(version => version["name"]?.DeepClone())]));
        if (versions.Select(version => version["name"].Text()).Distinct().Count() != versions.Length)
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {list}: must contain unique version names", "spec.versions"));
        if (versions.Count(version => version["storage"].Flag() is true) != 1)
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {list}: must have exactly one version marked as storage version", "spec.versions"));

        // Where all versions have one schema, the real server speaks of it as spec.validation, its place in the type that it validates.
        string[] schemas = [.. versions.Select(version => JsonScalars.Canonical(version["schema"]))];
        bool one = schemas.Distinct().Count() == 1;
        StructuralRules rules = new(causes);
        for (int i = 0; i < versions.Length; i++)
        {
            string at = FieldPaths.Index("spec.versions", i);
            string name = versions[i]["name"].Text() ?? "";
            MetadataChecks.Names(causes, at + ".name", name, KubernetesNames.Dns1035Problems(name));

            // The real server speaks of what a single version says as if the spec said it.
            string place = versions.Length == 1 ? "spec" : at;
            CheckColumns(versions[i], place);
            CheckScale(versions[i], place);
            if (versions[i]["schema"]?["openAPIV3Schema"] is not JsonObject schema)
            {
                causes.Add(new StatusCause(CauseReasons.Required, "Required value", at + ".schema.openAPIV3Schema"));
                continue;
            }

            CheckSelectable(versions[i], schema, place);
            if (!one || i == 0)
                rules.CheckRoot(schema, one ? "spec.validation.openAPIV3Schema" : at + ".schema.openAPIV3Schema");
        }
    }

    private void CheckColumns(JsonObject version, string at)
    {
        int i = 0;
        foreach (JsonObject column in BuiltInColumns.Items(version["additionalPrinterColumns"]))
        {
            string path = FieldPaths.Index(at + ".additionalPrinterColumns", i++);
            if (column["name"].Text() is not { Length: > 0 })
                Required(path + ".name");
            if (column["type"].Text() is not { Length: > 0 } type)
                causes.Add(new StatusCause(CauseReasons.Required, "Required value: must be one of boolean,date,integer,number,string", path + ".type"));
            else if (!ColumnTypes.Contains(type))
                Invalid(path + ".type", type, "must be one of boolean,date,integer,number,string");
            if (column["jsonPath"].Text() is not { Length: > 0 } json)
                Required(path + ".JSONPath");
            else if (!json.StartsWith('.'))
                Invalid(path + ".JSONPath", json, "must be a simple json path starting with .");
        }
    }

    private void CheckScale(JsonObject version, string at)
    {
        if (version["subresources"]?["scale"] is not JsonObject scale)
            return;
        Path("specReplicasPath", ".spec.", required: true);
        Path("statusReplicasPath", ".status.", required: true);
        Path("labelSelectorPath", "", required: false);

        void Path(string field, string prefix, bool required)
        {
            string path = $"{at}.subresources.scale.{field}";
            string text = scale[field].Text() ?? "";
            if (text.Length == 0)
            {
                if (required)
                    Required(path);
            }
            else if (!SimplePath().IsMatch(text) || !text.StartsWith(prefix, StringComparison.Ordinal) || prefix.Length == 0 && !text.StartsWith(".spec.", StringComparison.Ordinal) && !text.StartsWith(".status.", StringComparison.Ordinal))
            {
                Invalid(path, text, prefix.Length == 0 ? "should be a json path under either .spec or .status" : $"should be a json path under {prefix[..^1]}");
            }
        }
    }

    private void CheckSelectable(JsonObject version, JsonObject schema, string at)
    {
        HashSet<string> seen = [];
        JsonObject[] fields = [.. BuiltInColumns.Items(version["selectableFields"])];
        if (fields.Length > MaxSelectableFields)
            causes.Add(new StatusCause(CauseReasons.TooMany, $"Too many: {fields.Length}: must have at most {MaxSelectableFields} items", at + ".selectableFields"));
        for (int i = 0; i < fields.Length; i++)
        {
            string path = FieldPaths.Index(at + ".selectableFields", i) + ".jsonPath";
            string text = fields[i]["jsonPath"].Text() ?? "";
            if (text.Length == 0)
            {
                Required(path);
                continue;
            }

            if (!seen.Add(text))
                causes.Add(new StatusCause(CauseReasons.Duplicate, $"Duplicate value: {JsonScalars.Quote(text)}", path));
            JsonNode? node = schema;
            foreach (string name in text.Split('.', StringSplitOptions.RemoveEmptyEntries))
                node = node is JsonObject place && place["properties"] is JsonObject properties ? properties[name] : null;
            if (!SimplePath().IsMatch(text) || node is not JsonObject found)
                Invalid(path, text, "is an invalid path: does not refer to a valid field");
            else if (found["type"].Text() is not ("string" or "boolean" or "integer"))
                Invalid(path, text, "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.");
            else if (text.StartsWith(".metadata.", StringComparison.Ordinal))
                Invalid(path, text, "must not point to fields in metadata");
        }
    }

    private void Immutable(string field, JsonNode? value, JsonNode? before)
    {
        if (!JsonNode.DeepEquals(value, before))
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {JsonScalars.Canonical(value)}: field is immutable", field));
    }

    private void OneOf(string field, string value, params string[] allowed)
    {
        if (value.Length == 0)
            Required(field);
        else if (!allowed.Contains(value))
            causes.Add(new StatusCause(CauseReasons.NotSupported, $"Unsupported value: {JsonScalars.Quote(value)}: supported values: {string.Join(", ", allowed.Select(JsonScalars.Quote))}", field));
    }

    private void Required(string field) => causes.Add(new StatusCause(CauseReasons.Required, "Required value", field));

    private void Invalid(string field, string value, string problem) => causes.Add(MetadataChecks.Invalid(field, value, problem));

    [GeneratedRegex(@"\A(\.[A-Za-z_][A-Za-z0-9_-]*)+\z")]
    private static partial Regex SimplePath();
}
