using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace Rynxs.Agents.Inbox;

/// <summary>
/// Waits until an inbox may have changed. File events are only a hint (they can be lost, and the number of watches is limited), so a wait
/// also ends after the poll interval.
/// </summary>
internal sealed partial class InboxWatcher : IDisposable
{
    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly FileSystemWatcher? _watcher;
    private readonly TimeSpan _pollInterval;
    private readonly TimeProvider _timeProvider;

    public InboxWatcher(string path, TimeSpan pollInterval, TimeProvider timeProvider, ILogger logger)
    {
        _pollInterval = pollInterval;
        _timeProvider = timeProvider;
        try
        {
            _watcher = new FileSystemWatcher(Path.GetDirectoryName(path) ?? "/", Path.GetFileName(path))
            {
                NotifyFilter = NotifyFilters.LastWrite | NotifyFilters.Size | NotifyFilters.FileName,
            };
            _watcher.Changed += (_, _) => Wake();
            _watcher.Created += (_, _) => Wake();
            _watcher.Renamed += (_, _) => Wake();
            _watcher.EnableRaisingEvents = true;
        }
        catch (IOException noWatches)
        {
            LogNoWatcher(logger, noWatches.Message);
        }
    }

    /// <summary>Ends a wait, now or the next one.</summary>
    public void Wake() => _wake.Writer.TryWrite(true);

    /// <summary>Returns after a wake or the interval.</summary>
    public async Task WaitAsync(CancellationToken cancellationToken)
    {
        using var poll = new CancellationTokenSource(_pollInterval, _timeProvider);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, poll.Token);
        try
        {
            await _wake.Reader.ReadAsync(linked.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            // Time to look without a hint.
        }
    }

    public void Dispose() => _watcher?.Dispose();

    [LoggerMessage(Level = LogLevel.Warning, Message = "No file watch can be had ({Reason}); the inbox is polled")]
    private static partial void LogNoWatcher(ILogger logger, string reason);
}
