using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>From CustomResourceDefinition objects to kinds.</summary>
public static class CustomResourceDefinitions
{
    /// <summary>
    /// Reads a CRD document. On success one <see cref="ServedKind"/> per served version, in the order of the document; else every cause, in the real
    /// server's words. A CRD that breaks no rule of its own may still not get its names: see <see cref="Status"/>.
    /// </summary>
    public static bool TryRead(JsonObject definition, [NotNullWhen(true)] out IReadOnlyList<ServedKind>? kinds, out IReadOnlyList<StatusCause> causes)
    {
        JsonObject complete = (JsonObject)definition.DeepClone();
        Default(complete);
        causes = Validate(complete, null);
        if (causes.Count > 0)
        {
            kinds = null;
            return false;
        }

        // The rules let exactly one version be the one of the storage.
        ServedKind stored = Convert(complete, Versions(complete).First(version => version["storage"].Flag() is true));
        kinds = [.. Versions(complete).Where(version => version["served"].Flag() is true).Select(version => Convert(complete, version))
            .Select(kind => kind.Version == stored.Version ? kind : kind with { StoredAs = stored })];
        return true;
    }

    /// <summary>Mutates: singular, listKind and the conversion strategy, where they are absent.</summary>
    public static void Default(JsonObject definition)
    {
        if (definition["spec"] is not JsonObject spec)
            return;
        if (spec["names"] is JsonObject names && names["kind"].Text() is { Length: > 0 } kind)
        {
            if (names["singular"].Text() is not { Length: > 0 })
                names["singular"] = kind.ToLowerInvariant();
            if (names["listKind"].Text() is not { Length: > 0 })
                names["listKind"] = kind + "List";
        }

        if (spec["conversion"] is null)
            spec["conversion"] = new JsonObject { ["strategy"] = "None" };
        if (definition["status"] is null && StorageVersion(definition) is { } storage)
        {
            definition["status"] = new JsonObject
            {
                ["acceptedNames"] = new JsonObject { ["kind"] = "", ["plural"] = "" },
                ["conditions"] = null,
                ["storedVersions"] = new JsonArray(storage),
            };
        }
    }

    /// <summary>Every cause of a defaulted CRD document; <paramref name="old"/> is the stored one of an update.</summary>
    public static IReadOnlyList<StatusCause> Validate(JsonObject definition, JsonObject? old)
    {
        List<StatusCause> causes = [];
        new DefinitionChecks(causes).Check(definition, old);
        return causes;
    }

    /// <summary>
    /// The status to write: acceptedNames, conditions NamesAccepted and Established, storedVersions (kept and extended by the storage version).
    /// <paramref name="others"/> are kinds already served, whose names in the same group win; leave those of this very CRD out of it.
    /// A CRD of a kind that the server has of its own is accepted only if it brings no version beside the server's: another version would be a way to the
    /// same stored objects without their rules. Established is True only if the names were accepted; only then serve the kinds.
    /// </summary>
    public static JsonObject Status(JsonObject definition, IReadOnlyList<ServedKind> others, DateTimeOffset now)
    {
        JsonObject names = definition["spec"]?["names"] as JsonObject ?? [];
        string group = definition["spec"]?["group"].Text() ?? "";
        string plural = names["plural"].Text() ?? "";
        ServedKind[] same = [.. others.Where(kind => kind.Group == group && kind.Plural == plural)];
        bool bringsNothing = Versions(definition).All(version => same.Any(kind => kind.Version == version["name"].Text() && kind.Kind == names["kind"].Text()));
        ServedKind[] rivals = [.. others.Where(kind => kind.Group == group && (kind.Plural != plural || !bringsNothing))];
        JsonObject accepted = definition["status"]?["acceptedNames"]?.DeepClone() as JsonObject ?? new JsonObject { ["kind"] = "", ["plural"] = "" };
        (string Reason, string Message)? conflict = Conflict(names, rivals);
        if (conflict is null)
            accepted = (JsonObject)names.DeepClone();

        string time = now.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
        JsonArray conditions = [];
        JsonArray? before = definition["status"]?["conditions"] as JsonArray;
        bool established = conflict is null || IsTrue(before, "Established");
        conditions.Add(Condition(before, time, "NamesAccepted", conflict is null, conflict?.Reason ?? "NoConflicts", conflict?.Message ?? "no conflicts found"));
        conditions.Add(established
            ? Condition(before, time, "Established", true, "InitialNamesAccepted", "the initial names have been accepted")
            : Condition(before, time, "Established", false, "NotAccepted", "not all names are accepted"));

        JsonArray stored = definition["status"]?["storedVersions"]?.DeepClone() as JsonArray ?? [];
        if (StorageVersion(definition) is { } storage && !stored.Any(version => version.Text() == storage))
            stored.Add(storage);
        return new JsonObject { ["acceptedNames"] = accepted, ["conditions"] = conditions, ["storedVersions"] = stored };
    }

    internal static IEnumerable<JsonObject> Versions(JsonObject definition) => BuiltInColumns.Items(definition["spec"]?["versions"]);

    private static string? StorageVersion(JsonObject definition) =>
        Versions(definition).FirstOrDefault(version => version["storage"].Flag() is true)?["name"].Text();

    private static ServedKind Convert(JsonObject definition, JsonObject version)
    {
        JsonObject spec = definition["spec"] as JsonObject ?? [];
        JsonObject names = spec["names"] as JsonObject ?? [];
        StructuralSchema schema = version["schema"]?["openAPIV3Schema"] is JsonObject own ? StructuralSchema.FromOpenApi(own) : StructuralSchema.Anything;
        string group = spec["group"].Text() ?? "";
        string name = version["name"].Text() ?? "";
        string kind = names["kind"].Text() ?? "";
        ScalePaths? scale = version["subresources"]?["scale"] is JsonObject paths
            ? new ScalePaths(paths["specReplicasPath"].Text() ?? "", paths["statusReplicasPath"].Text() ?? "", paths["labelSelectorPath"].Text() is { Length: > 0 } selector ? selector : null)
            : null;
        return new ServedKind
        {
            Group = group,
            Version = name,
            Kind = kind,
            ListKind = names["listKind"].Text() ?? "",
            Plural = names["plural"].Text() ?? "",
            Singular = names["singular"].Text() ?? "",
            ShortNames = [.. BuiltInColumns.Texts(names["shortNames"])],
            Categories = [.. BuiltInColumns.Texts(names["categories"])],
            Namespaced = spec["scope"].Text() == "Namespaced",
            HasStatus = version["subresources"]?["status"] is JsonObject,
            HasGeneration = true,
            Scale = scale,
            Schema = ObjectMetaSchema.WithMetadata(schema) with { Definition = DefinitionName(group, name, kind) },
            Columns = [.. BuiltInColumns.Items(version["additionalPrinterColumns"]).Select(Column)],
            SelectableFields = BuiltInColumns.Items(version["selectableFields"]).Select(field => field["jsonPath"].Text() ?? "")
                .ToDictionary(path => path.TrimStart('.'), path => path),
            ExtraValidation = scale is null ? null : (document, _) => ScaleCauses(document, scale),
            DeprecationWarning = version["deprecated"].Flag() is true
                ? version["deprecationWarning"].Text() ?? $"{group}/{name} {kind} is deprecated"
                : null,
        };
    }

    /// <summary>Groups read backwards in definition names: <c>ai.universe.v1alpha1.Agent</c>.</summary>
    private static string DefinitionName(string group, string version, string kind) => $"{string.Join('.', group.Split('.').Reverse())}.{version}.{kind}";

    private static PrinterColumn Column(JsonObject column) => new()
    {
        Name = column["name"].Text() ?? "",
        Type = column["type"].Text() ?? "string",
        Format = column["format"].Text() ?? "",
        Description = column["description"].Text() ?? "",
        Priority = column["priority"].TryInteger(out long priority) ? (int)priority : 0,
        JsonPath = column["jsonPath"].Text() ?? "",
    };

    private static List<StatusCause> ScaleCauses(JsonObject document, ScalePaths scale)
    {
        List<StatusCause> causes = [];
        JsonNode? node = document;
        foreach (string name in scale.SpecReplicas.Split('.', StringSplitOptions.RemoveEmptyEntries))
            node = node is JsonObject map ? map[name] : null;
        if (node is null)
            return causes;
        string field = scale.SpecReplicas;
        if (!node.TryInteger(out long replicas))
        {
            (string text, string type) = node.Text() is { } words ? (words, "string") : (JsonScalars.Canonical(node), node is JsonObject ? "map[string]interface {}" : "float64");
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: 0: {field} accessor error: {text} is of the type {type}, expected int64", field));
        }
        else if (replicas < 0)
        {
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {replicas}: should be a non-negative integer", field));
        }
        else if (replicas > int.MaxValue)
        {
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {replicas}: should be less than or equal to {int.MaxValue}", field));
        }

        return causes;
    }

    private static (string Reason, string Message)? Conflict(JsonObject names, ServedKind[] rivals)
    {
        HashSet<string> resources = [.. rivals.SelectMany(kind => kind.ShortNames.Append(kind.Plural).Append(kind.Singular))];
        HashSet<string> kinds = [.. rivals.SelectMany(kind => new[] { kind.Kind, kind.ListKind })];
        foreach (string field in new[] { "plural", "singular" })
        {
            if (names[field].Text() is { Length: > 0 } name && resources.Contains(name))
                return (Reason(field), $"{JsonScalars.Quote(name)} is already in use");
        }

        foreach (string name in BuiltInColumns.Texts(names["shortNames"]))
        {
            if (resources.Contains(name))
                return ("ShortNamesConflict", $"{JsonScalars.Quote(name)} is already in use");
        }

        foreach (string field in new[] { "kind", "listKind" })
        {
            if (names[field].Text() is { Length: > 0 } name && kinds.Contains(name))
                return (Reason(field), $"{JsonScalars.Quote(name)} is already in use");
        }

        return null;

        static string Reason(string field) => char.ToUpperInvariant(field[0]) + field[1..] + "Conflict";
    }

    private static bool IsTrue(JsonArray? conditions, string type) =>
        BuiltInColumns.Items(conditions).Any(condition => condition["type"].Text() == type && condition["status"].Text() == "True");

    private static JsonObject Condition(JsonArray? before, string now, string type, bool status, string reason, string message)
    {
        string value = status ? "True" : "False";
        string? since = BuiltInColumns.Items(before)
            .FirstOrDefault(condition => condition["type"].Text() == type && condition["status"].Text() == value)?["lastTransitionTime"].Text();
        return new JsonObject
        {
            ["lastTransitionTime"] = since ?? now,
            ["message"] = message,
            ["reason"] = reason,
            ["status"] = value,
            ["type"] = type,
        };
    }
}
