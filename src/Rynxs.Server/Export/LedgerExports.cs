using System.Diagnostics.Metrics;
using Rynxs.Ledger.Export;
using Rynxs.Ledger.Replay;

namespace Rynxs.Server.Export;

/// <summary>
/// Ships the ledger to the destinations of <c>--export</c>, each by itself. It reads the ledger's files like any outsider, so a receiver that is
/// slow or away holds up no append; its lag is a metric, its failures a log line.
/// </summary>
/// <remarks>Stopping: cancelled with the server's other loops; what is in flight is sent again at the next start.</remarks>
internal sealed partial class LedgerExports : IAsyncDisposable
{
    public const string MeterName = "Rynxs.Export";

    private readonly List<(ExportDestination Destination, IExportTarget Target, LedgerExporter Exporter)> _exports = [];
    private readonly Meter _meter;
    private readonly ILogger<LedgerExports> _logger;

    private LedgerExports(IMeterFactory meters, ILogger<LedgerExports> logger)
    {
        _logger = logger;
        _meter = meters.Create(MeterName);
        _meter.CreateObservableCounter("rynxs_export_records_total", () => Measure(progress => progress.Sent), null, "Records that arrived at an export destination.");
        _meter.CreateObservableCounter("rynxs_export_failures_total", () => Measure(progress => progress.Failures), null, "Attempts to export that failed.");
        _meter.CreateObservableGauge("rynxs_export_lag_bytes", () => Measure(progress => progress.BytesBehind), "By", "Bytes of the ledger that have not arrived at a destination.");
        _meter.CreateObservableGauge("rynxs_export_failing", () => Measure(progress => progress.LastError is null ? 0 : 1), null, "1 while the last attempt to export failed.");
    }

    /// <summary>Prepares the exports of a server.</summary>
    /// <param name="destinations">Validated with the other options.</param>
    /// <param name="stateDirectory">The ledger is <c>ledger/</c> below it, cursors are <c>export/</c>.</param>
    /// <param name="settings">Token and certificates for all of them.</param>
    /// <param name="timeProvider">Clock of the waits.</param>
    /// <param name="meters">For the lag.</param>
    /// <param name="logger">For failures.</param>
    /// <exception cref="ExportException">A cursor is damaged: going on could skip records.</exception>
    public static LedgerExports Open(
        IReadOnlyList<ExportDestination> destinations, string stateDirectory, ExportTargetOptions settings, TimeProvider timeProvider, IMeterFactory meters,
        ILogger<LedgerExports> logger)
    {
        var exports = new LedgerExports(meters, logger);
        foreach (ExportDestination destination in destinations)
        {
            var cursor = ExportCursor.Open(Path.Combine(stateDirectory, "export", destination.Id + ".json"), destination);
            IExportTarget target = settings.Create(destination);
            var options = new ExporterOptions
            {
                TimeProvider = timeProvider,
                Failed = (message, wait) => exports.LogExportFailed(destination.Name, message, wait.TotalSeconds),
            };
            exports._exports.Add((destination, target, new LedgerExporter(() => LogSource.OpenAll(Path.Combine(stateDirectory, "ledger")), target, cursor, options)));
        }

        return exports;
    }

    /// <summary>Ships until cancelled.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => Task.WhenAll(_exports.Select(export => export.Exporter.RunAsync(cancellationToken)));

    public async ValueTask DisposeAsync()
    {
        foreach ((_, IExportTarget target, _) in _exports)
        {
            await target.DisposeAsync();
        }

        _meter.Dispose();
    }

    // Destinations are few and named by whoever starts the server: no unbounded labels.
    private IEnumerable<Measurement<long>> Measure(Func<ExportProgress, long> value) => _exports.Select(export =>
        new Measurement<long>(value(export.Exporter.Progress), new KeyValuePair<string, object?>("destination", export.Destination.Name)));

    [LoggerMessage(Level = LogLevel.Warning, Message = "Exporting the ledger to {Destination} failed: {Reason} Next attempt in {Seconds:0.0} s")]
    private partial void LogExportFailed(string destination, string reason, double seconds);
}
