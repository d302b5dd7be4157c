using System.IO.Compression;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Http;

/// <summary>Writes answers: whole ones, and long ones piece by piece, compressed where that pays.</summary>
internal sealed class ResponseWriter(HttpContext context, ResourceApiOptions options) : IAsyncDisposable
{
    private Stream? _body;
    private GZipStream? _compressed;

    public async Task StatusAsync(ApiStatus status)
    {
        context.Response.StatusCode = status.Code;
        if (status.Details?.RetryAfterSeconds is > 0 and int seconds)
            context.Response.Headers.RetryAfter = seconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
        await BytesAsync(status.ToJson(), status.Code);
    }

    public Task NodeAsync(JsonNode node, int code = StatusCodes.Status200OK, string contentType = "application/json") => BytesAsync(DocumentText.Bytes(node), code, contentType);

    /// <summary>A whole answer.</summary>
    public async Task BytesAsync(ReadOnlyMemory<byte> body, int code = StatusCodes.Status200OK, string contentType = "application/json")
    {
        context.Response.StatusCode = code;
        context.Response.ContentType = contentType;
        if (body.Length >= options.CompressFromBytes && TakesGzip())
        {
            await PieceAsync(body);
            await EndAsync();
            return;
        }

        context.Response.ContentLength = body.Length;
        await context.Response.Body.WriteAsync(body, context.RequestAborted);
    }

    public async Task TextAsync(int code, string text)
    {
        context.Response.StatusCode = code;
        context.Response.ContentType = "text/plain; charset=utf-8";
        context.Response.Headers.XContentTypeOptions = "nosniff";
        await context.Response.WriteAsync(text, context.RequestAborted);
    }

    /// <summary>An answer in pieces follows.</summary>
    public void Begin(string contentType)
    {
        context.Response.StatusCode = StatusCodes.Status200OK;
        context.Response.ContentType = contentType;
    }

    /// <summary>A piece of an answer whose length is not known; the first one decides about compression.</summary>
    public async Task PieceAsync(ReadOnlyMemory<byte> piece)
    {
        if (_body is null)
        {
            if (piece.Length >= options.CompressFromBytes && TakesGzip())
            {
                context.Response.Headers.ContentEncoding = "gzip";
                context.Response.Headers.Append("Vary", "Accept-Encoding");
                _compressed = new GZipStream(context.Response.Body, CompressionLevel.Fastest, leaveOpen: true);
            }

            _body = (Stream?)_compressed ?? context.Response.Body;
        }

        await _body.WriteAsync(piece, context.RequestAborted);
    }

    /// <summary>Writes what compression held back; nothing may follow.</summary>
    public async Task EndAsync() => await DisposeAsync();

    public async ValueTask DisposeAsync()
    {
        if (_compressed is not null)
            await _compressed.DisposeAsync();
        _compressed = null;
    }

    /// <summary>One Warning header for each text, as RFC 7234 has it, bounded.</summary>
    public void Warn(IReadOnlyList<string> warnings)
    {
        const int MaxWarnings = 50;
        foreach (string warning in warnings.Take(MaxWarnings))
        {
            string text = new([.. warning.Where(c => c is >= ' ' and < '\x7f').Take(512)]);
            context.Response.Headers.Append("Warning", $"299 - \"{text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"");
        }
    }

    private bool TakesGzip() => context.Request.Headers.AcceptEncoding.ToString().Contains("gzip", StringComparison.OrdinalIgnoreCase);
}
