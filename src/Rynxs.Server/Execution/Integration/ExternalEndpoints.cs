using System.Net.Http.Headers;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Sandbox;
using Rynxs.Server.Execution.Stored;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution.Integration;

/// <summary>
/// Asks the external policy engine and tells the external audit engine, where there are any. Both fail closed: no answer in time, an answer that cannot be read, or
/// any status but 200 from the one and 2xx from the other refuses the execution with 503. What happened is told from a queue on disk until it is taken.
/// </summary>
internal sealed partial class ExternalEndpoints : IAsyncDisposable
{
    private const int MaxAnswerBytes = 256 * 1024;
    private const string ServiceName = "hardened_sandbox_controller";
    private static readonly TimeSpan FirstRetry = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LastRetry = TimeSpan.FromMinutes(1);

    private readonly ExternalEndpointOptions _options;
    private readonly ExecutionStore _store;
    private readonly TimeProvider _time;
    private readonly string _constitutionalHash;
    private readonly ILogger<ExternalEndpoints> _logger;
    private readonly HttpClient _http;
    private readonly SemaphoreSlim _posted = new(0);

    public ExternalEndpoints(ExternalEndpointOptions options, ExecutionStore store, string constitutionalHash, TimeProvider time, ILogger<ExternalEndpoints> logger)
    {
        _options = options;
        _store = store;
        _time = time;
        _constitutionalHash = constitutionalHash;
        _logger = logger;
        var handler = new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, UseProxy = false, PooledConnectionLifetime = TimeSpan.FromMinutes(5) };
        if (options.CaFile is { } file)
        {
            var roots = new X509Certificate2Collection();
            roots.ImportFromPemFile(file);
            var policy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
            policy.CustomTrustStore.AddRange(roots);
            handler.SslOptions = new SslClientAuthenticationOptions { CertificateChainPolicy = policy };
        }

        _http = new HttpClient(handler) { Timeout = TimeSpan.FromMilliseconds(options.TimeoutMilliseconds), MaxResponseContentBufferSize = MaxAnswerBytes };
    }

    /// <exception cref="ProblemException">403 denied, 503 not answered.</exception>
    public async Task RequireAllowedAsync(ExecuteRequest request, string executionId, CancellationToken cancellationToken)
    {
        if (_options.PolicyUrl is not { } url)
        {
            return;
        }

        byte[] body = JsonSerializer.SerializeToUtf8Bytes(
            new PolicyQuestion("sandbox.execute", request.AgentId, new PolicyContext(
                new PolicyAgent(request.AgentId),
                new PolicySandbox(request.Runtime, request.MemoryLimitMb, request.CpuLimit, request.TimeoutSeconds, "none", request.Language == CodeLanguage.Bash ? "bash" : "python", request.FilesystemAccess),
                new PolicyEnvironment(true), executionId, _constitutionalHash)),
            ExternalJson.Default.PolicyQuestion);
        PolicyAnswer? answer;
        try
        {
            using HttpResponseMessage response = await SendAsync(url, "/api/v1/evaluate", _options.PolicyTokenFile, body, cancellationToken);
            if (response.StatusCode != System.Net.HttpStatusCode.OK)
            {
                throw Unavailable("policy", $"it answered {(int)response.StatusCode}");
            }

            answer = JsonSerializer.Deserialize(await response.Content.ReadAsByteArrayAsync(cancellationToken), ExternalJson.Default.PolicyAnswer);
        }
        catch (Exception failed) when (IsFailure(failed, cancellationToken))
        {
            LogUnavailable("policy", failed.Message);
            throw Unavailable("policy", "it gave no answer that can be read");
        }

        if (answer?.Allow is not { } allow)
        {
            throw Unavailable("policy", "its answer has no 'allow'");
        }

        if (!allow)
        {
            throw new ProblemException(new Problem(StatusCodes.Status403Forbidden, "policy_denied", $"The policy engine denies it{Reason(answer)}."));
        }
    }

    /// <summary>Before the sandbox: it is taken, or nothing is run.</summary>
    /// <exception cref="ProblemException">503.</exception>
    public async Task RequestedAsync(ExecuteRequest request, string executionId, CancellationToken cancellationToken)
    {
        if (_options.AuditUrl is not { } url)
        {
            return;
        }

        try
        {
            using HttpResponseMessage response = await SendAsync(url, "/api/v1/audit/events", _options.AuditTokenFile, Event(request, executionId, "requested", "requested", null), cancellationToken);
            if (!response.IsSuccessStatusCode)
            {
                throw Unavailable("audit", $"it answered {(int)response.StatusCode}");
            }
        }
        catch (Exception failed) when (IsFailure(failed, cancellationToken))
        {
            LogUnavailable("audit", failed.Message);
            throw Unavailable("audit", "it cannot be reached");
        }
    }

    /// <summary>After the program: kept on disk until the endpoint has taken it. The own audit has it already.</summary>
    public void Ended(ExecuteRequest request, string executionId, string reason, ExecutionResult? result)
    {
        if (_options.AuditUrl is null)
        {
            return;
        }

        _store.Post(Event(request, executionId, result?.Reason == TerminationReason.Completed ? "success" : "failure", reason, result));
        _posted.Release();
    }

    /// <summary>Delivers what waits, in order, until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        TimeSpan pause = FirstRetry;
        while (true)
        {
            if (_options.AuditUrl is not { } url || _store.NextPosted() is not var (number, body))
            {
                await _posted.WaitAsync(cancellationToken);
                continue;
            }

            string? failure = null;
            try
            {
                using HttpResponseMessage response = await SendAsync(url, "/api/v1/audit/events", _options.AuditTokenFile, body, cancellationToken);
                failure = response.IsSuccessStatusCode ? null : $"it answered {(int)response.StatusCode}";
            }
            catch (Exception failed) when (IsFailure(failed, cancellationToken))
            {
                failure = failed.Message;
            }

            if (failure is null)
            {
                _store.RemovePosted(number);
                pause = FirstRetry;
                continue;
            }

            LogNotDelivered(_store.Posted(), failure);
            await Task.Delay(pause, _time, cancellationToken);
            pause = pause * 2 < LastRetry ? pause * 2 : LastRetry;
        }
    }

    public ValueTask DisposeAsync()
    {
        _http.Dispose();
        _posted.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task<HttpResponseMessage> SendAsync(string url, string path, string? tokenFile, byte[] body, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, url.TrimEnd('/') + path) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        if (tokenFile is not null)
        {
            // Read each time: tokens are replaced while we run.
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", (await File.ReadAllTextAsync(tokenFile, cancellationToken)).Trim());
        }

        return await _http.SendAsync(request, HttpCompletionOption.ResponseContentRead, cancellationToken);
    }

    private byte[] Event(ExecuteRequest request, string executionId, string outcome, string reason, ExecutionResult? result) => JsonSerializer.SerializeToUtf8Bytes(
        new AuditEvent(
            "security_event", ServiceName, request.AgentId, $"execute_{request.Runtime}", outcome,
            new AuditPayload(
                executionId, request.Runtime, reason, result?.Violations.Count, result is null ? null : Math.Round(result.Duration.TotalSeconds, 6), _constitutionalHash, _time.GetUtcNow())),
        ExternalJson.Default.AuditEvent);

    /// <summary>Ours is the time limit; the caller's leaving is not a failure of the endpoint.</summary>
    private static bool IsFailure(Exception failed, CancellationToken cancellationToken) =>
        failed is HttpRequestException or JsonException or IOException or UnauthorizedAccessException or InvalidOperationException || (failed is OperationCanceledException && !cancellationToken.IsCancellationRequested);

    private static ProblemException Unavailable(string what, string why) => new(new Problem(
        StatusCodes.Status503ServiceUnavailable, $"{what}_unavailable", $"The {what} engine that this server must ask is not available: {why}. Nothing was run."));

    private static string Reason(PolicyAnswer answer)
    {
        string text = answer.Reason ?? string.Join(", ", answer.Violations ?? []);
        const int longest = 300;
        text = new string([.. text.Take(longest).Select(c => char.IsControl(c) ? ' ' : c)]);
        return text.Length == 0 ? "" : ": " + text;
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The external {What} engine gave no usable answer, so an execution is refused: {Reason}")]
    private partial void LogUnavailable(string what, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} events wait for the external audit engine: {Reason}")]
    private partial void LogNotDelivered(long count, string reason);
}

/// <summary>The question, with the fields that the documented sandbox controller sends, and those that its policies need.</summary>
internal sealed record PolicyQuestion(string Action, string AgentId, PolicyContext Context);

internal sealed record PolicyContext(PolicyAgent Agent, PolicySandbox Sandbox, PolicyEnvironment Environment, string ExecutionId, string ConstitutionalHash);

internal sealed record PolicyAgent(string Id);

internal sealed record PolicySandbox(
    string Runtime, int MemoryMb, double CpuCores, int TimeoutSeconds, string NetworkPolicy, string Language, IReadOnlyList<string> FilesystemAccess);

internal sealed record PolicyEnvironment(bool SandboxEnabled);

internal sealed record PolicyAnswer(bool? Allow, string? Reason, IReadOnlyList<string>? Violations);

internal sealed record AuditEvent(string EventType, string ServiceName, string AgentId, string Action, string Outcome, AuditPayload Payload);

internal sealed record AuditPayload(
    string ExecutionId, string Runtime, string TerminationReason, int? ViolationsCount, double? ExecutionTime, string ConstitutionalHash, DateTimeOffset Timestamp);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, MaxDepth = 32)]
[JsonSerializable(typeof(PolicyQuestion))]
[JsonSerializable(typeof(PolicyAnswer))]
[JsonSerializable(typeof(AuditEvent))]
internal sealed partial class ExternalJson : JsonSerializerContext;
