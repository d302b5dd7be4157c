using System.Buffers;
using System.Net.WebSockets;
using System.Text.Json;
using Rynxs.Sandbox;

namespace Rynxs.Server.Execution.Sessions;

/// <summary>
/// A process behind a WebSocket, in the framing of Kubernetes' <c>v5.channel.k8s.io</c>: the first byte of a message is its channel. 0 input, 1 output, 2 errors, 3 how it ended (JSON, then the
/// server closes), 4 a new size <c>{"Width":80,"Height":24}</c>, 255 and a channel closes that channel.
/// </summary>
internal sealed class AttachedSocket(WebSocket socket, SessionProcess process)
{
    public const string Protocol = "v5.channel.k8s.io";
    private const int MaxMessageBytes = 64 * 1024;

    public async Task RunAsync(long from, CancellationToken cancellationToken)
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task receiving = ReceiveAsync(both.Token);
        try
        {
            await foreach (OutputPiece piece in process.Output.FollowAsync(from, both.Token))
            {
                await SendAsync(piece.IsError ? (byte)2 : (byte)1, piece.Data, both.Token);
            }

            byte[] status = JsonSerializer.SerializeToUtf8Bytes(
                new EndEvent(process.ExecutionId, process.Response?.ExitCode, process.Response?.TerminationReason), ServerJson.Default.EndEvent);
            await SendAsync(3, status, both.Token);
            await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, both.Token);
        }
        catch (Exception gone) when (gone is WebSocketException or OperationCanceledException)
        {
            // The caller has left; the process goes on.
        }

        // Cutting a receive short resets the connection, with what was not read yet: the other side closes first, when it does in time.
        await Task.WhenAny(receiving, Task.Delay(PortSocket.CloseWithin, cancellationToken));
        await both.CancelAsync();
        await receiving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task SendAsync(byte channel, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        byte[] message = ArrayPool<byte>.Shared.Rent(data.Length + 1);
        try
        {
            message[0] = channel;
            data.CopyTo(message.AsMemory(1));
            await socket.SendAsync(message.AsMemory(0, data.Length + 1), WebSocketMessageType.Binary, endOfMessage: true, cancellationToken);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(message);
        }
    }

    private async Task ReceiveAsync(CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[MaxMessageBytes];
        while (true)
        {
            int filled = 0;
            ValueWebSocketReceiveResult received;
            do
            {
                received = await socket.ReceiveAsync(buffer.AsMemory(filled), cancellationToken);
                filled += received.Count;
                if (filled == buffer.Length && !received.EndOfMessage)
                {
                    await socket.CloseOutputAsync(WebSocketCloseStatus.MessageTooBig, $"at most {MaxMessageBytes} bytes", cancellationToken);
                    return;
                }
            }
            while (!received.EndOfMessage);

            if (received.MessageType == WebSocketMessageType.Close)
            {
                return;
            }

            await TakeAsync(buffer.AsMemory(0, filled), cancellationToken);
        }
    }

    private async Task TakeAsync(ReadOnlyMemory<byte> message, CancellationToken cancellationToken)
    {
        switch (message.Span)
        {
            case [0, _, ..]:
                await process.Interaction.WriteAsync(message[1..], cancellationToken);
                break;
            case [255, 0]:
                process.Interaction.CloseInput();
                break;
            case [4, ..] when ReadSize(message.Span[1..]) is { } size:
                await process.Interaction.ResizeAsync(size, cancellationToken);
                break;
        }
    }

    private static TerminalSize? ReadSize(ReadOnlySpan<byte> json)
    {
        try
        {
            var reader = new Utf8JsonReader(json);
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            return document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty("Width", out JsonElement width) && width.TryGetInt32(out int columns) && columns is >= 1 and <= 1000
                && document.RootElement.TryGetProperty("Height", out JsonElement height) && height.TryGetInt32(out int rows) && rows is >= 1 and <= 1000
                ? new TerminalSize(rows, columns)
                : null;
        }
        catch (Exception wrong) when (wrong is JsonException or InvalidOperationException)
        {
            return null; // a size that is none changes nothing
        }
    }
}

/// <summary>A stream of bytes behind a WebSocket: binary messages both ways.</summary>
internal static class PortSocket
{
    private const int BufferBytes = 32 * 1024;

    /// <summary>How long the other side has to answer a close.</summary>
    internal static readonly TimeSpan CloseWithin = TimeSpan.FromSeconds(5);

    public static async Task RunAsync(WebSocket socket, Stream stream, CancellationToken cancellationToken)
    {
        using var both = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task up = UpAsync(socket, stream, both.Token);
        Task down = DownAsync(socket, stream, both.Token);
        if (await Task.WhenAny(up, down) == down)
        {
            // As above.
            await Task.WhenAny(up, Task.Delay(CloseWithin, cancellationToken));
        }

        await both.CancelAsync();
        await Task.WhenAll(up, down).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private static async Task UpAsync(WebSocket socket, Stream stream, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[BufferBytes];
        while (true)
        {
            ValueWebSocketReceiveResult received = await socket.ReceiveAsync(buffer.AsMemory(), cancellationToken);
            if (received.MessageType == WebSocketMessageType.Close)
            {
                return;
            }

            await stream.WriteAsync(buffer.AsMemory(0, received.Count), cancellationToken);
        }
    }

    private static async Task DownAsync(WebSocket socket, Stream stream, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[BufferBytes];
        while (await stream.ReadAsync(buffer, cancellationToken) is > 0 and int count)
        {
            await socket.SendAsync(buffer.AsMemory(0, count), WebSocketMessageType.Binary, endOfMessage: true, cancellationToken);
        }

        await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, cancellationToken);
    }
}
