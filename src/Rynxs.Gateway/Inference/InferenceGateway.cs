using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Rynxs.Gateway.Budgets;
using Rynxs.Gateway.Channels;
using Rynxs.Gateway.Credentials;
using Rynxs.Gateway.Inference.Upstreams;
using Rynxs.Gateway.Inference.Wire;
using Rynxs.Gateway.Spool;
using Rynxs.Policy.Budgets;
using Rynxs.Policy.Inference;

namespace Rynxs.Gateway.Inference;

/// <summary>Settings of the way to models.</summary>
public sealed record InferenceGatewayOptions
{
    /// <summary>Private directory of the spool: budgets and records that the ledger does not have yet.</summary>
    public required string SpoolDirectory { get; init; }

    /// <summary>Where records go from the spool.</summary>
    public required IInferenceLog Log { get; init; }

    /// <summary>Where credentials are kept.</summary>
    public required CredentialSources Credentials { get; init; }

    /// <summary>Calls at once of all agents together. Default 512.</summary>
    public int MaxConcurrent { get; init; } = 512;

    /// <summary>Clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Meters.</summary>
    public required IMeterFactory Meters { get; init; }

    /// <summary>Operational log; what callers and models say is never written to it.</summary>
    public required ILoggerFactory LoggerFactory { get; init; }
}

/// <summary>
/// The only way to a model: OpenAI's chat completions, responses, embeddings and models, and Anthropic's messages, for callers whose identity is known
/// already. Without a policy it refuses everything.
/// </summary>
/// <remarks>Dispose stops giving records to the ledger and closes the spool; what waits goes on at the next start.</remarks>
public sealed class InferenceGateway : IChannelService, IAsyncDisposable
{
    private readonly CallServices _services;
    private readonly IInferenceLog _log;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _shipping;
    private InferenceModel _model = InferenceModel.Empty;
    private int _disposed;

    private InferenceGateway(CallServices services, IInferenceLog log)
    {
        (_services, _log) = (services, log);
        _shipping = ShipAsync();
    }

    /// <summary>Opens the gateway over its spool. What an earlier process had set aside and not settled is charged in full.</summary>
    /// <exception cref="SpoolUnavailableException">The spool cannot be opened or is damaged.</exception>
    public static InferenceGateway Open(InferenceGatewayOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        List<string> lines = [];
        GatewaySpool spool = GatewaySpool.Open(options.SpoolDirectory, lines.Add);
        BudgetLedger budgets = new(spool, options.TimeProvider);
        RecordOutbox outbox = new(spool, options.TimeProvider);
        foreach (string line in lines)
        {
            if (!budgets.TryRestore(line) && !outbox.TryRestore(line))
            {
                throw new SpoolUnavailableException("The gateway's spool holds a line that this version does not know; what budgets have used cannot be known.");
            }
        }

        budgets.FinishRestore();
        spool.Start(() => [.. budgets.Snapshot_NeedsLock(), .. outbox.Snapshot_NeedsLock()]);
        InferenceMetrics metrics = new(options.Meters, () => budgets.ExpiredReservations, () => outbox.Waiting);
        HttpMessageInvoker http = new(Handler());
        UpstreamSender sender = new(http, options.Credentials, record => outbox.Add(record, urgent: true), metrics, options.TimeProvider);
        return new InferenceGateway(
            new CallServices(
                spool, budgets, outbox, sender, http, options.Credentials, metrics, new FairGate(options.MaxConcurrent), new CallRates(options.TimeProvider), options.TimeProvider,
                options.LoggerFactory.CreateLogger("Rynxs.Gateway.Inference")),
            options.Log);
    }

    /// <summary>The policies that are enforced now.</summary>
    public InferenceModel Model => Volatile.Read(ref _model);

    /// <summary>Why nothing is served; null while records can be written.</summary>
    public Exception? Failure => _services.Spool.Failure ?? _shipping.Exception;

    /// <summary>Records that the ledger does not have yet.</summary>
    public int WaitingRecords => _services.Outbox.Waiting;

    /// <summary>Replaces the policies at once. Calls that run, streams above all, go on with those they began with.</summary>
    public void Replace(InferenceModel model)
    {
        ArgumentNullException.ThrowIfNull(model);
        Volatile.Write(ref _model, model);
    }

    /// <summary>Every account of the books: what was charged and what is set aside.</summary>
    public IReadOnlyList<(BudgetAccount Account, Spend Spent, Spend Reserved)> Budgets() => _services.Budgets.List();

    /// <summary>A placeholder broker whose disclosures lie on this gateway's spool before they happen.</summary>
    public CredentialBroker OpenBroker() => new(_services.Credentials, new SpooledDisclosures(_services));

    /// <inheritdoc/>
    public bool Serves(string rawTarget) => ChannelHost.PathOf(rawTarget) is { } path && PathOf(path) is not null;

    /// <inheritdoc/>
    public Task ServeAsync(HttpContext context, GatewayCaller caller)
    {
        ArgumentNullException.ThrowIfNull(context);
        string target = context.Features.Get<IHttpRequestFeature>()?.RawTarget is { Length: > 0 } raw ? raw : context.Request.Path;
        return ServeAsync(context, caller, ChannelHost.PathOf(target) ?? "");
    }

    /// <summary>Answers a request whose path below the API's root the caller of this method has found.</summary>
    /// <param name="context">The request.</param>
    /// <param name="caller">Whose it is.</param>
    /// <param name="path">Such as <c>/v1/chat/completions</c>.</param>
    public async Task ServeAsync(HttpContext context, GatewayCaller caller, string path)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(caller);
        HttpAnswer answer = new(context);
        CancellationToken cancellationToken = context.RequestAborted;
        string? served = PathOf(path);
        if (served is null)
        {
            await FailAsync(answer, new CallFailure(404, "unknown_path", "This gateway serves /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/messages and /v1/models."), cancellationToken).ConfigureAwait(false);
        }
        else if (served.StartsWith("/v1/models", StringComparison.Ordinal))
        {
            await (HttpMethods.IsGet(context.Request.Method)
                ? ListAsync(answer, caller, context.Request.Headers.ContainsKey("anthropic-version"), served, cancellationToken)
                : FailAsync(answer, new CallFailure(405, "method_not_allowed", "GET."), cancellationToken)).ConfigureAwait(false);
        }
        else if (!HttpMethods.IsPost(context.Request.Method))
        {
            context.Response.Headers.Allow = "POST";
            await FailAsync(answer, new CallFailure(405, "method_not_allowed", "POST."), cancellationToken).ConfigureAwait(false);
        }
        else if (!context.Request.HasJsonContentType() || context.Request.Headers.ContentEncoding.Count > 0)
        {
            await FailAsync(answer, new CallFailure(415, "unsupported_media_type", "The body must be JSON, not compressed: 'Content-Type: application/json'."), cancellationToken).ConfigureAwait(false);
        }
        else
        {
            // The policy bounds the body itself; the server's own bound is for other endpoints.
            if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } size)
            {
                size.MaxRequestBodySize = null;
            }

            await RunAsync(caller, EndpointOf(served), context.Request.Body, answer, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Sends requests of an agent's loop in this process through the gateway, as if they had come over its channel.</summary>
    /// <param name="find">Finds whose they are, once for each request; null refuses.</param>
    /// <param name="otherwise">What holds for them where no policy is for the agent; null refuses them then.</param>
    public HttpMessageHandler OpenInProcess(Func<CancellationToken, ValueTask<GatewayCaller?>> find, InferencePolicyConfig? otherwise) => new InProcessHandler(this, find, otherwise);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        await _stop.CancelAsync().ConfigureAwait(false);
        await _shipping.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _services.Spool.DisposeAsync().ConfigureAwait(false);
        _services.Outbox.Dispose();
        _services.Http.Dispose();
        _services.Metrics.Dispose();
        _stop.Dispose();
    }

    internal Task RunAsync(GatewayCaller caller, InferenceEndpoint endpoint, Stream body, ICallerAnswer answer, CancellationToken cancellationToken) =>
        RunAsync(Model, caller, endpoint, body, answer, cancellationToken);

    private Task RunAsync(InferenceModel model, GatewayCaller caller, InferenceEndpoint endpoint, Stream body, ICallerAnswer answer, CancellationToken cancellationToken) =>
        new CallRunner(_services, model, caller, endpoint, answer).RunAsync(body, cancellationToken);

    internal static string? PathOf(string path) => path is "/v1/chat/completions" or "/v1/responses" or "/v1/embeddings" or "/v1/messages" or "/v1/models"
        || (path.StartsWith("/v1/models/", StringComparison.Ordinal) && path.Length is > 11 and < 300) ? path : null;

    internal static InferenceEndpoint EndpointOf(string path) => path switch
    {
        "/v1/chat/completions" => InferenceEndpoint.ChatCompletions,
        "/v1/responses" => InferenceEndpoint.Responses,
        "/v1/embeddings" => InferenceEndpoint.Embeddings,
        _ => InferenceEndpoint.Messages,
    };

    private static SocketsHttpHandler Handler() => new()
    {
        AllowAutoRedirect = false, // The credential would go along.
        UseProxy = false,
        UseCookies = false,
        AutomaticDecompression = System.Net.DecompressionMethods.None,
        ConnectTimeout = TimeSpan.FromSeconds(10),
        MaxResponseHeadersLength = 64,
        PooledConnectionLifetime = TimeSpan.FromMinutes(5),
        PooledConnectionIdleTimeout = TimeSpan.FromSeconds(60),
        EnableMultipleHttp2Connections = true,
    };

    private static async Task FailAsync(HttpAnswer answer, CallFailure failure, CancellationToken cancellationToken)
    {
        await answer.BeginAsync(failure.Status, "application/json", failure.Headers(), cancellationToken).ConfigureAwait(false);
        await answer.WriteAsync(failure.Body(null), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The models that the caller may name; nothing of upstreams.</summary>
    private async Task ListAsync(HttpAnswer answer, GatewayCaller caller, bool anthropic, string path, CancellationToken cancellationToken)
    {
        (InferencePolicyConfig? policy, InferenceDenial? denial) = Model.Select(caller.Namespace, caller.Agent);
        if (policy is null)
        {
            await FailAsync(answer, CallFailure.Denied(denial ?? InferenceDenial.NoPolicy, "No InferencePolicy is for this caller."), cancellationToken).ConfigureAwait(false);
            return;
        }

        JsonObject[] models = [.. policy.Policy.Models.Keys.Order(StringComparer.Ordinal).Select(name => anthropic
            ? new JsonObject { ["type"] = "model", ["id"] = name, ["display_name"] = name, ["created_at"] = "1970-01-01T00:00:00Z" }
            : new JsonObject { ["id"] = name, ["object"] = "model", ["created"] = 0, ["owned_by"] = "rynxs" })];
        JsonObject? body = path.Length > 11
            ? models.FirstOrDefault(model => model.String("id") == Uri.UnescapeDataString(path[11..]))
            : anthropic
                ? new JsonObject { ["data"] = new JsonArray(models), ["has_more"] = false, ["first_id"] = models.FirstOrDefault().String("id"), ["last_id"] = models.LastOrDefault().String("id") }
                : new JsonObject { ["object"] = "list", ["data"] = new JsonArray(models) };
        if (body is null)
        {
            await FailAsync(answer, CallFailure.Denied(InferenceDenial.Model, "The policy allows no such model."), cancellationToken).ConfigureAwait(false);
            return;
        }

        await answer.BeginAsync(200, "application/json", [], cancellationToken).ConfigureAwait(false);
        await answer.WriteAsync(JsonFields.Utf8(body), cancellationToken).ConfigureAwait(false);
    }

    private async Task ShipAsync()
    {
        try
        {
            await _services.Outbox.RunAsync(_log, _stop.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The stop that was asked for.
        }
    }

    /// <summary>Disclosures of placeholders, on the same spool.</summary>
    private sealed class SpooledDisclosures(CallServices services) : IDisclosureLog
    {
        public async ValueTask WriteAsync(GatewayCaller caller, CredentialDisclosure disclosure, CancellationToken cancellationToken)
        {
            services.Outbox.Add(
                new InferenceRecord.Disclosed
                {
                    Caller = caller,
                    Credential = disclosure.Credential,
                    Recipient = disclosure.Recipient,
                    Purpose = disclosure.Purpose,
                    Rule = disclosure.Rule,
                },
                urgent: true);
            await services.Spool.WhenDurableAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>An HTTP client's handler that ends in the gateway.</summary>
    private sealed class InProcessHandler(InferenceGateway gateway, Func<CancellationToken, ValueTask<GatewayCaller?>> find, InferencePolicyConfig? otherwise) : HttpMessageHandler
    {
        private static readonly string[] Operations = ["/chat/completions", "/responses", "/embeddings", "/messages"];

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            string path = request.RequestUri?.AbsolutePath ?? "";
            string? operation = Operations.FirstOrDefault(name => path.EndsWith(name, StringComparison.Ordinal));
            GatewayCaller caller = await find(cancellationToken).ConfigureAwait(false) ?? throw new HttpRequestException("The agent is not known to the gateway.");
            if (operation is null || request.Content is null)
            {
                throw new HttpRequestException(string.Create(CultureInfo.InvariantCulture, $"The gateway serves no '{path}'."));
            }

            InProcessAnswer answer = new();
            Stream body = await request.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);

            // Owned by the answer: the call ends when its reader leaves, when the token is cancelled, or when it is done.
            InferenceModel model = gateway.Model;
            if (otherwise is not null && model.Select(caller.Namespace, caller.Agent).Denial == InferenceDenial.NoPolicy)
            {
                model = new InferenceModel { ByNamespace = new Dictionary<string, IReadOnlyList<InferencePolicyConfig>> { [caller.Namespace] = [otherwise] } };
            }

            Task call = gateway.RunAsync(model, caller, EndpointOf("/v1" + operation), body, answer, cancellationToken);
            Task first = await Task.WhenAny(answer.Head, call).ConfigureAwait(false);
            if (first == call && !answer.Head.IsCompleted)
            {
                await call.ConfigureAwait(false);
                throw new HttpRequestException("The gateway gave no answer.");
            }

            return await answer.Head.ConfigureAwait(false);
        }
    }
}
