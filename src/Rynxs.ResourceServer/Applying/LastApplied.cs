using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Applying;

/// <summary>
/// The annotation in which kubectl's client-side apply keeps what it applied last. When the manager named <c>kubectl</c> applies on the server, what
/// that annotation says and the object still holds is its own already, whoever is written down; and the annotation follows.
/// </summary>
internal static class LastApplied
{
    public const string Manager = "kubectl";
    private const string Annotation = "kubectl.kubernetes.io/last-applied-configuration";

    /// <summary>Bytes that all keys and values of an object's annotations may have together.</summary>
    private const int MaxAnnotationBytes = 256 * 1024;

    /// <summary>The fields that the annotation claims with right; null when there is no usable one.</summary>
    public static FieldSet? Claims(JsonObject live, StructuralSchema schema, string apiVersion)
    {
        if (Text(live) is not { Length: > 0 } text)
            return null;
        try
        {
            JsonNode? parsed = JsonNode.Parse(text, documentOptions: new JsonDocumentOptions { AllowDuplicateProperties = false });
            if (parsed is not JsonObject last || last["apiVersion"] is not JsonValue version || !DocumentValue.IsText(version) || DocumentValue.Text(version) != apiVersion)
                return null;
            TypeRef type = TypeRef.Of(schema);
            TypedValidation.Check(live, type, allowDuplicates: false);
            TypedValidation.Check(last, type, allowDuplicates: false);
            TypedComparison comparison = TypedComparison.Of(last, live, type);
            return TypedFields.Of(last, type).Difference(comparison.Modified).Difference(comparison.Added).Difference(comparison.Removed);
        }
        catch (Exception e) when (e is JsonException or TypedException)
        {
            return null;
        }
    }

    /// <summary>Brings the annotation up to what was applied, where there is one. Mutates <paramref name="document"/>.</summary>
    public static void Follow(JsonObject document, JsonObject applied)
    {
        if (Text(document) is not { Length: > 0 })
            return;
        JsonObject config = applied.DeepClone().AsObject();
        ((config["metadata"] as JsonObject)?["annotations"] as JsonObject)?.Remove(Annotation);
        JsonObject annotations = (JsonObject)document["metadata"]!["annotations"]!; // Text found it there
        annotations[Annotation] = DocumentValue.Canonical(config) + "\n";
        long size = annotations.Sum(pair => (long)Encoding.UTF8.GetByteCount(pair.Key) + (pair.Value is JsonValue value && DocumentValue.IsText(value) ? Encoding.UTF8.GetByteCount(DocumentValue.Text(value)) : 0));
        if (size > MaxAnnotationBytes)
            annotations.Remove(Annotation);
    }

    private static string? Text(JsonObject document) =>
        ((document["metadata"] as JsonObject)?["annotations"] as JsonObject)?[Annotation] is JsonValue value && DocumentValue.IsText(value) ? DocumentValue.Text(value) : null;
}
