using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace Rynxs.ResourceServer.Http;

/// <summary>What a connection may cost: how large a request's head is, how slowly its parts may come, and how long an answer may lie unread.</summary>
public static class ConnectionLimits
{
    /// <summary>Bytes of all headers together; a token with many groups fits (kube-apiserver takes 1 MiB).</summary>
    public const int MaxHeaderBytes = 32 * 1024;

    /// <summary>Time for a whole head; half of it may pass before a body has to come at 1 KiB/s, and all of it before an answer has to be read at 240 B/s.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);

    // Kestrel looks once a second, and takes no grace that is not longer.
    private static readonly TimeSpan ShortestGrace = TimeSpan.FromSeconds(1.1);

    /// <summary>Sets the limits of a listener; <paramref name="patience"/> is for tests that wait for them.</summary>
    public static void Apply(KestrelServerLimits limits, TimeSpan? patience = null)
    {
        TimeSpan whole = patience ?? Patience;
        limits.MaxRequestHeadersTotalSize = MaxHeaderBytes;
        limits.MaxRequestHeaderCount = 64;
        limits.MaxRequestLineSize = 8 * 1024;
        limits.MaxConcurrentConnections = 2048;
        limits.RequestHeadersTimeout = whole;
        limits.KeepAliveTimeout = TimeSpan.FromSeconds(130);
        limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 1024, gracePeriod: Longer(whole / 2));
        limits.MinResponseDataRate = new MinDataRate(bytesPerSecond: 240, gracePeriod: Longer(whole));
    }

    private static TimeSpan Longer(TimeSpan time) => time > ShortestGrace ? time : ShortestGrace;
}
