using System.Collections.Concurrent;
using Microsoft.AspNetCore.Http.Features;

namespace Rynxs.Server.Identity;

/// <summary>
/// Ends requests whose credential no longer counts. A watch lasts for hours; a token that is revoked or ends must not go on reading through one.
/// </summary>
internal sealed partial class LiveRequests(TimeProvider timeProvider, ILogger<LiveRequests> logger)
{
    internal static readonly TimeSpan Between = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<HttpContext, Authentication.Known> _requests = new();

    public void Begin(HttpContext context, Authentication.Known credential) => _requests[context] = credential;

    public void End(HttpContext context) => _requests.TryRemove(context, out _);

    /// <summary>Looks every second until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Between, timeProvider);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                await LookAsync(cancellationToken);
            }
        }
        catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
        {
            // Stop.
        }
    }

    private async Task LookAsync(CancellationToken cancellationToken)
    {
        // One question for each credential, however many watches it has open.
        foreach (IGrouping<string, KeyValuePair<HttpContext, Authentication.Known>> holder in _requests.GroupBy(request => request.Value.Principal.Name))
        {
            foreach ((HttpContext context, Authentication.Known credential) in holder)
            {
                if (await CountsAsync(credential, cancellationToken) || !_requests.TryRemove(context, out _))
                {
                    continue;
                }

                LogEnded(credential.Principal.Name);
                // The lifetime feature and not the context: the context may be on its way back to its pool.
                context.Features.Get<IHttpRequestLifetimeFeature>()?.Abort();
            }
        }
    }

    private static async ValueTask<bool> CountsAsync(Authentication.Known credential, CancellationToken cancellationToken)
    {
        try
        {
            return await credential.StillCounts(cancellationToken);
        }
        catch (Exception exception) when (exception is InvalidDataException or IOException or UnauthorizedAccessException)
        {
            // Records that cannot be read let nobody in, and let nobody stay.
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Ended a request of {Principal}: its credential no longer counts")]
    private partial void LogEnded(string principal);
}
