namespace Rynxs.Kubernetes.Tests.Kit;

/// <summary>The system's time with a wall clock that is wrong, and a process that can be paused: afterwards more time has passed than it saw.</summary>
internal sealed class BentTime(TimeSpan wallClockError = default) : TimeProvider
{
    private long _paused;

    public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + wallClockError;

    public override long GetTimestamp() => System.GetTimestamp() + Interlocked.Read(ref _paused);

    public override long TimestampFrequency => System.TimestampFrequency;

    public void Pause(TimeSpan time) => Interlocked.Add(ref _paused, (long)(time.TotalSeconds * System.TimestampFrequency));
}

/// <summary>A network that can be cut.</summary>
internal sealed class CuttableHandler(HttpMessageHandler inner) : DelegatingHandler(inner)
{
    private int _requests;

    public bool IsCut { get; set; }

    public int Requests => Volatile.Read(ref _requests);

    protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
    {
        Interlocked.Increment(ref _requests);
        return IsCut ? throw new HttpRequestException("the network is cut") : base.SendAsync(request, cancellationToken);
    }
}
