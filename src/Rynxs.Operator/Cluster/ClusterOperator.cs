using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using Rynxs.Kubernetes.Leases;
using Rynxs.Kubernetes.Requests;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Resources.Identity;

namespace Rynxs.Operator.Cluster;

/// <summary>What an operator needs.</summary>
public sealed record ClusterOperatorOptions
{
    /// <summary>How the API server is reached. The operator makes clients of its own from it: one for the lease, one for all else.</summary>
    public required KubernetesApiOptions Api { get; init; }

    public required LeaderElectionOptions Election { get; init; }

    public required ClusterOptions Cluster { get; init; }

    /// <summary>Opens the ledger for a term; it is closed at the term's end. Opening the control chain must begin a new epoch and fence who had it.</summary>
    public required Func<CancellationToken, Task<ILedger>> OpenLedger { get; init; }

    public required IMeterFactory Meters { get; init; }

    public required ILoggerFactory Loggers { get; init; }

    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>How long a term waits for running work when it ends. Default 10 s.</summary>
    public TimeSpan Drain { get; init; } = TimeSpan.FromSeconds(10);
}

/// <summary>
/// One replica of the operator. It watches always, and acts only while it leads: each term claims the control chain, which begins a new epoch and fences the
/// leader before, replays it, and works.
/// </summary>
/// <remarks>
/// Two walls keep a deposed leader from acting. Its lease is judged by its own clock before every write to the API server, and the ledger refuses appends of an
/// older epoch; since every action is preceded by a record, what the second wall stops was not begun.
/// Stopping: the work ends, the end of leadership is recorded, the lease is given up, the watches end.
/// </remarks>
public sealed partial class ClusterOperator : IAsyncDisposable
{
    private static readonly TimeSpan TermRetry = TimeSpan.FromSeconds(1);

    private readonly ClusterOperatorOptions _options;
    private readonly ILogger _logger;
    private readonly KubernetesApi _leaseApi;
    private readonly KubernetesApi _api;
    private readonly LeaderElector _elector;
    private readonly ClusterView _view;
    private readonly OperatorMetrics _metrics;

    /// <summary>Makes an operator; nothing is sent yet.</summary>
    /// <exception cref="ArgumentException">The durations of the election do not fit each other.</exception>
    public ClusterOperator(ClusterOperatorOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        _options = options;
        _logger = options.Loggers.CreateLogger<ClusterOperator>();

        // Its own connection and short patience: a slow list of thousands must not cost the lease.
        _leaseApi = new KubernetesApi(options.Api with { RequestTimeout = options.Election.RenewDeadline / 2, MaxRetries = 0 });
        _elector = new LeaderElector(_leaseApi, options.Election, _logger);
        _api = new KubernetesApi(options.Api with { MayWrite = () => _elector.IsLeader });
        _view = new ClusterView(_api, options.Cluster.Namespace, _logger);
        _metrics = new OperatorMetrics(options.Meters, () => _elector.IsLeader);
        _elector.Changed += _metrics.LeadershipChanged;
    }

    /// <summary>Whether this replica may act now.</summary>
    public bool IsLeader => _elector.IsLeader;

    /// <summary>Who leads as far as is known here; empty when nobody does.</summary>
    public string Leader => _elector.Holder;

    /// <summary>Whether everything was listed once, so that this replica could lead.</summary>
    public bool IsReady => _view.Synced.IsCompletedSuccessfully;

    /// <summary>Runs until cancelled. Ends with an exception only where trying again cures nothing: a right is missing, a chain does not verify.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        using var watching = new CancellationTokenSource();
        Task watches = _view.RunAsync(watching.Token);
        Task terms = RunTermsAsync(watches, stop.Token);
        Task first = await Task.WhenAny(watches, terms);
        await stop.CancelAsync();
        try
        {
            await terms;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The stop that was asked for.
        }
        finally
        {
            await watching.CancelAsync();
            await watches.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }

        if (first == watches)
        {
            await watches;
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _metrics.Dispose();
        _api.Dispose();
        _leaseApi.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task RunTermsAsync(Task watches, CancellationToken cancellationToken)
    {
        // Who cannot see must not lead.
        await Task.WhenAny(_view.Synced, watches).WaitAsync(cancellationToken);
        while (!cancellationToken.IsCancellationRequested && !watches.IsCompleted)
        {
            LeadershipTerm term = await _elector.AcquireAsync(cancellationToken);
            await RunTermAsync(term, cancellationToken);
            if (!cancellationToken.IsCancellationRequested)
            {
                await Task.Delay(TermRetry, _options.TimeProvider, cancellationToken);
            }
        }
    }

    private async Task RunTermAsync(LeadershipTerm term, CancellationToken cancellationToken)
    {
        using var release = new CancellationTokenSource();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task<LeadershipEnd> holding = _elector.HoldAsync(release.Token);
        Task work = WorkAsync(term, holding, stop.Token);
        await Task.WhenAny(holding, work);
        await stop.CancelAsync();
        Task ended = await Task.WhenAny(work, Task.Delay(_options.Drain, _options.TimeProvider, CancellationToken.None));
        if (ended != work)
        {
            LogNotDrained(_options.Drain);
        }

        // Only now: nothing that acts for this term may run once another can begin.
        await release.CancelAsync();
        await holding;
        try
        {
            await work;
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // The end of the term.
        }
        catch (LedgerFencedException exception)
        {
            LogFenced(exception.Message);
        }
        catch (Exception exception) when (exception is LedgerUnavailableException or KubernetesException or Rynxs.Resources.Client.ResourceException)
        {
            // Another replica, or this one a little later, may have more luck.
            LogTermFailed(exception.Message);
        }
    }

    private async Task WorkAsync(LeadershipTerm term, Task<LeadershipEnd> holding, CancellationToken cancellationToken)
    {
        await using ILedger ledger = await _options.OpenLedger(cancellationToken);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken);
        while (chain.Epoch == 0)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(50), _options.TimeProvider, cancellationToken); // the role ledger is away
        }

        // The claim has fenced whoever led before. Had this process been paused between lease and claim, it has just fenced the rightful leader, who will
        // step down and be elected anew; but act on it, it does not.
        if (!_elector.IsLeader)
        {
            return;
        }

        string lease = $"{_options.Election.Namespace}/{_options.Election.Name}";
        await AppendAsync(chain, new LeadershipAcquired { Lease = lease, Holder = _options.Election.Identity, Epoch = chain.Epoch, PreviousHolder = term.PreviousHolder });
        try
        {
            var agents = new ClusterAgents(_api, _view, chain, _options.Cluster, _options.TimeProvider, _metrics, _logger);
            await agents.RunAsync(cancellationToken);
        }
        finally
        {
            // Recorded also by a leader that was deposed: if another has claimed the chain, the ledger refuses this, and records the refusal.
            LeadershipEnd? end = holding.IsCompletedSuccessfully ? await holding : null;
            string reason = end switch { LeadershipEnd.TakenOver => "taken_over", LeadershipEnd.RenewalFailed => "renewal_failed", _ => "released" };
            await TellEndAsync(chain, new LeadershipLost { Lease = lease, Holder = _options.Election.Identity, Epoch = chain.Epoch, Reason = reason });
        }
    }

    private static async Task<AppendedRecord> AppendAsync(ILedgerChain chain, LedgerPayload payload) =>
        await chain.AppendAsync(new LedgerEntry { Payload = payload, AggregateId = "rynxs/control", Principal = Principal.System.Name }, CancellationToken.None);

    private async Task TellEndAsync(ILedgerChain chain, LeadershipLost lost)
    {
        try
        {
            await AppendAsync(chain, lost).WaitAsync(TimeSpan.FromSeconds(2), _options.TimeProvider);
        }
        catch (Exception exception) when (exception is LedgerUnavailableException or TimeoutException)
        {
            LogEndNotRecorded(exception.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Fenced: {Reason}")]
    private partial void LogFenced(string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "The term ended: {Reason}")]
    private partial void LogTermFailed(string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The end of the term could not be recorded: {Reason}")]
    private partial void LogEndNotRecorded(string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "Work of the term has not ended within {Drain}; the lease is given up nevertheless, and its writes are refused")]
    private partial void LogNotDrained(TimeSpan drain);
}
