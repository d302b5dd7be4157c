using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress;

/// <summary>One tunnel or forwarded request, from its permission to its end.</summary>
internal sealed class Flow : IDisposable
{
    private readonly CancellationTokenSource _cut;
    private readonly CancellationTokenSource _time;
    private readonly ByteBudget _budget;
    private long _bytesOut;
    private long _bytesIn;
    private int _cutFor = -1;

    public Flow(long number, EgressRequest request, string rule, ByteBudget budget, TimeSpan maxTime, TimeProvider timeProvider, CancellationToken closing)
    {
        Number = number;
        Request = request;
        Rule = rule;
        _budget = budget;
        _time = new CancellationTokenSource(maxTime, timeProvider);
        _cut = CancellationTokenSource.CreateLinkedTokenSource(closing, _time.Token);
    }

    public long Number { get; }

    public EgressRequest Request { get; }

    public string Rule { get; }

    public long BytesOut => Interlocked.Read(ref _bytesOut);

    public long BytesIn => Interlocked.Read(ref _bytesIn);

    /// <summary>Cancelled when the flow must stop at once.</summary>
    public CancellationToken Cut => _cut.Token;

    /// <summary>Why it was cut; null while it was not.</summary>
    public FlowEnd? CutFor => _cutFor >= 0 ? (FlowEnd)_cutFor
        : _time.IsCancellationRequested ? FlowEnd.TimeLimit
        : _cut.IsCancellationRequested ? FlowEnd.ChannelClosed
        : null;

    /// <summary>Stops the flow; the first reason stays.</summary>
    public void CutOff(FlowEnd reason)
    {
        if (Interlocked.CompareExchange(ref _cutFor, (int)reason, -1) != -1)
        {
            return;
        }

        try
        {
            _cut.Cancel();
        }
        catch (ObjectDisposedException)
        {
            // It ended by itself while the decision to cut it was made.
        }
    }

    /// <summary>Counts bytes before they are passed on; false (and the flow is cut) when the sandbox has none left.</summary>
    public bool TryCountOut(int bytes)
    {
        Interlocked.Add(ref _bytesOut, bytes);
        return _budget.TrySpendOut(bytes) || Exhausted();
    }

    /// <inheritdoc cref="TryCountOut"/>
    public bool TryCountIn(int bytes)
    {
        Interlocked.Add(ref _bytesIn, bytes);
        return _budget.TrySpendIn(bytes) || Exhausted();
    }

    public void Dispose()
    {
        _cut.Dispose();
        _time.Dispose();
    }

    private bool Exhausted()
    {
        CutOff(FlowEnd.ByteLimit);
        return false;
    }
}

/// <summary>What is left of the bytes of a channel. Shared by its flows.</summary>
internal sealed class ByteBudget(long bytesOut, long bytesIn)
{
    private long _out = bytesOut;
    private long _in = bytesIn;

    private long _countedOut;
    private long _countedIn;

    /// <summary>Of the flows that have ended.</summary>
    public (long Out, long In) Counted => (Interlocked.Read(ref _countedOut), Interlocked.Read(ref _countedIn));

    public void Count(long bytesOut, long bytesIn)
    {
        Interlocked.Add(ref _countedOut, bytesOut);
        Interlocked.Add(ref _countedIn, bytesIn);
    }

    public bool TrySpendOut(int bytes) => Interlocked.Add(ref _out, -bytes) >= 0;

    public bool TrySpendIn(int bytes) => Interlocked.Add(ref _in, -bytes) >= 0;
}
