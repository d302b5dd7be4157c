using System.Threading.Channels;
using Rynxs.Resources.Meta;

namespace Rynxs.Operator.Agents;

/// <summary>
/// Reconciles one agent at a time, when woken, when a retry is due, and now and then. A failure that the reconciler does not expect
/// (the ledger is gone, the fold refuses a record) fails the whole controller.
/// </summary>
internal sealed class AgentWorker
{
    // One slot is enough: however often it was woken, one look at the current object answers all of it.
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    public AgentWorker(
        NamespacedName agent, AgentReconciler reconciler, AgentControllerOptions options, TaskCompletionSource failed, CancellationToken cancellationToken)
    {
        Completion = Task.Run(() => RunAsync(agent, reconciler, options, failed, cancellationToken), CancellationToken.None);
    }

    /// <summary>Ends when the controller stops; never faults.</summary>
    public Task Completion { get; }

    public void Wake() => _wake.Writer.TryWrite(true);

    private async Task RunAsync(
        NamespacedName agent, AgentReconciler reconciler, AgentControllerOptions options, TaskCompletionSource failed, CancellationToken cancellationToken)
    {
        try
        {
            TimeSpan wait = Timeout.InfiniteTimeSpan;
            while (true)
            {
                await WaitAsync(wait, options.TimeProvider, cancellationToken);
                wait = await reconciler.ReconcileAsync(agent, cancellationToken) ?? options.ResyncInterval;
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // The stop that was asked for.
        }
        catch (Exception exception)
        {
            // The top of this loop: the controller decides, and it stops the host.
            failed.TrySetException(exception);
        }
    }

    private async Task WaitAsync(TimeSpan wait, TimeProvider timeProvider, CancellationToken cancellationToken)
    {
        using var timer = new CancellationTokenSource(wait, timeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, cancellationToken);
        try
        {
            await _wake.Reader.ReadAsync(either.Token);
        }
        catch (OperationCanceledException) when (timer.IsCancellationRequested && !cancellationToken.IsCancellationRequested)
        {
            // A retry or the regular look is due.
        }
    }
}
