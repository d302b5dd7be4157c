using Rynxs.Gateway.Egress;

namespace Rynxs.Gateway.Channels;

/// <summary>
/// Who calls, as the gateway found it out: by the socket that a request came through, by a token that the server checked, or because an agent's loop
/// runs in this process. Nothing that a caller sends (a header, a name in a body, a key) changes it (D7).
/// </summary>
public sealed record GatewayCaller
{
    /// <summary>Goes into every record, such as <c>agent:NAMESPACE/NAME</c>.</summary>
    public required string Principal { get; init; }

    /// <summary>Namespace whose policies apply.</summary>
    public required string Namespace { get; init; }

    /// <summary>The agent that it acts as; null for a sandbox that belongs to none, to which no policy of agents applies.</summary>
    public string? Agent { get; init; }

    /// <summary>The sandbox that the request came from; null for what did not come from one.</summary>
    public string? Sandbox { get; init; }

    /// <summary>Team of the agent, whose budgets it draws on; null for none.</summary>
    public string? Team { get; init; }

    /// <summary>Universe of the agent, whose budgets it draws on; null for none.</summary>
    public string? Universe { get; init; }

    /// <summary>Names the holder of rate limits, places and placeholders: the agent, else the sandbox, else the principal.</summary>
    public string Key => Agent is not null ? $"{Namespace}/{Agent}" : Sandbox is not null ? $"{Namespace}/sandbox:{Sandbox}" : $"{Namespace}/principal:{Principal}";
}

/// <summary>
/// Finds whose a channel is. Asked once for each request, so that an agent which changed its team is charged to the new one; null refuses the request.
/// Given by the composition root.
/// </summary>
public delegate ValueTask<GatewayCaller?> FindCaller(ChannelId channel, CancellationToken cancellationToken);

/// <summary>A service of the gateway itself that a sandbox reaches over its own socket, beside the way out to other hosts.</summary>
public interface IChannelService
{
    /// <summary>
    /// Whether the request is for this service: in origin form (<c>/v1/messages</c>), or in absolute form to <see cref="ChannelHost.Name"/>.
    /// Decided from the target alone.
    /// </summary>
    /// <param name="rawTarget">The request target as it stood in the request line.</param>
    bool Serves(string rawTarget);

    /// <summary>Answers the request. Every answer, also a refusal, is written by the service; it throws only what the server logs as its own fault.</summary>
    Task ServeAsync(Microsoft.AspNetCore.Http.HttpContext context, GatewayCaller caller);
}

/// <summary>The name under which the gateway's own services are reached through the proxy. It is never looked up.</summary>
public static class ChannelHost
{
    /// <summary>In the reserved domain <c>internal</c> (ICANN, 2024): no other host can have it.</summary>
    public const string Name = "gateway.rynxs.internal";

    /// <summary>The path of a target that is meant for the gateway itself, without query; null when it is meant for another host.</summary>
    public static string? PathOf(string rawTarget)
    {
        ArgumentNullException.ThrowIfNull(rawTarget);
        const string Prefix = "http://" + Name;
        string rest = rawTarget;
        if (!rawTarget.StartsWith('/'))
        {
            if (!rawTarget.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase))
            {
                return null;
            }

            rest = rawTarget[Prefix.Length..];
            if (rest.StartsWith(":80/", StringComparison.Ordinal))
            {
                rest = rest[3..];
            }
        }

        if (!rest.StartsWith('/'))
        {
            return null;
        }

        int query = rest.IndexOf('?', StringComparison.Ordinal);
        return query < 0 ? rest : rest[..query];
    }
}
