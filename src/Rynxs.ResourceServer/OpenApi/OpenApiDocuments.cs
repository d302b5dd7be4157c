using Rynxs.ResourceServer.Kinds;

namespace Rynxs.ResourceServer.OpenApi;

/// <summary>OpenAPI documents of a set of kinds. Immutable: make another when a CRD changes the set; documents are written on first use and kept.</summary>
public sealed class OpenApiDocuments(IReadOnlyList<ServedKind> kinds)
{
    /// <summary><c>/openapi/v2</c>, JSON (Swagger 2.0).</summary>
    public ReadOnlyMemory<byte> V2 => throw new NotImplementedException($"{kinds.Count}");

    /// <summary><c>/openapi/v3</c>: the index, <c>paths</c> with <c>serverRelativeURL</c> and hash.</summary>
    public ReadOnlyMemory<byte> V3Index => throw new NotImplementedException();

    /// <summary><c>/openapi/v3/PATH</c>: <c>api/v1</c> or <c>apis/GROUP/VERSION</c>; null when there is none. The hash is the document's etag.</summary>
    public OpenApiDocument? V3(string path) => throw new NotImplementedException(path);
}

/// <summary>One document.</summary>
/// <param name="Json">UTF-8.</param>
/// <param name="Hash">Upper case hexadecimal SHA-512 of it.</param>
public sealed record OpenApiDocument(ReadOnlyMemory<byte> Json, string Hash);
