using System.Buffers;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Primitives;
using Rynxs.Gateway.Egress.Tunnels;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress.Forwarding;

/// <summary>
/// Forwards plain HTTP requests in absolute form, each decided on by itself. Both sides are framed anew by the framework's own HTTP parsers, so
/// no ambiguity of one message's length reaches the other side (request smuggling).
/// </summary>
internal static class HttpForwarder
{
    private const int BufferBytes = 64 * 1024;

    /// <summary>Headers that belong to one connection (RFC 9110 7.6.1), and the proxy's own.</summary>
    private static readonly HashSet<string> HopByHop = new(StringComparer.OrdinalIgnoreCase)
    {
        "Connection", "Proxy-Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authorization", "Proxy-Authenticate",
        "Content-Length", "Host",
    };

    /// <summary>Serves one request.</summary>
    public static async Task HandleAsync(HttpContext context)
    {
        EgressChannel channel = context.Features.GetRequiredFeature<EgressChannel>();
        FlowTable flows = channel.Flows;
        string rawTarget = context.Features.GetRequiredFeature<IHttpRequestFeature>().RawTarget;
        if (!ForwardTarget.TryParse(rawTarget, out ForwardTarget? target, out EgressDenial denial))
        {
            await flows.DenyAsync(null, 0, denial, context.RequestAborted).ConfigureAwait(false);
            await AnswerAsync(context, TunnelAnswer.Of(denial)).ConfigureAwait(false);
            return;
        }

        EgressRequest request = new(target.Host, target.Port, EgressProtocol.Http, context.Request.Method, target.Path);
        Admission admission = await flows.AdmitAsync([request], context.RequestAborted).ConfigureAwait(false);
        if (admission is not Admission.Admitted { Flow: var flow })
        {
            await AnswerAsync(context, TunnelAnswer.Of(((Admission.Refused)admission).Denial)).ConfigureAwait(false);
            return;
        }

        FlowEnd end = FlowEnd.SandboxLeft;
        try
        {
            end = await ForwardAsync(context, channel, target, flow).ConfigureAwait(false);
        }
        finally
        {
            await flows.EndAsync(flow, end).ConfigureAwait(false);
        }
    }

    private static async Task<FlowEnd> ForwardAsync(HttpContext context, EgressChannel channel, ForwardTarget target, Flow flow)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(flow.Cut, context.RequestAborted);
        try
        {
            using HttpRequestMessage message = Request(context, target, flow);
            using HttpResponseMessage response = await channel.Upstream.SendAsync(message, stop.Token).ConfigureAwait(false);
            Begin(context.Response, response);
            Stream body = await response.Content.ReadAsStreamAsync(stop.Token).ConfigureAwait(false);
            bool whole = await CopyAsync(body, context.Response.Body, flow.TryCountIn, flushes: true, stop.Token).ConfigureAwait(false);
            if (!whole)
            {
                context.Abort();
            }

            return FlowEnd.Completed;
        }
        catch (HttpRequestException e) when (!context.Response.HasStarted && !stop.IsCancellationRequested)
        {
            (TunnelAnswer answer, FlowEnd end) = e.InnerException switch
            {
                UpstreamRefusedException => (TunnelAnswer.Of(EgressDenial.Address), FlowEnd.AddressRefused),
                UpstreamUnreachableException unreachable => (TunnelAnswer.Unreachable(unreachable.TimedOut), FlowEnd.UpstreamUnreachable),
                _ => (TunnelAnswer.Unreachable(timedOut: false), FlowEnd.UpstreamFailed),
            };
            if (end == FlowEnd.AddressRefused)
            {
                await channel.Flows.DenyAsync(target.Host, target.Port, EgressDenial.Address, context.RequestAborted).ConfigureAwait(false);
            }

            await AnswerAsync(context, answer).ConfigureAwait(false);
            return end;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException or SocketException)
        {
            // Cut, gone, or broken in the middle: an answer that began must not look whole.
            context.Abort();
            return context.RequestAborted.IsCancellationRequested && flow.CutFor is null && e is OperationCanceledException
                ? FlowEnd.SandboxLeft
                : FlowEnd.UpstreamFailed;
        }
    }

    private static HttpRequestMessage Request(HttpContext context, ForwardTarget target, Flow flow)
    {
        HttpRequest given = context.Request;
        HttpRequestMessage message = new(new HttpMethod(given.Method), target.ToUri())
        {
            Version = HttpVersion.Version11,
            VersionPolicy = HttpVersionPolicy.RequestVersionExact,
        };
        bool hasBody = context.Features.Get<IHttpRequestBodyDetectionFeature>()?.CanHaveBody ?? false;
        if (hasBody)
        {
            message.Content = new CountedContent(given.Body, given.ContentLength, flow);
        }

        HashSet<string> named = Named(given.Headers.Connection);
        foreach ((string name, StringValues values) in given.Headers)
        {
            if (!HopByHop.Contains(name) && !named.Contains(name) && !message.Headers.TryAddWithoutValidation(name, values.AsEnumerable()))
            {
                message.Content?.Headers.TryAddWithoutValidation(name, values.AsEnumerable());
            }
        }

        return message;
    }

    private static void Begin(HttpResponse response, HttpResponseMessage upstream)
    {
        response.StatusCode = (int)upstream.StatusCode;
        HashSet<string> named = Named(new StringValues([.. upstream.Headers.Connection]));
        foreach ((string name, HeaderStringValues values) in upstream.Headers.NonValidated.Concat(upstream.Content.Headers.NonValidated))
        {
            if (!HopByHop.Contains(name) && !named.Contains(name))
            {
                response.Headers[name] = new StringValues([.. values]);
            }
        }

        response.ContentLength = upstream.Content.Headers.ContentLength;
    }

    /// <summary>Header names that a Connection header lists: they are for this hop too.</summary>
    private static HashSet<string> Named(StringValues connection) =>
        new(connection.SelectMany(value => value?.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries) ?? []), StringComparer.OrdinalIgnoreCase);

    /// <summary>Copies until the end; false when the bytes of the channel ran out.</summary>
    private static async Task<bool> CopyAsync(Stream from, Stream to, Func<int, bool> tryCount, bool flushes, CancellationToken cancellationToken)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            int read;
            while ((read = await from.ReadAsync(buffer, cancellationToken).ConfigureAwait(false)) > 0)
            {
                if (!tryCount(read))
                {
                    return false;
                }

                await to.WriteAsync(buffer.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
                if (flushes)
                {
                    await to.FlushAsync(cancellationToken).ConfigureAwait(false);
                }
            }

            return true;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static async Task AnswerAsync(HttpContext context, TunnelAnswer answer)
    {
        context.Response.StatusCode = answer.Status;
        context.Response.ContentType = "application/problem+json";
        if (answer.Status == StatusCodes.Status429TooManyRequests)
        {
            context.Response.Headers.RetryAfter = "1";
        }

        await context.Response.WriteAsync(answer.Problem ?? "", context.RequestAborted).ConfigureAwait(false);
    }

    /// <summary>The body of a request, counted while it is sent.</summary>
    private sealed class CountedContent : HttpContent
    {
        private readonly Stream _body;
        private readonly long? _length;
        private readonly Flow _flow;

        public CountedContent(Stream body, long? length, Flow flow) => (_body, _length, _flow) = (body, length, flow);

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
            SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            if (!await CopyAsync(_body, stream, _flow.TryCountOut, flushes: false, cancellationToken).ConfigureAwait(false))
            {
                throw new IOException("The sandbox may send no more bytes.");
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = _length ?? 0;
            return _length is not null;
        }
    }
}

/// <summary>The name resolved to addresses that nothing may connect to.</summary>
internal sealed class UpstreamRefusedException() : IOException("refused address");

/// <summary>Nothing answered.</summary>
internal sealed class UpstreamUnreachableException(bool timedOut) : IOException("unreachable")
{
    public bool TimedOut { get; } = timedOut;
}
