using Rynxs.Resources.Identity;

namespace Rynxs.Server.Identity;

/// <summary>What looking at a request's credentials found.</summary>
internal abstract record Authentication
{
    private Authentication()
    {
    }

    /// <summary>There is no credential.</summary>
    public sealed record None : Authentication;

    /// <summary>There is one, and it does not count. Why is for the record, never for the caller.</summary>
    /// <param name="Reason">A stable word, such as <c>expired</c>.</param>
    public sealed record Refused(string Reason) : Authentication;

    /// <summary>It counts.</summary>
    /// <param name="Principal">Whom it stands for.</param>
    /// <param name="StillCounts">Asks again, for requests that last: a watch ends when its token is revoked.</param>
    public sealed record Known(Principal Principal, Func<CancellationToken, ValueTask<bool>> StillCounts) : Authentication;
}
