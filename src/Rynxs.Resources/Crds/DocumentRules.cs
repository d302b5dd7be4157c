using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Resources.Client;
using Rynxs.Resources.Manifests;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;
using Rynxs.Resources.Validation;

namespace Rynxs.Resources.Crds;

/// <summary>The C# rules of a kind over JSON documents, for a server that stores documents.</summary>
public static class DocumentRules
{
    private static readonly ManifestLimits Limits = new() { MaxNodes = 1_000_000, MaxDepth = 80 };

    /// <summary>Every error of a document of the kind, and of the change from <paramref name="old"/> when there is one. Unknown fields are no errors here.</summary>
    public static IReadOnlyList<FieldError> Validate(JsonObject document, JsonObject? old, ResourceType type)
    {
        DocumentBinder binder = new(ignoreUnknown: true);
        Resource resource = Read(document, type, binder);
        ResourceValidation.Validate(resource, binder.Add);
        List<FieldError> errors = [.. binder.Errors.Select(error => error.Error)];
        if (old is not null)
            errors.AddRange(ResourceValidation.ValidateTransition(Read(old, type, new DocumentBinder(ignoreUnknown: true)), resource));
        return errors;
    }

    /// <summary>Mutates: fills in the defaults that depend on other fields. A document that does not fit its kind is left alone, for the validator.</summary>
    public static void Default(JsonObject document, ResourceType type)
    {
        DocumentBinder binder = new(ignoreUnknown: true);
        Resource before = Read(document, type, binder);
        if (binder.Errors.Count > 0)
            return;
        Resource after = ResourceValidation.Default(before);
        if (JsonObject.Create(ResourceJson.ToElement(before)) is { } a && JsonObject.Create(ResourceJson.ToElement(after)) is { } b)
            Copy(a, b, document);
    }

    /// <summary>What differs between two states goes into the document; nothing else of it is touched.</summary>
    private static void Copy(JsonObject before, JsonObject after, JsonObject target)
    {
        foreach ((string name, JsonNode? value) in after)
        {
            JsonNode? previous = before[name];
            if (JsonNode.DeepEquals(previous, value))
                continue;
            if (value is JsonObject inner && (target[name] is JsonObject || target[name] is null))
            {
                JsonObject child = target[name] as JsonObject ?? [];
                target[name] ??= child;
                Copy(previous as JsonObject ?? [], inner, child);
            }
            else
            {
                target[name] = value?.DeepClone();
            }
        }
    }

    private static Resource Read(JsonObject document, ResourceType type, DocumentBinder binder)
    {
        ArrayBufferWriter<byte> utf8 = new();
        using (Utf8JsonWriter writer = new(utf8))
            document.WriteTo(writer);
        TextNode node = JsonText.Parse(utf8.WrittenSpan, Limits);
        return ResourceJson.FromComplete(binder.Bind(node, type.ClrType), type);
    }
}
