using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace Rynxs.Gateway.Egress.Tunnels;

/// <summary>Copies bytes both ways until both sides are done, one breaks, or the flow is cut. Idle, it holds no buffer.</summary>
internal sealed class TunnelPump(IDuplexPipe sandbox, Socket upstream, Flow flow, TimeSpan idleTimeout, TimeProvider timeProvider)
{
    private const int BufferBytes = 64 * 1024;

    private long _lastByte = timeProvider.GetTimestamp();

    /// <summary>Runs to the end. The caller disposes both sides.</summary>
    public async Task<FlowEnd> RunAsync(CancellationToken sandboxLeft)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(flow.Cut, sandboxLeft);
        using ITimer idle = timeProvider.CreateTimer(_ => CutIdle(), null, idleTimeout, TimeSpan.FromTicks(Math.Max(idleTimeout.Ticks / 4, TimeSpan.TicksPerMillisecond)));
        Task<FlowEnd?> outward = OutwardAsync(stop.Token);
        Task<FlowEnd?> inward = InwardAsync(stop.Token);

        // One side that is done leaves the other open (half-close); one that broke ends both.
        FlowEnd? first = await (await Task.WhenAny(outward, inward).ConfigureAwait(false)).ConfigureAwait(false);
        if (first is not null)
        {
            await stop.CancelAsync().ConfigureAwait(false);
        }

        FlowEnd?[] ends = await Task.WhenAll(outward, inward).ConfigureAwait(false);
        return flow.CutFor ?? first ?? ends.FirstOrDefault(end => end is not null) ?? FlowEnd.Completed;
    }

    private async Task<FlowEnd?> OutwardAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                ReadResult read = await sandbox.Input.ReadAsync(cancellationToken).ConfigureAwait(false);
                foreach (ReadOnlyMemory<byte> part in read.Buffer)
                {
                    if (!flow.TryCountOut(part.Length))
                    {
                        return FlowEnd.ByteLimit;
                    }

                    await SendAllAsync(part, cancellationToken).ConfigureAwait(false);
                }

                sandbox.Input.AdvanceTo(read.Buffer.End);
                Touch();
                if (read.IsCompleted)
                {
                    upstream.Shutdown(SocketShutdown.Send);
                    return null;
                }
            }
        }
        catch (SocketException)
        {
            return FlowEnd.UpstreamFailed;
        }
        catch (Exception e) when (e is ConnectionResetException or ConnectionAbortedException or OperationCanceledException)
        {
            return FlowEnd.SandboxLeft;
        }
    }

    private async Task<FlowEnd?> InwardAsync(CancellationToken cancellationToken)
    {
        try
        {
            while (true)
            {
                // Waits for bytes before it takes a buffer: thousands of idle tunnels then cost next to nothing.
                await upstream.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, cancellationToken).ConfigureAwait(false);
                byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
                try
                {
                    int read = await upstream.ReceiveAsync(buffer, SocketFlags.None, cancellationToken).ConfigureAwait(false);
                    if (read == 0)
                    {
                        await sandbox.Output.CompleteAsync().ConfigureAwait(false);
                        return null;
                    }

                    if (!flow.TryCountIn(read))
                    {
                        return FlowEnd.ByteLimit;
                    }

                    FlushResult flushed = await sandbox.Output.WriteAsync(buffer.AsMemory(0, read), cancellationToken).ConfigureAwait(false);
                    Touch();
                    if (flushed.IsCompleted)
                    {
                        return FlowEnd.SandboxLeft;
                    }
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                }
            }
        }
        catch (SocketException)
        {
            return FlowEnd.UpstreamFailed;
        }
        catch (Exception e) when (e is ConnectionResetException or ConnectionAbortedException or OperationCanceledException)
        {
            return FlowEnd.SandboxLeft;
        }
    }

    private async ValueTask SendAllAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        while (!bytes.IsEmpty)
        {
            bytes = bytes[await upstream.SendAsync(bytes, SocketFlags.None, cancellationToken).ConfigureAwait(false)..];
        }
    }

    private void Touch() => Interlocked.Exchange(ref _lastByte, timeProvider.GetTimestamp());

    private void CutIdle()
    {
        if (timeProvider.GetElapsedTime(Interlocked.Read(ref _lastByte)) >= idleTimeout)
        {
            flow.CutOff(FlowEnd.TimeLimit);
        }
    }
}
