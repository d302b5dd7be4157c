using System.Diagnostics;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Rynxs.Resources.Client;
using Rynxs.Resources.Manifests;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Serialization;

/// <summary>
/// Resources as JSON, the form of the wire and of the store: camelCase, times in RFC 3339, absent instead of null, every default written out.
/// </summary>
public static class ResourceJson
{
    /// <summary>Objects of our own store may be larger than one manifest: their bound was checked when they were written.</summary>
    private static readonly ManifestLimits StoredLimits = new() { MaxNodes = 1_000_000, MaxDepth = 80 };

    /// <summary>Answers are application/json and never HTML, so only JSON's own characters are escaped.</summary>
    private static readonly JsonWriterOptions WriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly JsonWriterOptions IndentedOptions =
        new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, Indented = true, NewLine = "\n" };

    /// <summary>UTF-8 JSON of an object, on one line unless <paramref name="indented"/>.</summary>
    public static byte[] Serialize(Resource resource, bool indented = false)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream, indented ? IndentedOptions : WriterOptions))
            JsonSerializer.Serialize(writer, resource, TypeInfo(resource.GetType()));
        return stream.ToArray();
    }

    /// <summary>JSON of an object as an element.</summary>
    public static JsonElement ToElement(Resource resource) => JsonSerializer.SerializeToElement(resource, TypeInfo(resource.GetType()));

    /// <summary>
    /// Reads an object that a server of ours wrote. Fields of newer versions are skipped, absent ones take their defaults; nothing is validated.
    /// For anything a person wrote use <see cref="ManifestReader"/>.
    /// </summary>
    /// <exception cref="ResourceException"><c>BadRequest</c>: not JSON, or not of this kind.</exception>
    public static T Deserialize<T>(ReadOnlySpan<byte> utf8)
        where T : Resource => (T)Deserialize(utf8, ResourceTypes.Of<T>());

    /// <inheritdoc cref="Deserialize{T}(ReadOnlySpan{byte})"/>
    public static T Deserialize<T>(JsonElement element)
        where T : Resource => Deserialize<T>(JsonSerializer.SerializeToUtf8Bytes(element, ElementInfo));

    /// <inheritdoc cref="Deserialize{T}(ReadOnlySpan{byte})"/>
    public static Resource Deserialize(ReadOnlySpan<byte> utf8, ResourceType type)
    {
        TextNode node;
        try
        {
            node = JsonText.Parse(utf8, StoredLimits);
        }
        catch (TextSyntaxException e)
        {
            throw new ResourceException(ResourceErrorReason.BadRequest, $"line {e.Line}, column {e.Column}: {e.Error.Message}", [e.Error]);
        }

        string kind = node.Find("kind") is { Kind: TextNodeKind.String } text ? text.Text : "";
        if (kind != type.Kind)
            throw new ResourceException(ResourceErrorReason.BadRequest, $"a {type.Kind} is due, kind is {BadValue.Quote(kind)}");

        DocumentBinder binder = new(ignoreUnknown: true);
        byte[] complete = binder.Bind(node, type.ClrType);
        if (binder.Errors.Count > 0)
        {
            FieldError[] errors = [.. binder.Errors.Select(error => error.Error)];
            throw new ResourceException(ResourceErrorReason.BadRequest, $"not a {type.Kind}: {errors[0].Field}: {errors[0].Message}", errors);
        }

        return FromComplete(complete, type);
    }

    /// <summary>Reads what <see cref="DocumentBinder"/> completed.</summary>
    internal static Resource FromComplete(byte[] complete, ResourceType type) =>
        (Resource?)JsonSerializer.Deserialize(complete, TypeInfo(type.ClrType)) ?? throw new UnreachableException("the binder writes an object");

    private static JsonTypeInfo TypeInfo(Type type) =>
        ResourceJsonContext.Default.GetTypeInfo(type) ?? throw new ArgumentException($"{type.Name} is not a resource kind", nameof(type));

    private static JsonTypeInfo<JsonElement> ElementInfo => ResourceJsonContext.Default.JsonElement;
}
