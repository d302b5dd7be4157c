using System.Buffers;
using System.Net;
using System.Net.WebSockets;
using System.Text.Json;
using Rynxs.Kubernetes.Objects;
using Rynxs.Kubernetes.Requests;

namespace Rynxs.Kubernetes.Streams;

/// <summary>A program to run in a container.</summary>
public sealed record PodCommand
{
    public required string Namespace { get; init; }

    public required string Pod { get; init; }

    /// <summary>Null for the pod's only or first container.</summary>
    public string? Container { get; init; }

    /// <summary>Program and arguments; no shell is involved.</summary>
    public required IReadOnlyList<string> Command { get; init; }

    /// <summary>Sent to its standard input, which then ends; null for none.</summary>
    public ReadOnlyMemory<byte>? Input { get; init; }

    /// <summary>Bytes of standard output and of standard error that are kept, each; what comes after is read and dropped. Default 1 MiB.</summary>
    public int OutputBytes { get; init; } = 1024 * 1024;

    /// <summary>How long it may run, 60 s unless told.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>How a program in a container ended.</summary>
/// <param name="ExitCode">Its own code.</param>
/// <param name="Output">Standard output, cut at the limit.</param>
/// <param name="Errors">Standard error, cut at the limit.</param>
/// <param name="Truncated">Something was dropped.</param>
public sealed record PodOutcome(int ExitCode, byte[] Output, byte[] Errors, bool Truncated);

/// <summary>
/// Runs programs in containers over a WebSocket with the subprotocol <c>v5.channel.k8s.io</c> (Kubernetes 1.30 and newer; KEP-4006): each message begins with the
/// number of its channel, and message 255 closes one, which is how standard input ends.
/// </summary>
public sealed class PodProgram(KubernetesApi api)
{
    private const string Protocol = "v5.channel.k8s.io";
    private const byte Input = 0, Output = 1, Errors = 2, Outcome = 3, Close = 255;
    private const int ChunkBytes = 32 * 1024;
    private const int MaxOutcomeBytes = 64 * 1024;

    /// <summary>Runs one to its end.</summary>
    /// <exception cref="KubernetesException">It was refused, did not start, or its end is not known (<c>Timeout</c>, <c>Unreachable</c>): then it may still run.</exception>
    public async Task<PodOutcome> RunAsync(PodCommand command, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(command);
        string what = $"exec in pod {command.Namespace}/{command.Pod}";
        using var deadline = new CancellationTokenSource(command.Timeout, api.Options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(deadline.Token, cancellationToken);
        try
        {
            using ClientWebSocket socket = await api.OpenSocketAsync(Path(command), Protocol, what, either.Token);
            Task send = SendAsync(socket, command.Input, either.Token);
            PodOutcome outcome = await ReceiveAsync(socket, command, what, either.Token);
            await Ended(send);
            return outcome;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new KubernetesException(KubernetesFailure.Timeout, $"{what}: not ended within {command.Timeout.TotalSeconds:0.#} s; it may still run");
        }
        catch (Exception exception) when (exception is WebSocketException or HttpRequestException or IOException)
        {
            throw new KubernetesException(KubernetesFailure.Unreachable, $"{what}: the connection broke: {exception.Message}", exception);
        }
    }

    private static string Path(PodCommand command)
    {
        string path = ApiResources.Pods.Path(command.Namespace, command.Pod, "exec") + KubernetesApi.Query(
            ("container", command.Container), ("stdin", command.Input is null ? null : "true"), ("stdout", "true"), ("stderr", "true"));
        return path + string.Concat(command.Command.Select(argument => $"&command={Uri.EscapeDataString(argument)}"));
    }

    private static async Task SendAsync(ClientWebSocket socket, ReadOnlyMemory<byte>? input, CancellationToken cancellationToken)
    {
        if (input is not { } bytes)
        {
            return;
        }

        byte[] frame = new byte[ChunkBytes + 1];
        frame[0] = Input;
        for (int at = 0; at < bytes.Length; at += ChunkBytes)
        {
            int length = Math.Min(ChunkBytes, bytes.Length - at);
            bytes.Slice(at, length).CopyTo(frame.AsMemory(1));
            await socket.SendAsync(frame.AsMemory(0, length + 1), WebSocketMessageType.Binary, endOfMessage: true, cancellationToken);
        }

        await socket.SendAsync(new byte[] { Close, Input }, WebSocketMessageType.Binary, endOfMessage: true, cancellationToken);
    }

    private static async Task<PodOutcome> ReceiveAsync(ClientWebSocket socket, PodCommand command, string what, CancellationToken cancellationToken)
    {
        using MemoryStream output = new(), errors = new(), outcome = new();
        bool truncated = false;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(ChunkBytes * 2);
        try
        {
            int channel = -1;
            while (true)
            {
                ValueWebSocketReceiveResult read = await socket.ReceiveAsync(buffer.AsMemory(), cancellationToken);
                if (read.MessageType == WebSocketMessageType.Close)
                {
                    throw new KubernetesException(KubernetesFailure.Unreachable, $"{what}: closed before the program's end was told");
                }

                ReadOnlySpan<byte> content = buffer.AsSpan(0, read.Count);
                if (channel < 0 && content.Length > 0)
                {
                    channel = content[0];
                    content = content[1..];
                }

                truncated |= channel switch
                {
                    Output => Keep(output, content, command.OutputBytes),
                    Errors => Keep(errors, content, command.OutputBytes),
                    Outcome => Keep(outcome, content, MaxOutcomeBytes),
                    _ => false,
                };
                if (!read.EndOfMessage)
                {
                    continue;
                }

                if (channel == Outcome)
                {
                    return new PodOutcome(ExitCode(outcome.ToArray(), what), output.ToArray(), errors.ToArray(), truncated);
                }

                channel = -1;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static bool Keep(MemoryStream kept, ReadOnlySpan<byte> content, int limit)
    {
        int room = (int)Math.Max(0, limit - kept.Length);
        kept.Write(content[..Math.Min(room, content.Length)]);
        return content.Length > room;
    }

    // A Status: Success, or Failure with the reason NonZeroExitCode and the code as a cause.
    private static int ExitCode(byte[] status, string what)
    {
        StatusBody? body;
        try
        {
            body = JsonSerializer.Deserialize(status, StatusJson.Default.StatusBody);
            using var document = JsonDocument.Parse(status);
            if (document.RootElement.TryGetProperty("status", out JsonElement success) && success.ValueEquals("Success"))
            {
                return 0;
            }
        }
        catch (JsonException exception)
        {
            throw new KubernetesException(KubernetesFailure.Malformed, $"{what}: the program's end is no Status", exception);
        }

        if (body?.Reason == "NonZeroExitCode"
            && int.TryParse(body.Details?.Causes?.FirstOrDefault(cause => cause.Reason == "ExitCode")?.Message, out int code))
        {
            return code;
        }

        throw Failures.Of((HttpStatusCode)(body?.Code ?? 500), status, retryAfter: null, what);
    }

    // A program may end without having read its input: what was still to be sent is of no use then.
    private static async Task Ended(Task send)
    {
        try
        {
            await send;
        }
        catch (Exception exception) when (exception is WebSocketException or OperationCanceledException or IOException or ObjectDisposedException)
        {
            // The program has ended.
        }
    }
}
