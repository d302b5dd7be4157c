using Microsoft.Extensions.Logging;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress;

/// <summary>
/// Tells denials to the log: the first of a kind at once, equal ones with their number once a minute, so that a sandbox that hammers a closed door
/// writes a line a minute and not a disk full. Kinds are bounded; beyond that, denials are counted by reason alone.
/// </summary>
internal sealed partial class DenialLog(ChannelId channel, IEgressLog log, TimeProvider timeProvider, ILogger logger)
{
    /// <summary>Kinds that are told apart at once.</summary>
    public const int MaxKinds = 1_024;

    private static readonly TimeSpan Interval = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    private readonly Dictionary<DenialKind, Tally> _tallies = [];

    /// <summary>Counts one denial, and tells it when its kind was not told within the last minute. Never throws: a denial holds whether told or not.</summary>
    public ValueTask DenyAsync(HostName? host, int port, EgressDenial reason, string? rule, CancellationToken cancellationToken) =>
        DenyAsync(new DenialKind(host, port, reason, rule), cancellationToken);

    /// <inheritdoc cref="DenyAsync(HostName?, int, EgressDenial, string?, CancellationToken)"/>
    public async ValueTask DenyAsync(DenialKind kind, CancellationToken cancellationToken)
    {
        long count;
        lock (_lock)
        {
            if (!_tallies.ContainsKey(kind) && _tallies.Count >= MaxKinds)
            {
                kind = new DenialKind(null, 0, kind.Reason, null);
            }

            Tally tally = _tallies.GetValueOrDefault(kind);
            if (tally.Count > 0 || tally.ToldAt is { } told && timeProvider.GetElapsedTime(told) < Interval)
            {
                _tallies[kind] = tally with { Count = tally.Count + 1 };
                return;
            }

            count = 1;
            _tallies[kind] = new Tally(0, timeProvider.GetTimestamp());
        }

        await TellAsync(kind, count, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Tells what was counted and is due. Run once a minute, and with <paramref name="everything"/> when the channel closes.</summary>
    public async Task FlushAsync(bool everything, CancellationToken cancellationToken)
    {
        List<(DenialKind Kind, long Count)> due = [];
        lock (_lock)
        {
            foreach ((DenialKind kind, Tally tally) in _tallies.ToArray())
            {
                bool isDue = everything || tally.ToldAt is not { } told || timeProvider.GetElapsedTime(told) >= Interval;
                if (!isDue)
                {
                    continue;
                }

                if (tally.Count == 0)
                {
                    _tallies.Remove(kind);
                    continue;
                }

                due.Add((kind, tally.Count));
                _tallies[kind] = new Tally(0, timeProvider.GetTimestamp());
            }
        }

        foreach ((DenialKind kind, long count) in due)
        {
            await TellAsync(kind, count, cancellationToken).ConfigureAwait(false);
        }
    }

    private async ValueTask TellAsync(DenialKind kind, long count, CancellationToken cancellationToken)
    {
        try
        {
            await log.WriteAsync(
                new EgressEvent.Denied(kind.Host, kind.Port, kind.Reason, kind.Rule, count) { Channel = channel, Protocol = kind.Protocol, CouldBeGranted = kind.CouldBeGranted }, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            // The log is another assembly's code; whatever failed, the count is kept for the next flush.
            LogUntold(logger, e, channel.Text, count);
            lock (_lock)
            {
                Tally tally = _tallies.GetValueOrDefault(kind);
                _tallies[kind] = tally with { Count = tally.Count + count };
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Count} denials of channel {Channel} could not be recorded; they are kept and offered again")]
    private static partial void LogUntold(ILogger logger, Exception exception, string channel, long count);

    /// <param name="Count">Denials that were not told yet.</param>
    /// <param name="ToldAt">When the kind was last told.</param>
    private readonly record struct Tally(long Count, long? ToldAt);
}

/// <summary>What makes denials equal.</summary>
internal readonly record struct DenialKind(HostName? Host, int Port, EgressDenial Reason, string? Rule, EgressProtocol? Protocol = null, bool CouldBeGranted = false);
