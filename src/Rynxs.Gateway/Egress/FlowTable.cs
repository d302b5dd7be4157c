using System.Collections.Concurrent;
using System.Threading.RateLimiting;
using Microsoft.Extensions.Logging;
using Rynxs.Policy;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress;

/// <summary>
/// Decides about the flows of one channel, records them and ends them: a flow exists only under the policy of the moment. A policy that is replaced,
/// and a rule whose time is over, cut what they no longer allow.
/// </summary>
internal sealed partial class FlowTable : IAsyncDisposable
{
    private readonly ChannelId _channel;
    private readonly EgressLimits _limits;
    private readonly IEgressLog _log;
    private readonly TimeProvider _timeProvider;
    private readonly ILogger _logger;
    private readonly DenialLog _denials;
    private readonly ByteBudget _budget;
    private readonly TokenBucketRateLimiter _rate;
    private readonly ITimer _review;
    private readonly ConcurrentDictionary<long, Flow> _flows = [];
    private readonly CancellationTokenSource _closing = new();
    private volatile EgressPolicyModel _model;
    private long _numbers;
    private int _count;
    private Task _flushing = Task.CompletedTask;

    public FlowTable(
        ChannelId channel, EgressPolicyModel model, EgressLimits limits, IEgressLog log, TimeProvider timeProvider, ILogger logger)
    {
        (_channel, _model, _limits, _log, _timeProvider, _logger) = (channel, model, limits, log, timeProvider, logger);
        _denials = new DenialLog(channel, log, timeProvider, logger);
        _budget = new ByteBudget(limits.MaxBytesOut, limits.MaxBytesIn);
        _rate = new TokenBucketRateLimiter(new TokenBucketRateLimiterOptions
        {
            TokenLimit = limits.MaxFlowsPerSecond,
            TokensPerPeriod = limits.MaxFlowsPerSecond,
            ReplenishmentPeriod = TimeSpan.FromSeconds(1),
            QueueLimit = 0,
        });

        // A second is how late the end of a rule's time may cut a flow that is already open; new flows see it at once.
        _review = timeProvider.CreateTimer(_ => Review(), null, TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(1));
    }

    public EgressLimits Limits => _limits;

    public EgressPolicyModel Model => _model;

    public CancellationToken Closing => _closing.Token;

    public int Count => Volatile.Read(ref _count);

    /// <summary>Bytes of the flows that have ended.</summary>
    public (long Out, long In) Bytes => _budget.Counted;

    /// <summary>Swaps the policy; flows that it does not allow are cut before this returns.</summary>
    public void Replace(EgressPolicyModel model)
    {
        _model = model;
        CutForbidden();
    }

    /// <summary>
    /// Admits a flow once its record is durable, or says why not. The alternatives are what one tunnel may turn out to be, the widest first; the first
    /// that is allowed is taken, and if none is, the last speaks for the denial.
    /// </summary>
    public async ValueTask<Admission> AdmitAsync(IReadOnlyList<EgressRequest> alternatives, CancellationToken cancellationToken)
    {
        EgressRequest last = alternatives[^1];
        if (!TryTakePlace())
        {
            await _denials.DenyAsync(last.Host, last.Port, EgressDenial.Limit, null, cancellationToken).ConfigureAwait(false);
            return new Admission.Refused(EgressDenial.Limit);
        }

        EgressPolicyModel model = _model;
        (EgressRequest request, Verdict verdict) = Decide(model, alternatives);
        if (verdict is not Verdict.Allow allow)
        {
            Interlocked.Decrement(ref _count);
            EgressDenial denial = verdict is Verdict.Ask ? EgressDenial.ApprovalRequired : EgressDenial.Policy;
            if (request.Host != EgressPolicy.ProbeHost)
            {
                bool grantable = EgressPolicy.CouldBeGranted(model, request, _timeProvider.GetUtcNow());
                await _denials.DenyAsync(new DenialKind(request.Host, request.Port, denial, verdict.Rule, request.Protocol, grantable), cancellationToken).ConfigureAwait(false);
            }

            return new Admission.Refused(denial);
        }

        Flow flow = new(
            Interlocked.Increment(ref _numbers), request, allow.AllowingRule, _budget, _limits.MaxFlowTime, _timeProvider, _closing.Token);
        _flows[flow.Number] = flow;

        // Registered first and looked at again: a policy that was swapped in between has either cut it or is seen here.
        if (!ReferenceEquals(model, _model))
        {
            CutForbidden();
        }

        try
        {
            await _log.WriteAsync(new EgressEvent.Opening(flow.Number, request, flow.Rule) { Channel = _channel }, cancellationToken).ConfigureAwait(false);
            return new Admission.Admitted(flow);
        }
        catch (Exception e)
        {
            // The log is another assembly's code and any failure of it means the same here: no record, no way out.
            Forget(flow);
            if (e is OperationCanceledException && cancellationToken.IsCancellationRequested)
            {
                throw;
            }

            LogUnrecorded(_logger, e, _channel.Text);
            await _denials.DenyAsync(request.Host, request.Port, EgressDenial.Unrecorded, flow.Rule, cancellationToken).ConfigureAwait(false);
            return new Admission.Refused(EgressDenial.Unrecorded);
        }
    }

    /// <summary>Whether DNS inside may answer a name; a refusal is counted as a denial. Nothing is looked up either way.</summary>
    public async ValueTask<bool> MayResolveAsync(HostName host, CancellationToken cancellationToken)
    {
        if (EgressPolicy.MayResolve(_model, host, _timeProvider.GetUtcNow()))
        {
            return true;
        }

        if (host != EgressPolicy.ProbeHost)
        {
            await _denials.DenyAsync(host, 0, EgressDenial.Name, null, cancellationToken).ConfigureAwait(false);
        }

        return false;
    }

    /// <summary>Ends a flow that was admitted, exactly once, and records how.</summary>
    public async ValueTask EndAsync(Flow flow, FlowEnd end)
    {
        EgressEvent.Closed closed = new(flow.Number, flow.BytesOut, flow.BytesIn, flow.CutFor ?? end) { Channel = _channel };
        _budget.Count(flow.BytesOut, flow.BytesIn);
        Forget(flow);
        try
        {
            // Not cancelled: the end of a flow is a fact whoever stopped waiting for it.
            await _log.WriteAsync(closed, CancellationToken.None).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            // The opening without an end stays visible in the log; the flow itself is over.
            LogUnrecordedEnd(_logger, e, _channel.Text, closed.Flow);
        }
    }

    public ValueTask DenyAsync(HostName? host, int port, EgressDenial reason, CancellationToken cancellationToken) =>
        _denials.DenyAsync(host, port, reason, null, cancellationToken);

    /// <summary>Cuts every flow, waits for none, and tells what was counted.</summary>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        await _review.DisposeAsync().ConfigureAwait(false);
        await _flushing.ConfigureAwait(false);
        await _denials.FlushAsync(everything: true, CancellationToken.None).ConfigureAwait(false);
        await _rate.DisposeAsync().ConfigureAwait(false);
    }

    private static (EgressRequest Request, Verdict Verdict) Decide(EgressPolicyModel model, IReadOnlyList<EgressRequest> alternatives, DateTimeOffset now)
    {
        EgressRequest last = alternatives[^1];
        foreach (EgressRequest alternative in alternatives)
        {
            Verdict verdict = EgressPolicy.Decide(model, alternative, now);
            if (verdict is Verdict.Allow)
            {
                return (alternative, verdict);
            }
        }

        return (last, EgressPolicy.Decide(model, last, now));
    }

    private (EgressRequest Request, Verdict Verdict) Decide(EgressPolicyModel model, IReadOnlyList<EgressRequest> alternatives) =>
        Decide(model, alternatives, _timeProvider.GetUtcNow());

    private bool TryTakePlace()
    {
        if (Interlocked.Increment(ref _count) <= _limits.MaxFlows && !_closing.IsCancellationRequested)
        {
            using RateLimitLease lease = _rate.AttemptAcquire();
            if (lease.IsAcquired)
            {
                return true;
            }
        }

        Interlocked.Decrement(ref _count);
        return false;
    }

    private void Forget(Flow flow)
    {
        if (_flows.TryRemove(flow.Number, out _))
        {
            Interlocked.Decrement(ref _count);
            flow.Dispose();
        }
    }

    private void CutForbidden()
    {
        DateTimeOffset now = _timeProvider.GetUtcNow();
        foreach (Flow flow in _flows.Values)
        {
            if (EgressPolicy.Decide(_model, flow.Request, now) is not Verdict.Allow)
            {
                flow.CutOff(FlowEnd.PermissionEnded);
            }
        }
    }

    /// <summary>Once a second: rules whose time is over, and denials that are due. One flush at a time; a slow log delays the next.</summary>
    private void Review()
    {
        CutForbidden();
        if (_flushing.IsCompleted && !_closing.IsCancellationRequested)
        {
            _flushing = _denials.FlushAsync(everything: false, CancellationToken.None);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "A flow of channel {Channel} was refused: its opening could not be recorded")]
    private static partial void LogUnrecorded(ILogger logger, Exception exception, string channel);

    [LoggerMessage(Level = LogLevel.Error, Message = "The end of flow {Flow} of channel {Channel} could not be recorded")]
    private static partial void LogUnrecordedEnd(ILogger logger, Exception exception, string channel, long flow);
}

/// <summary>Whether a flow may begin.</summary>
internal abstract record Admission
{
    private Admission()
    {
    }

    /// <summary>The receiver ends the flow with <see cref="FlowTable.EndAsync"/>.</summary>
    public sealed record Admitted(Flow Flow) : Admission;

    /// <summary>It was recorded, or counted, as a denial.</summary>
    public sealed record Refused(EgressDenial Denial) : Admission;
}
