using Rynxs.Ledger.Events;
using Rynxs.Sandbox.Guest;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Egress;

/// <summary>The way out of one sandbox: its forwarder while it is up, and the gateway's channel from its adoption on.</summary>
/// <remarks>Dispose cuts the channel first, so that nothing goes out of a sandbox that is being ended.</remarks>
internal sealed class SandboxWayOut(string sandboxDirectory) : IAsyncDisposable
{
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromSeconds(10);
    private IAsyncDisposable? _channel;
    private int _input = -1;

    /// <summary>Directory on the host that is mounted into the sandbox.</summary>
    public string HostDirectory { get; } = Path.Combine(sandboxDirectory, GuestForwarder.DirectoryName);

    /// <summary>Makes the directory; the socket comes later.</summary>
    public void Prepare()
    {
        const UnixFileMode inside = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(HostDirectory, inside);
    }

    /// <summary>Starts the forwarder in a sandbox whose first process is another program's.</summary>
    public async Task StartForwarderAsync(ControlSocket control, CancellationToken cancellationToken)
    {
        using GuestPipes pipes = GuestPipes.New();
        await control.ExecuteAsync(GuestForwarder.Command, OciBundle.BaseEnvironment, "/", pipes.Theirs, cancellationToken, uid: 0, capabilities: GuestForwarder.BindLowPorts);
        (int input, int output, int error) = pipes.TakeOurs();
        _input = input; // it ends when this closes
        pipes.Dispose(); // else nobody would notice its end
        using var answers = new SpareInterpreter(0, -1, output, error);
        try
        {
            await answers.ExpectAsync("ready", cancellationToken).WaitAsync(ReadyDeadline, cancellationToken);
        }
        catch (TimeoutException silent)
        {
            throw new SandboxRefusedException("network", "The forwarder in the sandbox did not begin in time.", silent);
        }
    }

    /// <summary>Connects it to the gateway, and shows from inside that what nothing allows does not go out.</summary>
    /// <exception cref="SandboxRefusedException">It cannot be shown.</exception>
    public async Task<SandboxControl> OpenAsync(GVisorSandbox sandbox, ISandboxEgress egress, CancellationToken cancellationToken)
    {
        try
        {
            _channel = await egress.OpenAsync(sandbox.Id, sandbox.Owner, Path.Combine(HostDirectory, GuestForwarder.SocketName), cancellationToken);
        }
        catch (IOException failed)
        {
            throw new SandboxRefusedException("network", $"the egress socket cannot be had: {failed.Message}", failed);
        }

        ExecutionResult probe;
        try
        {
            probe = await sandbox.ExecuteAsync(
                new ExecutionRequest { ExecutionId = "probe-egress", Arguments = GuestForwarder.ProbeCommand, WorkingDirectory = "/", Timeout = ReadyDeadline }, cancellationToken);
        }
        catch (SandboxStartException failed)
        {
            throw new SandboxRefusedException("network", $"egress cannot be probed: {failed.Message}", failed);
        }

        cancellationToken.ThrowIfCancellationRequested();
        string seen = System.Text.Encoding.UTF8.GetString(probe.StandardOutput.Span).Trim();
        string[] parts = seen.Split('|');
        bool holds = parts.Length == 4 && parts[0].StartsWith("HTTP/1.1 403 ", StringComparison.Ordinal) && parts[1] == "no address"
            && parts[2] is not ("worked" or "") && parts[3] is not ("worked" or "");
        string said = Violations.ViolationDetector.Sanitise(seen.Length == 0 ? System.Text.Encoding.UTF8.GetString(probe.StandardError.Span) : seen);
        return holds
            ? new SandboxControl(
                "network", egress.Mode, "runsc --network=none; a unix socket of its own to the egress gateway is the only way out",
                $"{GuestForwarder.ProbeHost} by proxy and by DNS, 192.0.2.1:443 past them, a socket of its own beside the gateway's", said)
            : throw new SandboxRefusedException("network", $"control network ({egress.Mode}) cannot be shown to work: the probe of egress gave '{RunscCommand.Bounded(said)}'");
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _channel, null) is { } channel)
        {
            await channel.DisposeAsync();
        }

        if (_input >= 0)
        {
            _ = Libc.close(_input);
            _input = -1;
        }
    }
}

/// <summary>Stands for the way out of a sandbox that nobody owns yet.</summary>
internal sealed class ReservedEgress : ISandboxEgress
{
    public static ReservedEgress Instance { get; } = new();

    public string Mode => "none yet";

    public Task<IAsyncDisposable> OpenAsync(SandboxId sandbox, SandboxOwner owner, string socketPath, CancellationToken cancellationToken) =>
        throw new InvalidOperationException("A sandbox of the pool has no way out before it is somebody's.");
}
