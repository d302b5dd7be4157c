using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Export;

/// <summary>How an exporter works.</summary>
public sealed record ExporterOptions
{
    /// <summary>Most records in a batch. Default 500.</summary>
    public int BatchRecords { get; init; } = 500;

    /// <summary>Most bytes of records in a batch, passed by at most one record. Default 1 MiB.</summary>
    public int BatchBytes { get; init; } = 1024 * 1024;

    /// <summary>How often logs are looked at for more. Default 1 s.</summary>
    public TimeSpan Poll { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>First wait after a failure; it doubles up to <see cref="MaxBackoff"/>, each time half of it by chance. Default 0.5 s.</summary>
    public TimeSpan MinBackoff { get; init; } = TimeSpan.FromSeconds(0.5);

    /// <summary>Default 60 s.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromMinutes(1);

    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    public Random Random { get; init; } = Random.Shared;

    /// <summary>Told of each failure: message and the wait that follows.</summary>
    public Action<string, TimeSpan>? Failed { get; init; }
}

/// <summary>What an exporter has done, to be read from any thread.</summary>
/// <param name="Sent">Records that arrived.</param>
/// <param name="Failures">Sends and readings that failed.</param>
/// <param name="BytesBehind">Bytes of the logs that have not arrived, as of the last look.</param>
/// <param name="LastError">The last failure since the last success; null when there is none.</param>
public sealed record ExportProgress(long Sent, long Failures, long BytesBehind, string? LastError);

/// <summary>
/// Ships every record of every chain to one destination, in order per chain, at least once. It reads the files as any reader does: the writer
/// knows nothing of it, so a slow or dead receiver blocks no append, and what has not arrived waits in the log itself.
/// </summary>
/// <remarks>Memory: one batch. Stopping: cancel; a batch in flight may have arrived and is sent again at the next start.</remarks>
public sealed class LedgerExporter(Func<IReadOnlyList<LogSource>> sources, IExportTarget target, ExportCursor cursor, ExporterOptions options)
{
    private readonly Dictionary<string, LogFollower> _followers = new(StringComparer.Ordinal);
    private ExportProgress _progress = new(0, 0, 0, null);

    /// <summary>The state of the moment.</summary>
    public ExportProgress Progress => Volatile.Read(ref _progress);

    /// <summary>Ships until cancelled; failures are told, waited out and never end it.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        TimeSpan backoff = options.MinBackoff;
        while (true)
        {
            TimeSpan wait = options.Poll;
            try
            {
                await DrainAsync(cancellationToken).ConfigureAwait(false);
                backoff = options.MinBackoff;
            }
            catch (Exception exception) when (exception is ExportException or LedgerCorruptException or IOException or UnauthorizedAccessException)
            {
                wait = (backoff / 2) + (backoff / 2 * options.Random.NextDouble());
                backoff = backoff * 2 < options.MaxBackoff ? backoff * 2 : options.MaxBackoff;
                Volatile.Write(ref _progress, Progress with { Failures = Progress.Failures + 1, LastError = exception.Message });
                options.Failed?.Invoke(exception.Message, wait);
            }

            await Task.Delay(wait, options.TimeProvider, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Ships what is there now; the number of records that arrived.</summary>
    /// <exception cref="ExportException">A batch did not arrive.</exception>
    /// <exception cref="LedgerCorruptException">A log does not verify, or is not the one that was exported before.</exception>
    public async Task<long> DrainAsync(CancellationToken cancellationToken)
    {
        long before = Progress.Sent;
        long behind = 0;
        foreach (LogSource source in sources())
        {
            LogFollower follower = FollowerOf(source);
            try
            {
                while (follower.ReadSome(options.BatchRecords, options.BatchBytes, cancellationToken) is { Count: > 0 } records)
                {
                    await target.SendAsync([.. records.Select(record => new ExportedEvent(source.Chain, record))], cancellationToken).ConfigureAwait(false);
                    cursor.Advance(source.Chain, follower.Last);
                    Volatile.Write(ref _progress, Progress with { Sent = Progress.Sent + records.Count, BytesBehind = behind + follower.BytesBehind, LastError = null });
                }

                behind += follower.BytesBehind;
            }
            catch
            {
                // It has read past what arrived; the next one begins at the cursor.
                _followers.Remove(source.Chain);
                throw;
            }
        }

        Volatile.Write(ref _progress, Progress with { BytesBehind = behind, LastError = null });
        return Progress.Sent - before;
    }

    private LogFollower FollowerOf(LogSource source)
    {
        if (!_followers.TryGetValue(source.Chain, out LogFollower? follower))
        {
            // Its files are listed anew at each read: segments are added as the chain grows.
            string chain = source.Chain;
            follower = new LogFollower(() => sources().FirstOrDefault(candidate => candidate.Chain == chain) ?? source, cursor.Of(chain));
            _followers[chain] = follower;
        }

        return follower;
    }
}
