using System.Diagnostics.Metrics;
using System.Text.Json;
using System.Threading.Channels;
using Rynxs.Gateway.Egress;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Policy.Egress;

namespace Rynxs.Server.Egress;

/// <summary>
/// Records what goes out, and what does not, on the chain of the agent that it was for; counts it; writes the access log; and hands denials that a person could
/// open to <see cref="EgressDesk"/>.
/// </summary>
internal sealed partial class EgressLedger : IEgressLog, IDisposable
{
    private static readonly HashSet<string> Methods = new(StringComparer.Ordinal) { "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH" };

    private readonly EgressChannels _channels;
    private readonly ILogger<EgressLedger> _logger;
    private readonly Meter _meter;
    private readonly Counter<long> _opened;
    private readonly Counter<long> _closed;
    private readonly Counter<long> _denied;
    private readonly Counter<long> _bytes;
    private readonly Counter<long> _dropped;

    // Denials are offered off the path of what was denied; when many come at once some are not offered, and the next of their kind is a minute later.
    private readonly Channel<DeniedRequest> _offers = Channel.CreateBounded<DeniedRequest>(new BoundedChannelOptions(256) { FullMode = BoundedChannelFullMode.DropWrite, SingleReader = true });

    public EgressLedger(EgressChannels channels, IMeterFactory meters, ILogger<EgressLedger> logger)
    {
        (_channels, _logger) = (channels, logger);
        _meter = meters.Create("Rynxs.Gateway.Egress");
        _opened = _meter.CreateCounter<long>("rynxs_egress_flows_total", null, "Tunnels and requests that were allowed, by protocol.");
        _closed = _meter.CreateCounter<long>("rynxs_egress_flows_ended_total", null, "Tunnels and requests that ended, by why.");
        _denied = _meter.CreateCounter<long>("rynxs_egress_denied_total", null, "What was not let out, by reason.");
        _bytes = _meter.CreateCounter<long>("rynxs_egress_bytes_total", "By", "Bytes of flows that ended, by direction.");
        _dropped = _meter.CreateCounter<long>("rynxs_egress_offers_dropped_total", null, "Denials that were not offered for approval because too many are.");
        _meter.CreateObservableGauge("rynxs_egress_channels", () => channels.All.Count, null, "Ways out that are open.");
        _meter.CreateObservableGauge("rynxs_egress_open_flows", () => channels.All.Sum(channel => channel.Channel.OpenFlows), null, "Tunnels and requests that are open.");
    }

    public ChannelReader<DeniedRequest> Offers => _offers.Reader;

    public void OfferDropped() => _dropped.Add(1);

    /// <inheritdoc/>
    public async ValueTask WriteAsync(EgressEvent egressEvent, CancellationToken cancellationToken)
    {
        if (_channels.Find(egressEvent.Channel) is not { } channel)
        {
            // The channel that the server asks itself with; nothing is allowed through it.
            return;
        }

        LedgerPayload payload = egressEvent switch
        {
            EgressEvent.Opening opening => Opened(channel, opening),
            EgressEvent.Closed closed => Closed(channel, closed),
            EgressEvent.Denied denied => Denied(channel, denied),
            _ => throw new System.Diagnostics.UnreachableException(),
        };
        await channel.Chain.AppendAsync(
            new LedgerEntry { Payload = payload, AggregateId = $"{channel.Subject.Namespace}/{channel.Subject.AgentId}", Principal = channel.Principal }, cancellationToken);
        if (egressEvent is EgressEvent.Denied { CouldBeGranted: true, Host: { } host, Protocol: { } protocol } offered
            && !_offers.Writer.TryWrite(new DeniedRequest(channel.Subject, host, offered.Port, protocol)))
        {
            _dropped.Add(1);
        }
    }

    public void Dispose() => _meter.Dispose();

    private EgressOpened Opened(OpenChannel channel, EgressEvent.Opening opening)
    {
        string protocol = Name(opening.Request.Protocol);
        _opened.Add(1, new KeyValuePair<string, object?>("protocol", protocol));
        LogOpened(channel.Id.Text, opening.Flow, protocol, opening.Request.Host.Text, opening.Request.Port, opening.Rule);
        return new EgressOpened
        {
            Channel = channel.Id.Text, Flow = opening.Flow, Host = opening.Request.Host.Text, Port = opening.Request.Port, Protocol = protocol,
            Method = opening.Request.Method is { } method ? Methods.Contains(method) ? method : "other" : null, Rule = opening.Rule,
        };
    }

    private EgressClosed Closed(OpenChannel channel, EgressEvent.Closed closed)
    {
        string end = JsonNamingPolicy.SnakeCaseLower.ConvertName(closed.End.ToString());
        _closed.Add(1, new KeyValuePair<string, object?>("end", end));
        _bytes.Add(closed.BytesOut, new KeyValuePair<string, object?>("direction", "out"));
        _bytes.Add(closed.BytesIn, new KeyValuePair<string, object?>("direction", "in"));
        LogClosed(channel.Id.Text, closed.Flow, closed.BytesOut, closed.BytesIn, end);
        return new EgressClosed { Channel = channel.Id.Text, Flow = closed.Flow, BytesOut = closed.BytesOut, BytesIn = closed.BytesIn, End = end };
    }

    private EgressDenied Denied(OpenChannel channel, EgressEvent.Denied denied)
    {
        string reason = JsonNamingPolicy.SnakeCaseLower.ConvertName(denied.Reason.ToString());
        _denied.Add(denied.Count, new KeyValuePair<string, object?>("reason", reason));
        LogDenied(channel.Id.Text, denied.Host?.Text, denied.Port, reason, denied.Count);
        return new EgressDenied
        {
            Channel = channel.Id.Text, Host = denied.Host?.Text, Port = denied.Port, Protocol = denied.Protocol is { } protocol ? Name(protocol) : null, Reason = reason,
            Rule = denied.Rule, Count = denied.Count,
        };
    }

    internal static string Name(EgressProtocol protocol) => protocol switch
    {
        EgressProtocol.Http => "http",
        EgressProtocol.Tls => "tls",
        _ => "tcp",
    };

    [LoggerMessage(Level = LogLevel.Information, Message = "egress {Channel} flow {Flow} opens {Protocol} {Host}:{Port} by {Rule}")]
    private partial void LogOpened(string channel, long flow, string protocol, string host, int port, string rule);

    [LoggerMessage(Level = LogLevel.Information, Message = "egress {Channel} flow {Flow} ends: {BytesOut} bytes out, {BytesIn} in, {End}")]
    private partial void LogClosed(string channel, long flow, long bytesOut, long bytesIn, string end);

    [LoggerMessage(Level = LogLevel.Information, Message = "egress {Channel} denied {Host}:{Port} ({Reason}), {Count} times")]
    private partial void LogDenied(string channel, string? host, int port, string reason, long count);
}

/// <summary>Something that was denied and that a person could open.</summary>
internal sealed record DeniedRequest(EgressSubjectOf Subject, HostName Host, int Port, EgressProtocol Protocol);
