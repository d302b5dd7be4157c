using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Rynxs.Gateway.Inference;

/// <summary>The answer of a call as an HTTP response.</summary>
internal sealed class HttpAnswer(HttpContext context) : ICallerAnswer
{
    public bool HasStarted { get; private set; }

    public bool HasEnded { get; private set; }

    public ValueTask BeginAsync(int status, string contentType, IReadOnlyList<KeyValuePair<string, string>> headers, CancellationToken cancellationToken)
    {
        HasStarted = true;
        HttpResponse response = context.Response;
        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        response.StatusCode = status;
        response.ContentType = contentType;
        response.Headers.CacheControl = "no-store";
        foreach ((string name, string value) in headers)
        {
            response.Headers[name] = value;
        }

        return default;
    }

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken) =>
        await context.Response.BodyWriter.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);

    public ValueTask EndAsync(CancellationToken cancellationToken)
    {
        HasEnded = true;
        return default;
    }

    public void Abort()
    {
        HasEnded = true;
        context.Abort();
    }
}
