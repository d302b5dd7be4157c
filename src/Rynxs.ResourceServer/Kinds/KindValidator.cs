using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>All rules over a whole object of a kind: metadata, schema, the kind's own rules.</summary>
public static class KindValidator
{
    /// <summary>
    /// Every cause, empty when the object may be stored. The document has its final name and namespace, and was defaulted.
    /// <paramref name="old"/> is the stored document of an update.
    /// </summary>
    public static IReadOnlyList<StatusCause> Validate(ServedKind kind, JsonObject document, JsonObject? old)
    {
        List<StatusCause> causes = [];
        MetadataChecks.Check(kind, document, old, causes);
        SchemaValidator.CheckValues(document, old, kind.Schema, causes, lists: !kind.Strategic);
        if (kind.ExtraValidation?.Invoke(document, old) is { Count: > 0 } extra)
            AddUntold(extra, causes);

        // The kind's own rules and the CEL rules of its schema may say the same: a second sentence about one field helps nobody.
        List<StatusCause> ruled = [];
        SchemaValidator.CheckRules(document, old, kind.Schema, causes, ruled);
        if (kind.ExtraValidation is null)
            causes.AddRange(ruled);
        else
            AddUntold(ruled, causes);
        return causes;
    }

    private static void AddUntold(IReadOnlyList<StatusCause> more, List<StatusCause> causes)
    {
        HashSet<string> told = [.. causes.Select(cause => cause.Field)];
        foreach (StatusCause cause in more)
        {
            if (cause.Field == FieldPaths.Root || !IsTold(cause.Field, told))
                causes.Add(cause);
        }
    }

    private static bool IsTold(string field, HashSet<string> told)
    {
        for (string path = field; path.Length > 0;)
        {
            if (told.Contains(path))
                return true;
            int cut = path.LastIndexOfAny(['.', '[']);
            path = cut < 0 ? "" : path[..cut];
        }

        return false;
    }
}
