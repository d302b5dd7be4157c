using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>Validates a document.</summary>
public static class SchemaValidator
{
    /// <summary>More causes than this help nobody and would make the answer large.</summary>
    internal const int MaxCauses = 1_000;

    private static readonly StatusCause Unchecked = new(CauseReasons.Invalid,
        "Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation", FieldPaths.Root);

    /// <summary>
    /// Every cause in the real server's words: values, lists, then CEL rules, which are left out (and that is said) where the values are wrong.
    /// <paramref name="old"/> is the stored document of an update: transition rules run only with it, and what it already got wrong and the update
    /// does not touch is not held against the update.
    /// </summary>
    public static IReadOnlyList<StatusCause> Validate(JsonObject document, JsonObject? old, StructuralSchema schema)
    {
        List<StatusCause> causes = [];
        CheckValues(document, old, schema, causes, lists: true);
        CheckRules(document, old, schema, causes, causes);
        return causes;
    }

    /// <summary>
    /// Values and lists. Built-in kinds say what their lists are for patches and apply alone: the real server takes doubles in most of them, and
    /// their own rules tell where not.
    /// </summary>
    internal static void CheckValues(JsonObject document, JsonObject? old, StructuralSchema schema, List<StatusCause> causes, bool lists)
    {
        new ValueChecks(causes).Check(document, old, schema, "");
        if (lists)
            ListChecks.Check(document, old, schema, "", causes);
        Trim(causes);
    }

    /// <summary>CEL rules, unless <paramref name="earlier"/> causes say that they cannot be trusted to the values.</summary>
    internal static void CheckRules(JsonObject document, JsonObject? old, StructuralSchema schema, List<StatusCause> earlier, List<StatusCause> causes)
    {
        if (!Expressions.RuleChecks.HasRules(schema))
            return;
        if (earlier.Any(IsBlocking))
            causes.Add(Unchecked);
        else
            Expressions.RuleChecks.Check(document, old, schema, causes);
        Trim(causes);
    }

    private static void Trim(List<StatusCause> causes)
    {
        if (causes.Count > MaxCauses)
            causes.RemoveRange(MaxCauses, causes.Count - MaxCauses);
    }

    private static bool IsBlocking(StatusCause cause) => cause.Reason
        is CauseReasons.NotSupported or CauseReasons.Required or CauseReasons.TooLong or CauseReasons.TooMany or CauseReasons.TypeInvalid;

    /// <summary>The node's counterpart in the stored document; items of lists have one only where keys tell which it is.</summary>
    internal static JsonNode? Counterpart(JsonNode? old, string name) => old is JsonObject map && map.TryGetPropertyValue(name, out JsonNode? value) ? value : null;

    /// <summary>Items of the stored list by their keys; null where the list's items have no identity.</summary>
    internal static Dictionary<string, JsonNode?>? ItemsByKey(JsonNode? old, StructuralSchema schema)
    {
        if (old is not JsonArray list || schema.ListType != ListType.Map || schema.Items is not { } items)
            return null;
        Dictionary<string, JsonNode?> result = new(StringComparer.Ordinal);
        foreach (JsonNode? item in list)
        {
            if (item is JsonObject entry)
                result.TryAdd(ListChecks.KeyOf(entry, schema.ListMapKeys, items), entry);
        }

        return result;
    }
}
