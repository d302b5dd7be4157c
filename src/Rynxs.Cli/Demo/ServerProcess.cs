using System.Diagnostics;
using Rynxs.Cli.Client;

namespace Rynxs.Cli.Demo;

/// <summary>
/// A server of our own in a child process, on a free port. It ends with us however we end: its standard input is a pipe that we hold, and
/// it stops when that is closed.
/// </summary>
internal sealed class ServerProcess : IAsyncDisposable
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly Task _errorPump;
    private readonly Task _outputPump;

    private ServerProcess(Process process, Task errorPump, Task outputPump)
    {
        _process = process;
        _errorPump = errorPump;
        _outputPump = outputPump;
    }

    /// <summary>Whether it ended by itself: nothing that needs it can hold any more.</summary>
    public bool HasEnded => _process.HasExited;

    /// <summary>Starts it and waits until it answers. The first start on a machine builds the root filesystem, which takes minutes.</summary>
    /// <param name="state">State directory.</param>
    /// <param name="log">File that receives the server's log.</param>
    /// <param name="progress">Told what start-up is doing.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="CliException">It ended before it answered.</exception>
    public static async Task<ServerProcess> StartAsync(string state, string log, Action<string> progress, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath ?? throw new InvalidOperationException("This process has no path."))
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (Path.GetFileNameWithoutExtension(start.FileName) == "dotnet")
        {
            start.ArgumentList.Add(typeof(ServerProcess).Assembly.Location);
        }

        foreach (string argument in (string[])["up", "--state", state, "--listen", "127.0.0.1:0", "--stop-at-end-of-input", "--drain-seconds", "5",
            "--egress-open", "127.0.0.1", "--egress-host", EgressStep.Allowed + "=127.0.0.1", "--egress-host", EgressStep.Denied + "=127.0.0.1"])
        {
            start.ArgumentList.Add(argument);
        }

        Process process = Process.Start(start) ?? throw new InvalidOperationException("The server process did not start.");
        var ready = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var server = new ServerProcess(process, PumpErrorsAsync(process, log, progress), PumpOutputAsync(process, ready));
        try
        {
            await ready.Task.WaitAsync(cancellationToken);
            return process.HasExited || ClientSettings.FromState(state) is null
                ? throw new CliException("the demo's server ended before it answered.", hints: [.. LastLines(log)])
                : server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Asks it to stop by closing its input and waits; kills it when it does not.</summary>
    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.StandardInput.Close();
            using var patience = new CancellationTokenSource(StopTimeout);
            try
            {
                await _process.WaitForExitAsync(patience.Token);
            }
            catch (OperationCanceledException)
            {
                _process.Kill();
                await _process.WaitForExitAsync(CancellationToken.None);
            }
        }

        await Task.WhenAll(_errorPump, _outputPump);
        _process.Dispose();
    }

    // Log lines are JSON and go to the file; anything else is progress for people.
    private static async Task PumpErrorsAsync(Process process, string log, Action<string> progress)
    {
        await using var file = new StreamWriter(log) { AutoFlush = true };
        while (await process.StandardError.ReadLineAsync() is { } line)
        {
            await file.WriteLineAsync(line);
            if (line.Length > 0 && line[0] != '{')
            {
                progress(line);
            }
        }
    }

    // The first line says that it listens. The end of the output counts too: the process then ended, and the caller looks.
    private static async Task PumpOutputAsync(Process process, TaskCompletionSource ready)
    {
        while (await process.StandardOutput.ReadLineAsync() is not null)
        {
            ready.TrySetResult();
        }

        await process.WaitForExitAsync();
        ready.TrySetResult();
    }

    private static IEnumerable<string> LastLines(string log) => File.Exists(log) ? File.ReadLines(log).TakeLast(5) : [];
}
