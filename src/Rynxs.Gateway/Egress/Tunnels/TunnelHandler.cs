using System.Buffers;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Rynxs.Gateway.Egress.Upstream;
using Rynxs.Policy.Egress;

namespace Rynxs.Gateway.Egress.Tunnels;

/// <summary>
/// The first bytes of a connection from a sandbox decide: SOCKS 5 and HTTP CONNECT become tunnels here, everything else goes on as HTTP.
/// </summary>
internal sealed class TunnelHandler(UpstreamConnector connector, TimeProvider timeProvider)
{
    private static ReadOnlySpan<byte> ConnectMethod => "CONNECT "u8;

    /// <summary>Serves one connection, or hands it on untouched.</summary>
    public async Task HandleAsync(ConnectionContext connection, FlowTable flows, Func<Task> nextAsync)
    {
        using CancellationTokenSource handshake = new(flows.Limits.HandshakeTimeout, timeProvider);
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(connection.ConnectionClosed, flows.Closing, handshake.Token);
        try
        {
            switch (await SniffAsync(connection.Transport.Input, end.Token).ConfigureAwait(false))
            {
                case Opening.Socks:
                    await ServeSocksAsync(connection, flows, end.Token).ConfigureAwait(false);
                    return;
                case Opening.Connect:
                    await ServeConnectAsync(connection, flows, end.Token).ConfigureAwait(false);
                    return;
                case Opening.Left:
                    return;
            }
        }
        catch (Exception e) when (e is OperationCanceledException or ConnectionResetException or ConnectionAbortedException)
        {
            // Too slow, gone, or closed from our side: nothing was promised yet, or the tunnel has recorded its own end.
            return;
        }

        await nextAsync().ConfigureAwait(false);
    }

    private static async Task<Opening> SniffAsync(PipeReader input, CancellationToken cancellationToken)
    {
        while (true)
        {
            ReadResult read = await input.ReadAsync(cancellationToken).ConfigureAwait(false);
            Opening? opening = Judge(read.Buffer);
            if (opening is not null || read.IsCompleted)
            {
                // Nothing is consumed: whoever serves the connection reads it from its start.
                input.AdvanceTo(read.Buffer.Start);
                return opening ?? Opening.Left;
            }

            input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
        }

        static Opening? Judge(ReadOnlySequence<byte> buffer)
        {
            Span<byte> start = stackalloc byte[ConnectMethod.Length];
            int length = (int)Math.Min(buffer.Length, start.Length);
            buffer.Slice(0, length).CopyTo(start);
            return length == 0 ? null
                : start[0] == SocksRequest.Version ? Opening.Socks
                : !ConnectMethod.StartsWith(start[..length]) ? Opening.Http
                : length == ConnectMethod.Length ? Opening.Connect
                : null;
        }
    }

    private async Task ServeConnectAsync(ConnectionContext connection, FlowTable flows, CancellationToken cancellationToken)
    {
        ConnectRequest request = await ReadAsync(
            connection.Transport.Input, ConnectRequest.MaxBytes, ConnectRequest.Read, static r => r is ConnectRequest.Incomplete,
            static r => r is ConnectRequest.Tunnel tunnel ? tunnel.Length : 0, cancellationToken).ConfigureAwait(false);
        switch (request)
        {
            case ConnectRequest.Tunnel tunnel:
                await ServeTunnelAsync(connection, flows, tunnel.Host, tunnel.Port, AnswerHttpAsync, cancellationToken).ConfigureAwait(false);
                break;
            case ConnectRequest.RawAddress raw:
                await flows.DenyAsync(null, raw.Port, EgressDenial.RawAddress, cancellationToken).ConfigureAwait(false);
                await AnswerHttpAsync(connection, TunnelAnswer.Of(EgressDenial.RawAddress), cancellationToken).ConfigureAwait(false);
                break;
            default:
                await flows.DenyAsync(null, 0, EgressDenial.Malformed, cancellationToken).ConfigureAwait(false);
                await AnswerHttpAsync(connection, TunnelAnswer.Of(EgressDenial.Malformed), cancellationToken).ConfigureAwait(false);
                break;
        }
    }

    private async Task ServeSocksAsync(ConnectionContext connection, FlowTable flows, CancellationToken cancellationToken)
    {
        PipeReader input = connection.Transport.Input;
        SocksRequest greeting = await ReadAsync(
            input, SocksRequest.MaxBytes, SocksRequest.ReadGreeting, static r => r is SocksRequest.Incomplete,
            static r => r is SocksRequest.Greeting g ? g.Length : 0, cancellationToken).ConfigureAwait(false);
        const byte NoAuthentication = 0;
        const byte NoneAcceptable = 0xff;
        if (greeting is not SocksRequest.Greeting { OffersNoAuthentication: var acceptable })
        {
            await flows.DenyAsync(null, 0, EgressDenial.Malformed, cancellationToken).ConfigureAwait(false);
            return;
        }

        byte[] choice = [SocksRequest.Version, acceptable ? NoAuthentication : NoneAcceptable];
        await connection.Transport.Output.WriteAsync(choice, cancellationToken).ConfigureAwait(false);
        if (!acceptable)
        {
            return;
        }

        SocksRequest request = await ReadAsync(
            input, SocksRequest.MaxBytes, SocksRequest.ReadRequest, static r => r is SocksRequest.Incomplete,
            static r => r is SocksRequest.Tunnel t ? t.Length : r is SocksRequest.Resolve n ? n.Length : 0, cancellationToken).ConfigureAwait(false);
        switch (request)
        {
            case SocksRequest.Tunnel tunnel:
                await ServeTunnelAsync(connection, flows, tunnel.Host, tunnel.Port, AnswerSocksAsync, cancellationToken).ConfigureAwait(false);
                break;
            case SocksRequest.Resolve name:
                bool answered = await flows.MayResolveAsync(name.Host, cancellationToken).ConfigureAwait(false);
                await WriteReplyAsync(connection, answered ? SocksReply.Succeeded : SocksReply.NotAllowed, cancellationToken).ConfigureAwait(false);
                break;
            case SocksRequest.Refused refused:
                await flows.DenyAsync(null, refused.Port, refused.Denial, cancellationToken).ConfigureAwait(false);
                await WriteReplyAsync(connection, refused.Reply, cancellationToken).ConfigureAwait(false);
                break;
            default:
                await flows.DenyAsync(null, 0, EgressDenial.Malformed, cancellationToken).ConfigureAwait(false);
                break;
        }
    }

    private async Task ServeTunnelAsync(
        ConnectionContext connection, FlowTable flows, HostName host, int port,
        Func<ConnectionContext, TunnelAnswer, CancellationToken, Task> answerAsync, CancellationToken cancellationToken)
    {
        // A rule for any bytes is the wider one: nothing inside has to be looked at then.
        EgressRequest[] alternatives = [new(host, port, EgressProtocol.Tcp), new(host, port, EgressProtocol.Tls)];
        Admission admission = await flows.AdmitAsync(alternatives, cancellationToken).ConfigureAwait(false);
        if (admission is not Admission.Admitted { Flow: var flow })
        {
            await answerAsync(connection, TunnelAnswer.Of(((Admission.Refused)admission).Denial), cancellationToken).ConfigureAwait(false);
            return;
        }

        FlowEnd end = FlowEnd.SandboxLeft;
        try
        {
            end = await RunAsync(connection, flows, flow, answerAsync, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            await flows.EndAsync(flow, end).ConfigureAwait(false);
        }
    }

    private async Task<FlowEnd> RunAsync(
        ConnectionContext connection, FlowTable flows, Flow flow,
        Func<ConnectionContext, TunnelAnswer, CancellationToken, Task> answerAsync, CancellationToken handshake)
    {
        using CancellationTokenSource start = CancellationTokenSource.CreateLinkedTokenSource(handshake, flow.Cut);
        UpstreamConnection upstream = await connector.ConnectAsync(
            flow.Request.Host, flow.Request.Port, flows.Model.OpenedAddresses, flows.Limits.ConnectTimeout, start.Token).ConfigureAwait(false);
        switch (upstream)
        {
            case UpstreamConnection.Refused:
                await flows.DenyAsync(flow.Request.Host, flow.Request.Port, EgressDenial.Address, start.Token).ConfigureAwait(false);
                await answerAsync(connection, TunnelAnswer.Of(EgressDenial.Address), start.Token).ConfigureAwait(false);
                return FlowEnd.AddressRefused;
            case UpstreamConnection.Unreachable unreachable:
                await answerAsync(connection, TunnelAnswer.Unreachable(unreachable.TimedOut), start.Token).ConfigureAwait(false);
                return FlowEnd.UpstreamUnreachable;
        }

        using System.Net.Sockets.Socket socket = ((UpstreamConnection.Connected)upstream).Socket;
        await answerAsync(connection, TunnelAnswer.Open, start.Token).ConfigureAwait(false);
        if (flow.Request.Protocol == EgressProtocol.Tls && await FindObjectionAsync(connection.Transport.Input, flow, start.Token).ConfigureAwait(false) is { } objection)
        {
            await flows.DenyAsync(flow.Request.Host, flow.Request.Port, objection, start.Token).ConfigureAwait(false);
            return FlowEnd.ContentRefused;
        }

        return await new TunnelPump(connection.Transport, socket, flow, flows.Limits.IdleTimeout, timeProvider)
            .RunAsync(connection.ConnectionClosed).ConfigureAwait(false);
    }

    /// <summary>
    /// Looks at the first bytes inside a tunnel that was allowed for TLS, and passes nothing on before they are right: TLS, with the very name that the
    /// tunnel was opened for (domain fronting), and no encrypted hello that could carry another one.
    /// </summary>
    private static async Task<EgressDenial?> FindObjectionAsync(PipeReader input, Flow flow, CancellationToken cancellationToken)
    {
        ClientHello hello = await ReadAsync(
            input, ClientHello.MaxBytes, ClientHello.Read, static h => h is ClientHello.Incomplete, static _ => 0, cancellationToken).ConfigureAwait(false);
        return hello switch
        {
            ClientHello.Hello { HasEncryptedHello: false } plain when plain.ServerName == flow.Request.Host => null,
            ClientHello.Hello or ClientHello.Malformed => EgressDenial.TlsName,
            _ => EgressDenial.NotTls,
        };
    }

    /// <summary>Reads until the parser has enough, at most <paramref name="most"/> bytes; consumes what <paramref name="consumed"/> says.</summary>
    private static async Task<T> ReadAsync<T>(
        PipeReader input, int most, SpanParser<T> parse, Func<T, bool> isIncomplete, Func<T, int> consumed, CancellationToken cancellationToken)
    {
        byte[] bytes = ArrayPool<byte>.Shared.Rent(most);
        try
        {
            while (true)
            {
                ReadResult read = await input.ReadAsync(cancellationToken).ConfigureAwait(false);
                int length = (int)Math.Min(read.Buffer.Length, most);
                read.Buffer.Slice(0, length).CopyTo(bytes);
                T result = parse(bytes.AsSpan(0, length));
                if (!isIncomplete(result) || read.IsCompleted || length == most)
                {
                    input.AdvanceTo(read.Buffer.GetPosition(consumed(result)));
                    return result;
                }

                input.AdvanceTo(read.Buffer.Start, read.Buffer.End);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
        }
    }

    private static async Task AnswerHttpAsync(ConnectionContext connection, TunnelAnswer answer, CancellationToken cancellationToken)
    {
        string head = answer.Problem is null
            ? "HTTP/1.1 200 Connection established\r\n\r\n"
            : $"HTTP/1.1 {answer.Status} {answer.Code}\r\ncontent-type: application/problem+json\r\ncontent-length: {Encoding.UTF8.GetByteCount(answer.Problem)}"
                + (answer.Status == 429 ? "\r\nretry-after: 1" : "") + $"\r\nconnection: close\r\n\r\n{answer.Problem}";
        await connection.Transport.Output.WriteAsync(Encoding.UTF8.GetBytes(head), cancellationToken).ConfigureAwait(false);
    }

    private static Task AnswerSocksAsync(ConnectionContext connection, TunnelAnswer answer, CancellationToken cancellationToken) =>
        WriteReplyAsync(connection, answer.Socks, cancellationToken);

    private static async Task WriteReplyAsync(ConnectionContext connection, SocksReply reply, CancellationToken cancellationToken)
    {
        // The bound address is of no use to the sandbox, and none of its business: 0.0.0.0:0.
        byte[] message = [SocksRequest.Version, (byte)reply, 0, 1, 0, 0, 0, 0, 0, 0];
        await connection.Transport.Output.WriteAsync(message, cancellationToken).ConfigureAwait(false);
    }

    private delegate T SpanParser<T>(ReadOnlySpan<byte> bytes);

    private enum Opening
    {
        Http,
        Connect,
        Socks,
        Left,
    }
}
