using System.Diagnostics;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Operator.Control;

namespace Rynxs.Operator.Agents;

/// <summary>
/// The control state and the chain behind it. Appending is the commit, applying follows, and both happen under one lock, so that the
/// state in memory is always the fold of the chain. Records of other writers to the chain (mutations, refusals) are folded in between.
/// </summary>
internal sealed class ControlLog(ILedgerChain chain, string principal) : IDisposable
{
    private readonly SemaphoreSlim _gate = new(1, 1);
    private ControlState _state = ControlState.Empty;

    /// <summary>The state as of the last commit.</summary>
    public ControlState State => Volatile.Read(ref _state);

    /// <summary>Replays the chain from its start.</summary>
    public async Task ReplayAsync(CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            await CatchUp_NeedsLock(cancellationToken);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>
    /// Appends what <paramref name="decide"/> wants appended for the state of this moment; null appends nothing. Returns the new state.
    /// </summary>
    public async Task<ControlState> CommitAsync(
        Func<ControlState, (string AggregateId, LedgerPayload Payload, string? Decider)?> decide, CancellationToken cancellationToken)
    {
        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (decide(_state) is not { } wanted)
            {
                return _state;
            }

            // Once the entry is queued it may become durable: the answer is awaited, or memory and chain would part.
            await chain.AppendAsync(
                new LedgerEntry
                {
                    Payload = wanted.Payload,
                    AggregateId = wanted.AggregateId,
                    Principal = principal,
                    Decider = wanted.Decider,
                    TraceId = Activity.Current?.TraceId.ToHexString(),
                },
                cancellationToken);
            await CatchUp_NeedsLock(CancellationToken.None);
            return _state;
        }
        finally
        {
            _gate.Release();
        }
    }

    public void Dispose() => _gate.Dispose();

    private async Task CatchUp_NeedsLock(CancellationToken cancellationToken)
    {
        ControlState state = _state;
        await foreach (LedgerRecord record in chain.ReadAsync(state.LastSeq + 1, cancellationToken))
        {
            state = ControlReducer.Apply(state, ControlEvent.From(record));
        }

        Volatile.Write(ref _state, state);
    }
}
