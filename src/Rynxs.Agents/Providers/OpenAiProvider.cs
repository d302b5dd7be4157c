using System.Net;
using System.Net.Http.Headers;
using Microsoft.Extensions.Logging;
using Polly;
using Polly.Retry;

namespace Rynxs.Agents.Providers;

/// <summary>
/// An OpenAI-compatible chat completions API with tools: streamed (server-sent events), or a plain body when the server does not stream.
/// Redirects are not followed: the key would go along. Response bodies never reach logs or messages: a server may echo what it was sent.
/// </summary>
internal sealed partial class OpenAiProvider : IModelProvider, IDisposable
{
    private readonly OpenAiOptions _options;
    private readonly Func<CancellationToken, ValueTask<string?>>? _readKey;
    private readonly TimeProvider _timeProvider;
    private readonly ILogger _logger;
    private readonly HttpClient _http;
    private readonly ResiliencePipeline _retry;

    /// <param name="options">Where and how.</param>
    /// <param name="readKey">Reads the key for each request, so that a rotated one is used at once; null sends none.</param>
    /// <param name="transport">Where requests go; null for straight to the address.</param>
    /// <param name="timeProvider">Clock of timeouts and delays.</param>
    /// <param name="logger">Attempts and codes only.</param>
    public OpenAiProvider(OpenAiOptions options, Func<CancellationToken, ValueTask<string?>>? readKey, HttpMessageHandler? transport, TimeProvider timeProvider, ILogger logger)
    {
        _options = options;
        _readKey = readKey;
        _timeProvider = timeProvider;
        _logger = logger;
        _http = new HttpClient(transport ?? new SocketsHttpHandler
        {
            AllowAutoRedirect = false,
            UseCookies = false,
            ConnectTimeout = TimeSpan.FromSeconds(10),
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        })
        {
            Timeout = Timeout.InfiniteTimeSpan, // Each attempt has its own, see SendAsync.
        };
        _retry = BuildPipeline();
    }

    /// <inheritdoc/>
    public string Name => "openai";

    /// <inheritdoc/>
    public async Task<ModelReply> CompleteAsync(ModelRequest request, CancellationToken cancellationToken)
    {
        byte[] body = ChatRequest.Serialize(_options.Model, request, out ToolNames names);
        return await _retry.ExecuteAsync(async token => await SendAsync(body, names, token), cancellationToken);
    }

    /// <inheritdoc/>
    public void Dispose() => _http.Dispose();

    private ResiliencePipeline BuildPipeline()
    {
        if (_options.MaxRetries == 0)
        {
            return ResiliencePipeline.Empty;
        }

        return new ResiliencePipelineBuilder { TimeProvider = _timeProvider }
            .AddRetry(new RetryStrategyOptions
            {
                MaxRetryAttempts = _options.MaxRetries,
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                Delay = _options.BaseDelay,
                MaxDelay = _options.MaxDelay,
                ShouldHandle = new PredicateBuilder().Handle<ModelProviderException>(failure => failure.Retryable),
                DelayGenerator = arguments => ValueTask.FromResult<TimeSpan?>(
                    arguments.Outcome.Exception is ModelProviderException { RetryAfter: { } wait }
                        ? (wait < _options.MaxDelay ? wait : _options.MaxDelay)
                        : null),
                OnRetry = arguments =>
                {
                    LogRetry((arguments.Outcome.Exception as ModelProviderException)?.Code ?? "", arguments.AttemptNumber + 1, arguments.RetryDelay);
                    return ValueTask.CompletedTask;
                },
            })
            .Build();
    }

    private async Task<ModelReply> SendAsync(byte[] body, ToolNames names, CancellationToken cancellationToken)
    {
        using var timeout = new CancellationTokenSource(_options.Timeout, _timeProvider);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            using HttpRequestMessage request = await BuildAsync(body, linked.Token);
            using HttpResponseMessage response = await _http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, linked.Token);
            ThrowUnlessOk(response);
            await using Stream raw = await response.Content.ReadAsStreamAsync(linked.Token);
            await using var bounded = new BoundedStream(raw, _options.MaxResponseBytes);
            ChatResponseReader reader = new(names, _options.MaxCalls);
            return response.Content.Headers.ContentType?.MediaType == "text/event-stream"
                ? await reader.ReadStreamAsync(bounded, linked.Token)
                : await reader.ReadBodyAsync(bounded, linked.Token);
        }
        catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            throw new ModelProviderException("model_timeout", $"The model did not answer within {_options.Timeout.TotalSeconds:0.###} s.") { Retryable = true };
        }
        catch (Exception transport) when (transport is HttpRequestException or IOException)
        {
            throw new ModelProviderException("model_unavailable", $"The model at {_options.BaseUrl.GetLeftPart(UriPartial.Authority)} cannot be reached or broke off.", transport)
            {
                Retryable = true,
            };
        }
    }

    private async Task<HttpRequestMessage> BuildAsync(byte[] body, CancellationToken cancellationToken)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, new Uri(_options.BaseUrl.AbsoluteUri.TrimEnd('/') + "/chat/completions"))
        {
            Content = new ByteArrayContent(body),
        };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        request.Headers.Accept.ParseAdd("text/event-stream");
        request.Headers.Accept.ParseAdd("application/json");
        if (_readKey is not null)
        {
            string? key = await _readKey(cancellationToken);
            if (string.IsNullOrEmpty(key) || key.Any(c => c is <= ' ' or > '~'))
            {
                request.Dispose();
                throw new ModelProviderException("secret_missing", "The Secret of spec.provider.apiKeySecretRef is missing, empty, or not a header value.");
            }

            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        }

        return request;
    }

    private void ThrowUnlessOk(HttpResponseMessage response)
    {
        int status = (int)response.StatusCode;
        if (status is >= 200 and < 300)
        {
            return;
        }

        if (status is >= 300 and < 400)
        {
            throw new ModelProviderException("model_refused", $"The model answered with a redirect ({status}), which is not followed; give the final address in spec.provider.baseUrl.");
        }

        // The gateway's own refusals: told by code, and waiting does not help a policy.
        string? code = response.Headers.TryGetValues("x-rynxs-code", out IEnumerable<string>? codes) ? codes.FirstOrDefault() : null;
        if (code == "credential_unavailable")
        {
            throw new ModelProviderException("secret_missing", "The Secret of spec.provider.apiKeySecretRef is missing, empty, or not a header value.");
        }

        if (code is "upstream_refused_credential" or "upstream_redirected")
        {
            throw new ModelProviderException("model_refused", code == "upstream_redirected"
                ? "The model answered with a redirect, which is not followed; give the final address in spec.provider.baseUrl."
                : "The model answered 401 or 403 (is the key right?).");
        }

        if (code is "budget_exceeded" or "answer_denied" or "request_denied" or "model_not_allowed" or "no_inference_policy")
        {
            throw new ModelProviderException("model_refused", $"The gateway refused the request: {code}.");
        }

        bool retryable = status is 408 or 409 or 429 or >= 500;
        throw new ModelProviderException(
            retryable ? "model_unavailable" : "model_refused",
            $"The model answered {status} {(response.StatusCode is HttpStatusCode.Unauthorized ? "(is the key right?)" : response.StatusCode.ToString())}.")
        {
            Retryable = retryable,
            RetryAfter = RetryAfterOf(response),
        };
    }

    private TimeSpan? RetryAfterOf(HttpResponseMessage response) => response.Headers.RetryAfter switch
    {
        { Delta: { } delta } when delta >= TimeSpan.Zero => delta,
        { Date: { } date } => date > _timeProvider.GetUtcNow() ? date - _timeProvider.GetUtcNow() : TimeSpan.Zero,
        _ => null,
    };

    [LoggerMessage(Level = LogLevel.Warning, Message = "Model request failed with {Code}; attempt {Attempt} failed, next in {Delay}")]
    private partial void LogRetry(string code, int attempt, TimeSpan delay);
}
