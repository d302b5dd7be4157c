using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Extensions.Logging;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;

namespace Rynxs.Kubernetes.Leases;

/// <summary>
/// Holds a Lease of coordination.k8s.io so that at most one of several processes acts. Whether another's lease has ended is judged by the time that passed here
/// since its record was last seen to change, never by the times written in it: the clocks of two machines need not agree.
/// </summary>
/// <remarks>
/// <see cref="IsLeader"/> is true only while the last renewal was sent less than the renew deadline ago by the monotonic clock, so it turns false by itself in a
/// process that was paused, before it does anything else. The API client must have a request timeout below the renew deadline. A lease cannot fence what is
/// already on its way: appends to the ledger carry an epoch for that.
/// </remarks>
public sealed partial class LeaderElector
{
    private readonly KubernetesApi _api;
    private readonly LeaderElectionOptions _options;
    private readonly ILogger _logger;

    // What others have written, and when it was first seen here.
    private (string Holder, string Version, long SeenAt)? _observed;

    // Until when this process may act, by the monotonic clock; long.MinValue when it does not lead.
    private long _validUntil = long.MinValue;
    private string? _version;

    /// <summary>Makes an elector; nothing is sent yet.</summary>
    /// <exception cref="ArgumentException">The durations, or the client's request timeout, cannot keep two leaders apart.</exception>
    public LeaderElector(KubernetesApi api, LeaderElectionOptions options, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(api);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (api.Options.RequestTimeout >= options.RenewDeadline)
        {
            throw new ArgumentException($"leader election: the request timeout ({api.Options.RequestTimeout.TotalSeconds:0.###} s) must be below the renew deadline ({options.RenewDeadline.TotalSeconds:0.###} s)");
        }

        (_api, _options, _logger) = (api, options, logger);
    }

    /// <summary>Whether this process may act at this moment.</summary>
    public bool IsLeader => Now < Interlocked.Read(ref _validUntil);

    /// <summary>Who holds the lease as far as is known here; empty when nobody does.</summary>
    public string Holder => IsLeader ? _options.Identity : _observed?.Holder ?? "";

    /// <summary>How often leadership was acquired and lost, for metrics.</summary>
    public event Action<LeadershipEnd?>? Changed;

    private long Now => _options.TimeProvider.GetElapsedTime(0, _options.TimeProvider.GetTimestamp()).Ticks;

    /// <summary>Waits until this process holds the lease.</summary>
    public async Task<LeadershipTerm> AcquireAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                if (await TryAcquireAsync(cancellationToken) is { } term)
                {
                    LogAcquired(_options.Identity, $"{_options.Namespace}/{_options.Name}", term.Transitions);
                    Changed?.Invoke(null);
                    return term;
                }
            }
            catch (KubernetesException exception) when (exception.IsTransient || exception.Failure is KubernetesFailure.Conflict or KubernetesFailure.AlreadyExists)
            {
                // Another was quicker, or the server is away: look again.
                LogAttemptFailed(exception.Failure);
            }

            await Task.Delay(Spread(_options.RetryPeriod), _options.TimeProvider, cancellationToken);
        }
    }

    /// <summary>
    /// Renews until leadership ends, and says why. On cancellation the lease is given up, so that another need not wait for its end: cancel only when nothing
    /// that acts for the leader runs any more.
    /// </summary>
    public async Task<LeadershipEnd> HoldAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            try
            {
                await Task.Delay(Spread(_options.RetryPeriod), _options.TimeProvider, cancellationToken);
            }
            catch (OperationCanceledException)
            {
                await ReleaseAsync();
                return End(LeadershipEnd.Released);
            }

            if (!IsLeader)
            {
                return End(LeadershipEnd.RenewalFailed);
            }

            try
            {
                if (!await RenewAsync())
                {
                    return End(LeadershipEnd.TakenOver);
                }
            }
            catch (KubernetesException exception) when (exception.IsTransient || exception.Failure is KubernetesFailure.Conflict or KubernetesFailure.Forbidden or KubernetesFailure.Unauthorized)
            {
                LogAttemptFailed(exception.Failure); // until the deadline
            }
        }
    }

    private LeadershipEnd End(LeadershipEnd reason)
    {
        Interlocked.Exchange(ref _validUntil, long.MinValue);
        _version = null;
        LogLost(_options.Identity, $"{_options.Namespace}/{_options.Name}", reason);
        Changed?.Invoke(reason);
        return reason;
    }

    private async Task<LeadershipTerm?> TryAcquireAsync(CancellationToken cancellationToken)
    {
        KubeObject? lease = await _api.TryGetAsync(ApiResources.Leases, _options.Namespace, _options.Name, cancellationToken);
        long sentAt = Now;
        if (lease is null)
        {
            KubeObject created = await _api.CreateAsync(ApiResources.Leases, _options.Namespace, Content(version: null, transitions: 1, acquire: true), cancellationToken);
            Lead(created, sentAt);
            return new LeadershipTerm(1, PreviousHolder: null);
        }

        string holder = lease.TextAt("spec", "holderIdentity") ?? "";
        long transitions = lease.At("spec", "leaseTransitions") is { ValueKind: JsonValueKind.Number } count && count.TryGetInt64(out long number) ? number : 0;
        if (holder.Length > 0 && !MayTake(lease, holder))
        {
            return null;
        }

        // The version is the precondition: of two that see the same ended lease one wins.
        sentAt = Now;
        KubeObject taken = await _api.ReplaceAsync(
            ApiResources.Leases, _options.Namespace, _options.Name, Content(lease.ResourceVersion, transitions + 1, acquire: true), subresource: null, cancellationToken);
        Lead(taken, sentAt);
        return new LeadershipTerm(transitions + 1, holder.Length > 0 ? holder : null);
    }

    private bool MayTake(KubeObject lease, string holder)
    {
        if (_observed is not { } seen || seen.Version != lease.ResourceVersion)
        {
            _observed = (holder, lease.ResourceVersion, Now);
            return false;
        }

        // The longer of the two durations: a candidate with other settings must not cut the holder's time short.
        TimeSpan stated = lease.At("spec", "leaseDurationSeconds") is { ValueKind: JsonValueKind.Number } seconds && seconds.TryGetInt32(out int number)
            ? TimeSpan.FromSeconds(Math.Clamp(number, 0, 3600)) : TimeSpan.Zero;
        TimeSpan duration = stated > _options.LeaseDuration ? stated : _options.LeaseDuration;
        return Now - seen.SeenAt > duration.Ticks;
    }

    private async Task<bool> RenewAsync()
    {
        long sentAt = Now;
        JsonObject content = Content(_version, transitions: null, acquire: false);
        try
        {
            // A merge patch with the version: all else in the lease stays as it is. Not cancelled by a stop, or it would be unknown whether it took effect.
            Lead(await _api.PatchAsync(ApiResources.Leases, _options.Namespace, _options.Name, PatchKind.Merge, content, subresource: null, force: false, CancellationToken.None), sentAt);
            return true;
        }
        catch (KubernetesException exception) when (exception.Failure is KubernetesFailure.Conflict or KubernetesFailure.NotFound)
        {
            // Our own write whose answer was lost, somebody's annotation, or another holder.
            KubeObject? lease = await _api.TryGetAsync(ApiResources.Leases, _options.Namespace, _options.Name, CancellationToken.None);
            if (lease?.TextAt("spec", "holderIdentity") != _options.Identity)
            {
                return false;
            }

            _version = lease.ResourceVersion;
            throw;
        }
    }

    private async Task ReleaseAsync()
    {
        if (!IsLeader || _version is null)
        {
            return;
        }

        // First here, then there: between the two nobody leads.
        string version = _version;
        Interlocked.Exchange(ref _validUntil, long.MinValue);
        JsonObject content = Content(version, transitions: null, acquire: false);
        content["spec"]!["holderIdentity"] = ""; // the path was just made
        content["spec"]!["leaseDurationSeconds"] = 1;
        try
        {
            await _api.PatchAsync(ApiResources.Leases, _options.Namespace, _options.Name, PatchKind.Merge, content, subresource: null, force: false, CancellationToken.None);
        }
        catch (KubernetesException exception)
        {
            LogAttemptFailed(exception.Failure); // the others wait for its end, then
        }
    }

    private void Lead(KubeObject lease, long sentAt)
    {
        _version = lease.ResourceVersion;
        _observed = (_options.Identity, lease.ResourceVersion, sentAt);

        // From when it was sent, not from when the answer came: the others count from no later than its arrival there.
        Interlocked.Exchange(ref _validUntil, sentAt + _options.RenewDeadline.Ticks);
    }

    private JsonObject Content(string? version, long? transitions, bool acquire)
    {
        string now = _options.TimeProvider.GetUtcNow().UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);
        var metadata = new JsonObject { ["name"] = _options.Name, ["namespace"] = _options.Namespace };
        if (version is not null)
            metadata["resourceVersion"] = version;
        var spec = new JsonObject
        {
            ["holderIdentity"] = _options.Identity,
            ["leaseDurationSeconds"] = (int)_options.LeaseDuration.TotalSeconds,
            ["renewTime"] = now,
        };
        if (acquire)
            spec["acquireTime"] = now;
        if (transitions is { } count)
            spec["leaseTransitions"] = count;
        return new JsonObject { ["apiVersion"] = "coordination.k8s.io/v1", ["kind"] = "Lease", ["metadata"] = metadata, ["spec"] = spec };
    }

    // Up to a fifth more, so that candidates do not ask in step.
    private TimeSpan Spread(TimeSpan period) => period * (1 + (0.2 * _options.Random.NextDouble()));

    [LoggerMessage(Level = LogLevel.Information, Message = "{Identity} leads by lease {Lease}, transition {Transitions}")]
    private partial void LogAcquired(string identity, string lease, long transitions);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Identity} no longer leads by lease {Lease}: {Reason}")]
    private partial void LogLost(string identity, string lease, LeadershipEnd reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "An attempt at the lease failed: {Failure}")]
    private partial void LogAttemptFailed(KubernetesFailure failure);
}
