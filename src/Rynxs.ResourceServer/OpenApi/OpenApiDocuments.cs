using System.Buffers;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Json;
using Rynxs.ResourceServer.Kinds;

namespace Rynxs.ResourceServer.OpenApi;

/// <summary>OpenAPI documents of a set of kinds. Immutable: make another when a CRD changes the set; documents are written on first use and kept.</summary>
public sealed class OpenApiDocuments
{
    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, SkipValidation = true };

    private readonly IReadOnlyList<ServedKind> _kinds;
    private readonly ConcurrentDictionary<string, OpenApiDocument> _documents = new(StringComparer.Ordinal);
    private readonly SortedDictionary<string, ServedKind[]> _groupVersions = new(StringComparer.Ordinal);
    private readonly Lazy<OpenApiDocument> _v2;
    private readonly Lazy<ReadOnlyMemory<byte>> _index;

    /// <summary>Nothing is written yet. Of kinds with one name the first counts: kubectl refuses a document with a path that stands there twice.</summary>
    public OpenApiDocuments(IReadOnlyList<ServedKind> kinds)
    {
        _kinds = [.. kinds.DistinctBy(kind => (kind.Group, kind.Version, kind.Plural))];
        foreach (IGrouping<string, ServedKind> group in _kinds.GroupBy(PathOf))
            _groupVersions.Add(group.Key, [.. group.OrderBy(kind => kind.Plural, StringComparer.Ordinal)]);
        _v2 = new Lazy<OpenApiDocument>(() => Write(writer => new SwaggerWriter(writer).Write(_kinds)));
        _index = new Lazy<ReadOnlyMemory<byte>>(WriteIndex);
    }

    /// <summary><c>/openapi/v2</c>, JSON (Swagger 2.0).</summary>
    public ReadOnlyMemory<byte> V2 => _v2.Value.Json;

    /// <summary>The etag of <see cref="V2"/>.</summary>
    public string V2Hash => _v2.Value.Hash;

    /// <summary><c>/openapi/v3</c>: the index, <c>paths</c> with <c>serverRelativeURL</c> and hash.</summary>
    public ReadOnlyMemory<byte> V3Index => _index.Value;

    /// <summary><c>/openapi/v3/PATH</c>: <c>api/v1</c> or <c>apis/GROUP/VERSION</c>; null when there is none. The hash is the document's etag.</summary>
    public OpenApiDocument? V3(string path) => _groupVersions.TryGetValue(path, out ServedKind[]? kinds)
        ? _documents.GetOrAdd(path, _ => Write(writer => new OpenApi3Writer(writer).Write(kinds)))
        : null;

    private static string PathOf(ServedKind kind) => kind.Group.Length == 0 ? $"api/{kind.Version}" : $"apis/{kind.Group}/{kind.Version}";

    private ReadOnlyMemory<byte> WriteIndex()
    {
        return Write(writer =>
        {
            writer.WriteStartObject();
            writer.WriteStartObject("paths");
            foreach (string path in _groupVersions.Keys)
            {
                writer.WriteStartObject(path);
                writer.WriteString("serverRelativeURL", $"/openapi/v3/{path}?hash={V3(path)?.Hash}");
                writer.WriteEndObject();
            }

            writer.WriteEndObject();
            writer.WriteEndObject();
        }).Json;
    }

    private static OpenApiDocument Write(Action<Utf8JsonWriter> write)
    {
        ArrayBufferWriter<byte> buffer = new(64 * 1024);
        using (Utf8JsonWriter writer = new(buffer, Options))
            write(writer);
        return new OpenApiDocument(buffer.WrittenMemory, Convert.ToHexString(SHA512.HashData(buffer.WrittenSpan)));
    }
}

/// <summary>One document.</summary>
/// <param name="Json">UTF-8.</param>
/// <param name="Hash">Upper case hexadecimal SHA-512 of it.</param>
public sealed record OpenApiDocument(ReadOnlyMemory<byte> Json, string Hash);
