using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress;

/// <summary>What the way out of a sandbox has to tell the ledger.</summary>
public abstract record EgressEvent
{
    private EgressEvent()
    {
    }

    /// <summary>Whose way out.</summary>
    public required ChannelId Channel { get; init; }

    /// <summary>A tunnel or request was allowed and is about to be connected: written before anything goes out.</summary>
    /// <param name="Flow">Number of the flow within the channel, from 1.</param>
    /// <param name="Request">What was asked for. The path is no part of a record: it can hold secrets.</param>
    /// <param name="Rule">The rule that allowed it.</param>
    public sealed record Opening(long Flow, EgressRequest Request, string Rule) : EgressEvent;

    /// <summary>A flow ended.</summary>
    /// <param name="Flow">As in its opening.</param>
    /// <param name="BytesOut">From the sandbox.</param>
    /// <param name="BytesIn">To the sandbox.</param>
    /// <param name="End">Why it ended.</param>
    public sealed record Closed(long Flow, long BytesOut, long BytesIn, FlowEnd End) : EgressEvent;

    /// <summary>Something was not let out. Equal denials are told once a minute with their number.</summary>
    /// <param name="Host">As asked for, when it was a host name; null otherwise. What was no name is not repeated: it is the sandbox's text.</param>
    /// <param name="Port">As asked for; 0 when unknown.</param>
    /// <param name="Reason">Why.</param>
    /// <param name="Rule">The rule that denied or asks; null when none matched.</param>
    /// <param name="Count">How often since it was last told, at least 1.</param>
    public sealed record Denied(HostName? Host, int Port, EgressDenial Reason, string? Rule, long Count) : EgressEvent
    {
        /// <summary>What it would have carried; null when unknown.</summary>
        public EgressProtocol? Protocol { get; init; }

        /// <summary>Whether an approval could open it.</summary>
        public bool CouldBeGranted { get; init; }
    }
}

/// <summary>Names a channel: one sandbox.</summary>
/// <param name="Text">Such as the id of the sandbox.</param>
public readonly record struct ChannelId(string Text)
{
    /// <inheritdoc/>
    public override string ToString() => Text;
}

/// <summary>Why a flow ended.</summary>
public enum FlowEnd
{
    /// <summary>Both sides were done.</summary>
    Completed,

    /// <summary>The sandbox went away.</summary>
    SandboxLeft,

    /// <summary>The name did not resolve, or nothing answered.</summary>
    UpstreamUnreachable,

    /// <summary>The other side broke off or sent what is no HTTP.</summary>
    UpstreamFailed,

    /// <summary>The name resolved to addresses that nothing may connect to.</summary>
    AddressRefused,

    /// <summary>What came through the tunnel was not what it was opened for.</summary>
    ContentRefused,

    /// <summary>A new policy, or the end of a rule's time, took the permission away.</summary>
    PermissionEnded,

    /// <summary>A limit on bytes.</summary>
    ByteLimit,

    /// <summary>A limit on time.</summary>
    TimeLimit,

    /// <summary>The channel was closed.</summary>
    ChannelClosed,
}

/// <summary>Why something was not let out.</summary>
public enum EgressDenial
{
    /// <summary>No rule allows it, or one denies it.</summary>
    Policy,

    /// <summary>A rule wants a person to approve it first.</summary>
    ApprovalRequired,

    /// <summary>The request is malformed or could be read in two ways.</summary>
    Malformed,

    /// <summary>An address instead of a name.</summary>
    RawAddress,

    /// <summary>The TLS name inside a tunnel is missing, encrypted or not the name that the tunnel was opened for.</summary>
    TlsName,

    /// <summary>Bytes that are no TLS in a tunnel that was allowed for TLS.</summary>
    NotTls,

    /// <summary>A name that resolved to an address nothing may connect to.</summary>
    Address,

    /// <summary>A DNS question about a name that nothing allows. It was not passed on.</summary>
    Name,

    /// <summary>More flows than the limits allow.</summary>
    Limit,

    /// <summary>The record of it could not be written.</summary>
    Unrecorded,
}

/// <summary>Where events go. The composition root connects it to the ledger.</summary>
public interface IEgressLog
{
    /// <summary>
    /// Completes when the event is as durable as the log promises. When it throws for an <see cref="EgressEvent.Opening"/>, the flow is refused; for
    /// <see cref="EgressEvent.Denied"/>, the count is offered again; for <see cref="EgressEvent.Closed"/>, the opening stays without its end.
    /// </summary>
    ValueTask WriteAsync(EgressEvent egressEvent, CancellationToken cancellationToken);
}
