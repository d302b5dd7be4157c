using System.Diagnostics;
using System.Threading.Channels;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;

namespace Rynxs.Server.Audit;

/// <summary>
/// Records refused requests on the control chain. The first <see cref="SinglesPerWindow"/> of a window are recorded one by one; the rest of the
/// window becomes one record per (principal, verb, route, reason) with a count, at most <see cref="MaxSums"/> of them: a flood costs a
/// bounded number of records per minute, whatever its size.
/// </summary>
internal sealed partial class DeniedRequestLog(ILedgerChain chain, TimeProvider timeProvider, ILogger<DeniedRequestLog> logger)
{
    internal const int SinglesPerWindow = 30;
    internal const int MaxSums = 32;
    internal static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    private static readonly (string, string, string, string) Overflow = ("many", "*", "*", "flood");

    private readonly Channel<Denial> _singles = Channel.CreateBounded<Denial>(
        new BoundedChannelOptions(SinglesPerWindow * 2) { FullMode = BoundedChannelFullMode.DropWrite });

    private readonly Lock _gate = new();
    private Dictionary<(string Principal, string Verb, string Resource, string Reason), long> _sums = [];
    private int _singlesLeft = SinglesPerWindow;

    /// <summary>Notes a refusal. Never waits and never fails: refusing does not depend on it.</summary>
    public void Record(string principal, string verb, string resource, string reason)
    {
        var denial = new Denial(Cut(principal), Cut(verb), Cut(resource), reason, Activity.Current?.TraceId.ToHexString());
        lock (_gate)
        {
            if (_singlesLeft > 0 && _singles.Writer.TryWrite(denial))
            {
                _singlesLeft--;
                return;
            }

            (string, string, string, string) key = (denial.Principal, denial.Verb, denial.Resource, denial.Reason);
            if (!_sums.ContainsKey(key) && _sums.Count >= MaxSums)
            {
                key = Overflow;
            }

            _sums[key] = _sums.GetValueOrDefault(key) + 1;
        }
    }

    /// <summary>Writes until cancelled, then what is left.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        Task singles = WriteSinglesAsync(cancellationToken);
        Task sums = WriteSumsAsync(cancellationToken);
        await Task.WhenAll(singles, sums);
        await FlushAsync();
    }

    private async Task WriteSinglesAsync(CancellationToken cancellationToken)
    {
        try
        {
            await foreach (Denial denial in _singles.Reader.ReadAllAsync(cancellationToken))
            {
                await AppendAsync(denial, count: null);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Stop: the flush writes the rest.
        }
    }

    private async Task WriteSumsAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Window, timeProvider);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                await WriteAndResetAsync();
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Stop: the flush writes the rest.
        }
    }

    private async Task FlushAsync()
    {
        // Bounded work at the end of a stop; the ledger is closed after it.
        while (_singles.Reader.TryRead(out Denial? denial))
        {
            await AppendAsync(denial, count: null);
        }

        await WriteAndResetAsync();
    }

    private async Task WriteAndResetAsync()
    {
        Dictionary<(string Principal, string Verb, string Resource, string Reason), long> sums;
        lock (_gate)
        {
            (sums, _sums) = (_sums, []);
            _singlesLeft = SinglesPerWindow;
        }

        foreach (((string principal, string verb, string resource, string reason), long count) in sums)
        {
            await AppendAsync(new Denial(principal, verb, resource, reason, TraceId: null), count);
        }
    }

    private async Task AppendAsync(Denial denial, long? count)
    {
        try
        {
            await chain.AppendAsync(
                new LedgerEntry
                {
                    Payload = new RequestDenied { Verb = denial.Verb, Resource = denial.Resource, Reason = denial.Reason, Count = count },
                    AggregateId = "server",
                    Principal = denial.Principal,
                    TraceId = denial.TraceId,
                },
                // It was taken from the queue: a stop must not lose it between the queue and the chain.
                CancellationToken.None);
        }
        catch (LedgerUnavailableException exception)
        {
            // The request was refused all the same; the log says that the record is missing.
            LogNotRecorded(denial.Reason, exception.Message);
        }
    }

    private static string Cut(string text) => text.Length <= 128 ? text : text[..128];

    private sealed record Denial(string Principal, string Verb, string Resource, string Reason, string? TraceId);

    [LoggerMessage(Level = LogLevel.Error, Message = "A refused request ({Reason}) could not be recorded: {Cause}")]
    private partial void LogNotRecorded(string reason, string cause);
}
