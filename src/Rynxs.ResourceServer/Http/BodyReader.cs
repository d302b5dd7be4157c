using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;
using Rynxs.ResourceServer.Objects;
using Rynxs.Resources.Manifests;

namespace Rynxs.ResourceServer.Http;

/// <summary>A parsed body.</summary>
/// <param name="Document">What it holds.</param>
/// <param name="Duplicates">Paths of fields that were given twice; the last counted.</param>
internal sealed record BodyDocument(JsonNode Document, IReadOnlyList<string> Duplicates);

/// <summary>Reads request bodies: bounded, JSON or YAML, untrusted.</summary>
internal static class BodyReader
{
    private const int MaxDepth = 256;

    /// <summary>The media type of the body, lower case, without parameters.</summary>
    public static string MediaTypeOf(HttpRequest request) =>
        MediaTypeHeaderValue.TryParse(request.ContentType, out MediaTypeHeaderValue? header) ? header.MediaType.ToString().ToLowerInvariant() : "";

    /// <exception cref="ApiException">413; 415 for a compressed body.</exception>
    public static async Task<byte[]> ReadAsync(HttpRequest request, int maxBytes, CancellationToken cancellationToken)
    {
        // Nothing is unpacked, so that no small body becomes a large one. The real server does not look at this header and finds the bytes to be no JSON.
        if (request.Headers.ContentEncoding.ToString() is { Length: > 0 } encoding && !encoding.Equals("identity", StringComparison.OrdinalIgnoreCase))
            throw ApiErrors.Plain(415, "UnsupportedMediaType", "the body of the request has a Content-Encoding, and this server takes none");
        if (request.ContentLength > maxBytes)
            throw TooLarge(maxBytes);
        using MemoryStream body = new();
        byte[] buffer = new byte[16 * 1024];
        int read;
        while ((read = await request.Body.ReadAsync(buffer, cancellationToken)) > 0)
        {
            if (body.Length + read > maxBytes)
                throw TooLarge(maxBytes);
            body.Write(buffer, 0, read);
        }

        return body.ToArray();
    }

    /// <summary>An object of a kind.</summary>
    /// <exception cref="ApiException">400, in the words of the real server; 415.</exception>
    public static (JsonObject Document, IReadOnlyList<string> Duplicates) ReadObject(byte[] body, string mediaType, RegisteredKind kind)
    {
        BodyDocument read = mediaType switch
        {
            "application/json" or "" => Parse(body, why => $"the object provided is unrecognized (must be of type {kind.Kind.Kind}): couldn't get version/kind; json parse error: {why} ({Summary(body)})"),
            "application/yaml" => ParseYaml(body, why => $"the object provided is unrecognized (must be of type {kind.Kind.Kind}): {why} ({Summary(body)})"),
            _ => throw Unsupported(),
        };
        if (read.Document is not JsonObject document)
            throw ApiErrors.BadRequest($"the object provided is unrecognized (must be of type {kind.Kind.Kind}): an object is due ({Summary(body)})");
        CheckKind(document, kind);
        return (document, read.Duplicates);
    }

    /// <summary>apiVersion and kind of the document are those of the request; absent ones become it.</summary>
    public static void CheckKind(JsonObject document, RegisteredKind kind)
    {
        string version = ObjectPipeline.Text(document, "apiVersion");
        string name = ObjectPipeline.Text(document, "kind");
        if (version.Length > 0 && version != kind.Kind.ApiVersion)
            throw ApiErrors.BadRequest($"the API version in the data ({version}) does not match the expected API version ({kind.Kind.ApiVersion})");
        if (name.Length > 0 && name != kind.Kind.Kind)
            throw ApiErrors.BadRequest($"{name} in version {ApiErrors.Quote(kind.Kind.Version)} cannot be handled as a {kind.Kind.Kind}: the kind of the object must be {kind.Kind.Kind}");
        document["apiVersion"] = kind.Kind.ApiVersion;
        document["kind"] = kind.Kind.Kind;
        if (document["metadata"] is not (null or JsonObject))
            throw ApiErrors.BadRequest($"{kind.Kind.Kind} in version {ApiErrors.Quote(kind.Kind.Version)} cannot be handled as a {kind.Kind.Kind}: metadata must be an object");
        ObjectPipeline.Metadata(document);
    }

    /// <param name="body">UTF-8 text.</param>
    /// <param name="refusal">The message of a refusal, from what is wrong.</param>
    /// <exception cref="ApiException">400.</exception>
    public static BodyDocument Parse(byte[] body, Func<string, string> refusal)
    {
        // Texts are read where they are needed, which may be when the document is written: what is none is refused here.
        if (!System.Text.Unicode.Utf8.IsValid(body))
            throw ApiErrors.BadRequest(refusal("invalid UTF-8"));
        Utf8JsonReader reader = new(body, new JsonReaderOptions { MaxDepth = MaxDepth });
        try
        {
            List<string> duplicates = DuplicateFields.Find(ref reader);
            byte[] unique = duplicates.Count == 0 ? body : DuplicateFields.Remove(body, MaxDepth);
            JsonNode document = JsonNode.Parse(unique, documentOptions: new JsonDocumentOptions { MaxDepth = MaxDepth }) ?? throw ApiErrors.BadRequest(refusal("a value is due"));
            return new BodyDocument(document, duplicates);
        }
        catch (JsonException)
        {
            throw ApiErrors.BadRequest(refusal(GoWords(body, reader.BytesConsumed)));
        }
        catch (InvalidOperationException)
        {
            throw ApiErrors.BadRequest(refusal("an escape stands for half a surrogate pair"));
        }
    }

    /// <inheritdoc cref="Parse"/>
    public static BodyDocument ParseYaml(byte[] body, Func<string, string> refusal)
    {
        try
        {
            // The reader of manifests: anchors, tags, duplicate keys and ambiguous numbers are refused whatever fieldValidation says.
            return new BodyDocument(ManifestDocuments.ReadOne(body, new ManifestLimits()), []);
        }
        catch (FormatException e)
        {
            throw ApiErrors.BadRequest(refusal(e.Message));
        }
    }

    /// <summary>Neither JSON nor YAML nor protobuf, which was made JSON before anyone looked.</summary>
    public static ApiException Unsupported() => Unsupported("application/json", "application/yaml", Protobuf.ProtobufDocument.MediaType);

    public static ApiException Unsupported(params string[] accepted) =>
        ApiErrors.Plain(415, "UnsupportedMediaType", $"the body of the request was in an unknown format - accepted media types include: {string.Join(", ", accepted)}");

    private static ApiException TooLarge(int maxBytes) =>
        ApiErrors.Plain(413, "RequestEntityTooLarge", $"Request entity too large: limit is {maxBytes}");

    /// <summary>The most frequent complaints of Go's parser in its words.</summary>
    private static string GoWords(byte[] body, long at)
    {
        int index = (int)Math.Min(at, body.Length);
        while (index < body.Length && body[index] is (byte)' ' or (byte)'\t' or (byte)'\r' or (byte)'\n')
            index++;
        return index >= body.Length ? "unexpected end of JSON input" : $"invalid character {Quoted(body[index])} looking for beginning of value";

        static string Quoted(byte c) => c is >= 0x20 and < 0x7f ? $"'{(char)c}'" : $"'\\x{c:x2}'";
    }

    private static string Summary(byte[] body)
    {
        const int Length = 30;
        if (body.Length == 0)
            return "<empty>";
        ReadOnlySpan<byte> start = body.AsSpan(0, Math.Min(body.Length, Length));
        string text = body[0] == (byte)'{' ? Encoding.UTF8.GetString(start) : Convert.ToHexStringLower(start);
        return body.Length > Length ? text + " ..." : text;
    }
}
