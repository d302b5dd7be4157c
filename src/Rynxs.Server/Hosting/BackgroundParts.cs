namespace Rynxs.Server.Hosting;

/// <summary>
/// Owns the loops of a server. One that ends before it was told to is a fault of the whole: it is logged as critical and the host stops,
/// because a server that lost a part would answer as if it had not.
/// </summary>
internal sealed partial class BackgroundParts(ILogger<BackgroundParts> logger) : IDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly List<Task> _parts = [];
    private readonly TaskCompletionSource<Exception> _died = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes with the cause when a part died.</summary>
    public Task<Exception> Died => _died.Task;

    /// <summary>Starts a loop. It ends by its token and in no other way.</summary>
    public void Start(string name, Func<CancellationToken, Task> run) =>
        _parts.Add(Task.Run(() => WatchAsync(name, run), CancellationToken.None));

    /// <summary>Cancels the loops and waits for them.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync();
        await Task.WhenAll(_parts);
    }

    public void Dispose() => _stop.Dispose();

    private async Task WatchAsync(string name, Func<CancellationToken, Task> run)
    {
        try
        {
            await run(_stop.Token);
            if (!_stop.IsCancellationRequested)
            {
                throw new InvalidOperationException($"The part '{name}' ended by itself.");
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The stop that was asked for.
        }
        catch (Exception exception)
        {
            // The top of a part.
            LogDied(exception, name);
            _died.TrySetResult(exception);
        }
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "{Part} died; the server stops")]
    private partial void LogDied(Exception exception, string part);
}
