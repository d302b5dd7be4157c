using System.Collections.Concurrent;
using System.Net;
using System.Net.Http.Headers;
using Rynxs.Gateway.Channels;
using Rynxs.Gateway.Credentials;
using Rynxs.Gateway.Inference.Wire;
using Rynxs.Policy.Inference;

namespace Rynxs.Gateway.Inference.Upstreams;

/// <summary>An upstream took the request. Dispose closes the answer and gives the place back.</summary>
internal sealed class UpstreamReply(
    UpstreamConfig upstream, InferenceEndpoint speaks, HttpResponseMessage response, ResponseScrubber? scrubber, CircuitBreaker breaker, IDisposable place) : IDisposable
{
    public UpstreamConfig Upstream => upstream;

    /// <summary>What the answer is in.</summary>
    public InferenceEndpoint Speaks => speaks;

    public HttpResponseMessage Response => response;

    /// <summary>Every byte goes through it; null when no credential was used.</summary>
    public ResponseScrubber? Scrubber => scrubber;

    public CircuitBreaker Breaker => breaker;

    public void Dispose()
    {
        response.Dispose();
        place.Dispose();
    }
}

/// <summary>What was tried so far; kept by the caller of <see cref="UpstreamSender.SendAsync"/>, because it counts also when that throws.</summary>
internal sealed class SendProgress
{
    /// <summary>Upstreams that were tried.</summary>
    public int Attempts { get; set; }

    /// <summary>Name of the last one.</summary>
    public string? Upstream { get; set; }

    /// <summary>Status of its answer.</summary>
    public int? Status { get; set; }

    /// <summary>An upstream may be working on the request: what it uses is unknown until it says so.</summary>
    public bool MayBeAccepted { get; set; }
}

/// <summary>
/// Sends a request to the first upstream that takes it. The next one is tried only when the one before surely did no work: it could not be
/// reached, or answered 429 or 5xx. A connection that broke, or silence, may mean that it works and bills: those end the call.
/// </summary>
internal sealed class UpstreamSender(
    HttpMessageInvoker http, CredentialSources credentials, Action<InferenceRecord> record, InferenceMetrics metrics, TimeProvider timeProvider)
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(30);

    private readonly ConcurrentDictionary<string, (CircuitBreaker Breaker, FairGate Gate)> _states = new(StringComparer.Ordinal);

    /// <exception cref="CallFailure">None took it.</exception>
    /// <exception cref="BadRequestException">The request has no form for any upstream.</exception>
    public async Task<UpstreamReply> SendAsync(
        GatewayCaller caller, InferencePolicyConfig policy, WireRequest request, InferenceVerdict.Allow verdict, bool rebuilt, SendProgress progress,
        CancellationToken cancellationToken)
    {
        CallFailure last = new(503, "upstream_unavailable", "No upstream of the model takes requests now.") { RetryAfter = CircuitBreaker.Pause };
        foreach (ModelRoute route in verdict.Model.Routes)
        {
            UpstreamConfig upstream = policy.Upstreams[route.Upstream];
            (CircuitBreaker breaker, FairGate gate) = _states.GetOrAdd(
                $"{upstream.Kind} {upstream.BaseUrl.AbsoluteUri} {upstream.MaxConcurrent}", _ => (new CircuitBreaker(timeProvider), new FairGate(upstream.MaxConcurrent)));
            if (!breaker.TryEnter())
            {
                continue;
            }

            progress.Attempts++;
            (progress.Upstream, progress.Status) = (upstream.Name, null);
            try
            {
                return await TryAsync(caller, policy, upstream, route, request, verdict, rebuilt, breaker, gate, progress, cancellationToken).ConfigureAwait(false);
            }
            catch (NextUpstreamException next)
            {
                breaker.Failed();
                metrics.UpstreamFailed(upstream.Kind, next.Failure.Code);
                last = next.Failure;
            }
            catch (CallFailure failure) when (failure.Code is "upstream_timeout" or "upstream_broke_off")
            {
                breaker.Failed();
                metrics.UpstreamFailed(upstream.Kind, failure.Code);
                throw;
            }
            catch
            {
                breaker.Left();
                throw;
            }
        }

        throw last;
    }

    private async Task<UpstreamReply> TryAsync(
        GatewayCaller caller, InferencePolicyConfig policy, UpstreamConfig upstream, ModelRoute route, WireRequest request, InferenceVerdict.Allow verdict, bool rebuilt,
        CircuitBreaker breaker, FairGate gate, SendProgress progress, CancellationToken cancellationToken)
    {
        UpstreamRequest made = UpstreamRequest.Of(upstream, route, request, verdict, rebuilt);
        IDisposable place = await gate.EnterAsync(caller.Key, upstream.MaxConcurrent, policy.MaxQueued, LongestWait, cancellationToken).ConfigureAwait(false)
            ?? throw new CallFailure(429, "upstream_busy", "Too many requests wait for this upstream.") { RetryAfter = TimeSpan.FromSeconds(2), Outcome = "upstream_refused" };
        try
        {
            bool renewed = false;
            while (true)
            {
                (HttpResponseMessage response, ResponseScrubber? scrubber) = await SendOnceAsync(caller, policy, upstream, made, progress, cancellationToken).ConfigureAwait(false);
                progress.Status = (int)response.StatusCode;
                if (response.IsSuccessStatusCode)
                {
                    return new UpstreamReply(upstream, made.Speaks, response, scrubber, breaker, place);
                }

                // Refused: it did no work that anybody bills.
                progress.MayBeAccepted = false;
                using (response)
                {
                    if (response.StatusCode == HttpStatusCode.Unauthorized && upstream.Credential is CredentialRef.OAuth token && !renewed)
                    {
                        credentials.Forget(token);
                        renewed = true;
                        continue;
                    }

                    throw await FailureOfAsync(response, made.Speaks, request.Endpoint, scrubber, cancellationToken).ConfigureAwait(false);
                }
            }
        }
        catch
        {
            place.Dispose();
            throw;
        }
    }

    private async Task<(HttpResponseMessage Response, ResponseScrubber? Scrubber)> SendOnceAsync(
        GatewayCaller caller, InferencePolicyConfig policy, UpstreamConfig upstream, UpstreamRequest made, SendProgress progress, CancellationToken cancellationToken)
    {
        using HttpRequestMessage message = new(HttpMethod.Post, made.Url) { Content = new ByteArrayContent(made.Body) };
        message.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        message.Headers.TryAddWithoutValidation("Accept", "application/json, text/event-stream");
        message.Headers.TryAddWithoutValidation("Accept-Encoding", "identity");
        if (made.Speaks == InferenceEndpoint.Messages)
        {
            message.Headers.TryAddWithoutValidation("anthropic-version", "2023-06-01");
        }

        ResponseScrubber? scrubber = await AuthorizeAsync(caller, policy, upstream, made, message, cancellationToken).ConfigureAwait(false);
        using CancellationTokenSource timeout = new(upstream.AnswerTimeout, timeProvider);
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            progress.MayBeAccepted = true;
            return (await http.SendAsync(message, linked.Token).ConfigureAwait(false), scrubber);
        }
        catch (HttpRequestException e) when (e.HttpRequestError is HttpRequestError.NameResolutionError or HttpRequestError.ConnectionError or HttpRequestError.SecureConnectionError)
        {
            progress.MayBeAccepted = false;
            throw new NextUpstreamException(new CallFailure(502, "upstream_unreachable", "The upstream of the model cannot be reached.") { RetryAfter = TimeSpan.FromSeconds(5) });
        }
        catch (HttpRequestException)
        {
            throw new CallFailure(502, "upstream_broke_off", "The upstream of the model broke off before it answered.");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new CallFailure(504, "upstream_timeout", "The upstream of the model did not answer in time.") { Outcome = "timed_out" };
        }
    }

    private async Task<ResponseScrubber?> AuthorizeAsync(
        GatewayCaller caller, InferencePolicyConfig policy, UpstreamConfig upstream, UpstreamRequest made, HttpRequestMessage message, CancellationToken cancellationToken)
    {
        if (upstream.Credential is not { } reference)
        {
            return null;
        }

        Credential credential;
        try
        {
            credential = await credentials.GetAsync(reference, cancellationToken).ConfigureAwait(false);
        }
        catch (CredentialException e)
        {
            throw new CallFailure(502, "credential_unavailable", e.Message) { Outcome = "upstream_refused" };
        }

        record(new InferenceRecord.Disclosed
        {
            Caller = caller,
            Credential = reference.Name,
            Recipient = made.Url.Authority,
            Purpose = "inference",
            Rule = policy.Policy.Name,
        });
        UpstreamRequest.Authorize(upstream.Kind, message.Headers, reference, credential.Value);
        return new ResponseScrubber([credential.Value]);
    }

    /// <summary>What a status other than 2xx means for the call.</summary>
    private async Task<Exception> FailureOfAsync(
        HttpResponseMessage response, InferenceEndpoint speaks, InferenceEndpoint asked, ResponseScrubber? scrubber, CancellationToken cancellationToken)
    {
        int status = (int)response.StatusCode;
        TimeSpan? wait = response.Headers.RetryAfter switch
        {
            { Delta: { } delta } when delta > TimeSpan.Zero => delta,
            { Date: { } date } when date > timeProvider.GetUtcNow() => date - timeProvider.GetUtcNow(),
            _ => null,
        };
        switch (status)
        {
            case 429:
                return new NextUpstreamException(new CallFailure(429, "upstream_rate_limited", "The upstream of the model takes no more requests now.") { RetryAfter = wait ?? TimeSpan.FromSeconds(5), Outcome = "upstream_refused" });
            case >= 500:
                return new NextUpstreamException(new CallFailure(502, "upstream_failed", $"The upstream of the model answered {status}.") { RetryAfter = wait });
            case 401 or 403:
                return new CallFailure(502, "upstream_refused_credential", $"The upstream of the model does not take the gateway's credential ({status}).") { Outcome = "upstream_refused" };
            case >= 300 and < 400:
                return new CallFailure(502, "upstream_redirected", "The upstream of the model answered with a redirect, which is not followed.") { Outcome = "upstream_refused" };
            case >= 400:
                return new CallFailure(status, "upstream_refused", await MessageOfAsync(response, scrubber, cancellationToken).ConfigureAwait(false)) { Outcome = "upstream_refused" };
            default:
                return new CallFailure(502, "upstream_protocol", $"The upstream of the model answered {status} ({speaks}, {asked}).");
        }
    }

    /// <summary>The upstream's own words, such as "context length exceeded": bounded, scrubbed, one text.</summary>
    private static async Task<string> MessageOfAsync(HttpResponseMessage response, ResponseScrubber? scrubber, CancellationToken cancellationToken)
    {
        const int MaxBytes = 16 * 1024;
        try
        {
            byte[] body = await BoundedBody.ReadAsync(response.Content, MaxBytes, cancellationToken).ConfigureAwait(false);
            System.Text.Json.Nodes.JsonObject told = JsonFields.ParseObject(body);
            string? message = told.Object("error").String("message") ?? told.String("error") ?? told.String("message");
            if (message is { Length: > 0 })
            {
                message = scrubber?.Text(message) ?? message;
                return message.Length > 1024 ? message[..1024] : message;
            }
        }
        catch (Exception e) when (e is System.Text.Json.JsonException or BodyTooLargeException or HttpRequestException or IOException)
        {
            // Its words are a courtesy; the status is what counts.
        }

        return $"The upstream of the model answered {(int)response.StatusCode}.";
    }

    /// <summary>This upstream surely did no work: another may be asked.</summary>
    private sealed class NextUpstreamException(CallFailure failure) : Exception(failure.Message)
    {
        public CallFailure Failure { get; } = failure;
    }
}
