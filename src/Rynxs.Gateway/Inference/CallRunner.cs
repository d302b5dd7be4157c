using System.Security.Cryptography;
using System.Text;
using Microsoft.Extensions.Logging;
using Rynxs.Gateway.Budgets;
using Rynxs.Gateway.Channels;
using Rynxs.Gateway.Inference.Relay;
using Rynxs.Gateway.Inference.Upstreams;
using Rynxs.Gateway.Inference.Wire;
using Rynxs.Gateway.Spool;
using Rynxs.Policy.Budgets;
using Rynxs.Policy.Inference;

namespace Rynxs.Gateway.Inference;

/// <summary>What all calls share.</summary>
internal sealed record CallServices(
    GatewaySpool Spool, BudgetLedger Budgets, RecordOutbox Outbox, UpstreamSender Sender, HttpMessageInvoker Http, Credentials.CredentialSources Credentials,
    InferenceMetrics Metrics, FairGate Gate, CallRates Rates, TimeProvider TimeProvider, ILogger Logger);

/// <summary>
/// One call, in its order: policy, place, request, rules on it, decision, money set aside, record, upstream, answer, settlement, record. Whatever happens after
/// the money was set aside, it is settled once; if even that cannot be written, its time charges it in full.
/// </summary>
internal sealed partial class CallRunner(CallServices services, InferenceModel model, GatewayCaller caller, InferenceEndpoint endpoint, ICallerAnswer answer)
{
    private static readonly TimeSpan LongestWait = TimeSpan.FromSeconds(30);
    private const int MaxRecordedContent = 256 * 1024;

    private readonly DateTimeOffset _start = services.TimeProvider.GetUtcNow();
    private readonly string _call = Guid.NewGuid().ToString("N");
    private InferencePolicyConfig? _policy;
    private CancellationTokenSource? _timeout;

    /// <summary>Runs the call; every failure is an answer.</summary>
    public async Task RunAsync(Stream body, CancellationToken cancellationToken)
    {
        try
        {
            InferencePolicyConfig policy = Select();
            using IDisposable place = await EnterAsync(policy, cancellationToken).ConfigureAwait(false);
            using CancellationTokenSource timeout = new(policy.MaxDuration, services.TimeProvider);
            using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
            _timeout = timeout;
            try
            {
                await RunAsync(policy, body, linked.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (timeout.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
            {
                throw new CallFailure(504, "call_timeout", "The call took longer than the policy allows.") { Outcome = "timed_out" };
            }
        }
        catch (CallFailure failure)
        {
            await RefuseAsync(failure, cancellationToken).ConfigureAwait(false);
        }
        catch (BadRequestException bad)
        {
            await RefuseAsync(new CallFailure(400, "invalid_request", bad.Message), cancellationToken).ConfigureAwait(false);
        }
        catch (BodyTooLargeException)
        {
            await RefuseAsync(new CallFailure(413, "request_too_large", $"The request is larger than {_policy?.MaxRequestBytes} bytes."), cancellationToken).ConfigureAwait(false);
        }
        catch (SpoolUnavailableException)
        {
            await RefuseAsync(new CallFailure(503, "audit_unavailable", "The call cannot be recorded, so it is refused."), cancellationToken).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            answer.Abort(); // The caller has left, or no longer reads.
        }
    }

    private InferencePolicyConfig Select()
    {
        (InferencePolicyConfig? policy, InferenceDenial? denial) = model.Select(caller.Namespace, caller.Agent);
        return _policy = policy ?? throw CallFailure.Denied(
            denial ?? InferenceDenial.NoPolicy,
            denial == InferenceDenial.AmbiguousPolicy ? "Two policies of the same priority are for this agent, so neither is used." : "No InferencePolicy is for this caller.");
    }

    private async ValueTask<IDisposable> EnterAsync(InferencePolicyConfig policy, CancellationToken cancellationToken)
    {
        if (services.Rates.Take(caller.Key, policy.RequestsPerMinute) is { } wait)
        {
            throw new CallFailure(429, "rate_limited", $"More than {policy.RequestsPerMinute} requests a minute.") { RetryAfter = wait, IsDenial = true };
        }

        return await services.Gate.EnterAsync(caller.Key, policy.MaxConcurrent, policy.MaxQueued, LongestWait, cancellationToken).ConfigureAwait(false)
            ?? throw new CallFailure(429, "too_many_requests", "Too many requests of this agent wait.") { RetryAfter = TimeSpan.FromSeconds(2), IsDenial = true };
    }

    private async Task RunAsync(InferencePolicyConfig policy, Stream body, CancellationToken cancellationToken)
    {
        byte[] bytes = await BoundedBody.ReadAsync(body, policy.MaxRequestBytes, cancellationToken).ConfigureAwait(false);
        WireRequest request = RequestReader.Read(endpoint, bytes);
        IReadOnlyCollection<string> redacted = Inspect(policy, ref request, ref bytes);
        InferenceVerdict.Allow verdict = InferencePolicy.Decide(policy.Policy, request.Facts) switch
        {
            InferenceVerdict.Allow allow => allow,
            InferenceVerdict.Deny deny => throw CallFailure.Denied(deny.Reason, deny.Detail),
            _ => throw new CallFailure(403, "denied", "Denied."),
        };
        PromptShield shield = new(
            services.Http, services.Credentials,
            (credential, recipient) => services.Outbox.Add(
                new InferenceRecord.Disclosed { Caller = caller, Credential = credential.Name, Recipient = recipient, Purpose = "inference", Rule = policy.Policy.Name }, urgent: true),
            services.TimeProvider);
        await ShieldAsync(policy, shield, request, cancellationToken).ConfigureAwait(false);
        Reservation reservation = Reserve(policy, verdict);
        SendProgress progress = new();
        Ending ending = new();
        try
        {
            services.Outbox.Add(
                new InferenceRecord.Started
                {
                    Caller = caller,
                    Call = _call,
                    Endpoint = EndpointNames.Of(endpoint),
                    Model = request.Facts.Model,
                    Policy = policy.Policy.Name,
                    PolicyDigest = policy.Policy.Digest,
                    PromptSha256 = Convert.ToHexStringLower(SHA256.HashData(bytes)),
                    ReservedTokens = verdict.Bound.Tokens,
                    ReservedNanoUsd = verdict.Bound.NanoUsd,
                    PromptBytes = bytes.Length,
                    PromptSalt = policy.RecordContent ? RandomNumberGenerator.GetBytes(32) : null,
                    Prompt = policy.RecordContent ? Encoding.UTF8.GetString(bytes.AsSpan(0, Math.Min(bytes.Length, MaxRecordedContent))) : null,
                },
                urgent: true);
            await AnswerAsync(policy, shield, request, verdict, progress, ending, cancellationToken).ConfigureAwait(false);
            ending.Outcome = "completed";
        }
        catch (CallFailure failure)
        {
            ending.Outcome = failure.Outcome;
            throw;
        }
        catch (OperationCanceledException)
        {
            ending.Outcome = _timeout is { IsCancellationRequested: true } ? "timed_out" : "caller_left";
            throw;
        }
        finally
        {
            Settle(reservation, verdict, progress, ending, redacted);
        }
    }

    private async Task AnswerAsync(
        InferencePolicyConfig policy, PromptShield shield, WireRequest request, InferenceVerdict.Allow verdict, SendProgress progress, Ending ending,
        CancellationToken cancellationToken)
    {
        // The request goes out while the disk works; no byte of the answer is given before what was set aside is durable.
        using UpstreamReply reply = await services.Sender.SendAsync(
            caller, policy, request, verdict, AnswerRelay.Rebuilds(policy), progress, cancellationToken).ConfigureAwait(false);
        await services.Spool.WhenDurableAsync().WaitAsync(cancellationToken).ConfigureAwait(false);
        AnswerRelay relay = new(policy, request, reply, answer, shield, services.TimeProvider);
        ending.Relay = relay;
        try
        {
            await relay.RunAsync(cancellationToken).ConfigureAwait(false);
            reply.Breaker.Succeeded();
        }
        catch (UpstreamBrokenException broken)
        {
            reply.Breaker.Failed();
            services.Metrics.UpstreamFailed(reply.Upstream.Kind, broken.Code);
            throw await EndedAsync(relay, new CallFailure(502, broken.Code, broken.Message), cancellationToken).ConfigureAwait(false);
        }
        catch (AnswerDeniedException denied)
        {
            reply.Breaker.Succeeded();
            throw await EndedAsync(relay, new CallFailure(403, "answer_denied", denied.Message) { Outcome = "denied" }, cancellationToken).ConfigureAwait(false);
        }
        catch (ShieldUnavailableException unavailable)
        {
            reply.Breaker.Left();
            throw await EndedAsync(relay, new CallFailure(502, "guardrail_unavailable", unavailable.Message) { Outcome = "denied" }, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            reply.Breaker.Left();
            throw;
        }
    }

    private async Task<CallFailure> EndedAsync(AnswerRelay relay, CallFailure failure, CancellationToken cancellationToken)
    {
        if (answer.HasStarted)
        {
            await relay.BreakOffAsync(failure.Code, failure.Message, cancellationToken).ConfigureAwait(false);
        }

        return failure;
    }

    private static IReadOnlyCollection<string> Inspect(InferencePolicyConfig policy, ref WireRequest request, ref byte[] bytes)
    {
        Detector[] detectors = [.. policy.Detectors.Where(detector => detector.Input)];
        if (detectors.Length == 0)
        {
            return [];
        }

        IReadOnlyCollection<string> redacted = InputRules.Apply(detectors, request.Body, out string? deniedBy);
        if (deniedBy is not null)
        {
            throw new CallFailure(403, "request_denied", $"The request was stopped by the rule '{deniedBy}'.") { IsDenial = true };
        }

        if (redacted.Count > 0)
        {
            bytes = JsonFields.Utf8(request.Body);
            request = request with { Facts = request.Facts with { InputBytes = Math.Max(request.Facts.InputBytes, bytes.Length) } };
        }

        return redacted;
    }

    private static async Task ShieldAsync(InferencePolicyConfig policy, PromptShield shield, WireRequest request, CancellationToken cancellationToken)
    {
        if (policy.Shield is not { Input: true } config)
        {
            return;
        }

        try
        {
            if (await shield.IsFlaggedAsync(config, "input", InputRules.Texts(request.Body), cancellationToken).ConfigureAwait(false))
            {
                throw new CallFailure(403, "request_denied", "The request was stopped by the prompt shield.") { IsDenial = true };
            }
        }
        catch (ShieldUnavailableException unavailable)
        {
            throw new CallFailure(502, "guardrail_unavailable", unavailable.Message) { IsDenial = true };
        }
    }

    private Reservation Reserve(InferencePolicyConfig policy, InferenceVerdict.Allow verdict)
    {
        DateTimeOffset now = services.TimeProvider.GetUtcNow();
        List<BudgetCharge> charges = [];
        foreach (BudgetLimit limit in policy.Policy.Budgets)
        {
            if (NameOf(limit.Scope) is { } name)
            {
                charges.Add(new BudgetCharge(BudgetAccount.At(limit.Scope, name, limit.Period, now), limit));
            }
        }

        // Longer than any call lives, so that only what nobody can settle any more expires.
        return services.Budgets.Reserve(charges, verdict.Bound, policy.MaxDuration + TimeSpan.FromMinutes(1)) switch
        {
            BudgetAnswer.Granted granted => granted.Reservation,
            BudgetAnswer.Refused refused => throw new CallFailure(
                429, "budget_exceeded",
                $"The {refused.Verdict.Account.Period.ToString().ToLowerInvariant()} budget of the {refused.Verdict.Account.Scope.ToString().ToLowerInvariant()} does not hold this request ({(refused.Verdict.Money ? "USD" : "tokens")}).")
            {
                RetryAfter = refused.RetryAfter,
                IsDenial = true,
            },
            _ => throw new System.Diagnostics.UnreachableException(),
        };
    }

    private string? NameOf(BudgetScope scope) => scope switch
    {
        BudgetScope.Agent => $"{caller.Namespace}/{caller.Agent}",
        BudgetScope.Team => caller.Team is { } team ? $"{caller.Namespace}/{team}" : null,
        BudgetScope.Universe => caller.Universe,
        _ => caller.Namespace,
    };

    private void Settle(Reservation reservation, InferenceVerdict.Allow verdict, SendProgress progress, Ending ending, IReadOnlyCollection<string> redacted)
    {
        Usage usage = ending.Relay?.Usage ?? default;
        if (endpoint == InferenceEndpoint.Embeddings && usage.Input is not null)
        {
            usage = usage with { Output = usage.Output ?? 0 };
        }

        bool inFull = progress.MayBeAccepted && !usage.IsWhole;
        Spend charged = !progress.MayBeAccepted ? Spend.Zero
            : usage is { Input: { } input, Output: { } output } ? (verdict.Model.Price ?? default).Of(input, output)
            : reservation.Amount;
        string[] names = [.. redacted.Union(ending.Relay?.Redacted ?? [], StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        InferenceRecord.Completed record = new()
        {
            Caller = caller,
            Call = _call,
            Outcome = ending.Outcome,
            Upstream = progress.Upstream,
            UpstreamStatus = progress.Status,
            Attempts = progress.Attempts,
            InputTokens = usage.Input,
            OutputTokens = usage.Output,
            ChargedTokens = charged.Tokens,
            ChargedNanoUsd = charged.NanoUsd,
            ChargedInFull = inFull,
            FirstByteMs = ending.Relay?.FirstByte is { } first ? (first - _start).TotalMilliseconds : null,
            DurationMs = (services.TimeProvider.GetUtcNow() - _start).TotalMilliseconds,
            Redacted = names.Length > 0 ? names : null,
            AnswerSha256 = ending.Relay?.Hash,
        };
        try
        {
            reservation.Settle(charged);
            services.Outbox.Add(record, urgent: false);
        }
        catch (SpoolUnavailableException)
        {
            // The reservation stays and is charged in full; the start without its end tells the rest. Nothing more is served.
            LogUnsettled(_call);
        }

        services.Metrics.Ended(endpoint, record);
        if (names.Length > 0)
        {
            services.Metrics.Redacted();
        }

        LogCall(caller.Key, EndpointNames.Of(endpoint), verdict.Model.Name, record.Upstream, record.UpstreamStatus, record.Outcome, record.ChargedTokens, (long)record.DurationMs);
    }

    private async Task RefuseAsync(CallFailure failure, CancellationToken cancellationToken)
    {
        if (failure.IsDenial)
        {
            services.Metrics.Denied(failure.Code);
            try
            {
                services.Outbox.AddDenial(new InferenceRecord.Denied { Caller = caller, Reason = failure.Code, Endpoint = EndpointNames.Of(endpoint), Policy = _policy?.Policy.Name });
            }
            catch (SpoolUnavailableException)
            {
                // It was refused, which is what matters; the next call that would go out is refused for the missing record.
            }
        }

        if (answer.HasStarted)
        {
            if (!answer.HasEnded)
            {
                answer.Abort();
            }

            return;
        }

        try
        {
            await answer.BeginAsync(failure.Status, "application/json", failure.Headers(), cancellationToken).ConfigureAwait(false);
            await answer.WriteAsync(failure.Body(endpoint), cancellationToken).ConfigureAwait(false);
            await answer.EndAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (e is OperationCanceledException or IOException)
        {
            answer.Abort(); // The caller has left.
        }
    }

    private void LogUnsettled(string call) => LogUnsettled(services.Logger, call);

    private void LogCall(string caller, string name, string modelName, string? upstream, int? status, string outcome, long tokens, long milliseconds) =>
        LogCall(services.Logger, caller, name, modelName, upstream, status, outcome, tokens, milliseconds);

    [LoggerMessage(Level = LogLevel.Error, Message = "Call {Call} could not be settled on the spool; its whole reservation stays charged")]
    private static partial void LogUnsettled(ILogger logger, string call);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Caller} {Endpoint} {Model} by {Upstream}: {Status} {Outcome}, {Tokens} tokens charged, {Milliseconds} ms")]
    private static partial void LogCall(
        ILogger logger, string caller, string endpoint, string model, string? upstream, int? status, string outcome, long tokens, long milliseconds);

    /// <summary>How the call ended, for its settlement.</summary>
    private sealed class Ending
    {
        public string Outcome { get; set; } = "upstream_failed";

        public AnswerRelay? Relay { get; set; }
    }
}
