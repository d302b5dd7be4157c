using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;

namespace Rynxs.EndToEndTests;

/// <summary>A real <c>rynxs up</c> on a free port.</summary>
internal sealed partial class RunningServer : IAsyncDisposable
{
    private const int SigTerm = 15;
    private const int SigKill = 9;

    private readonly Process _process;
    private readonly StringBuilder _log = new();
    private readonly Task _errors;
    private readonly Task _output;

    private RunningServer(Process process, string state, TaskCompletionSource<string?> listening)
    {
        _process = process;
        State = state;
        _errors = PumpAsync(process.StandardError, line =>
        {
            lock (_log)
            {
                _log.AppendLine(line);
            }
        });
        _output = PumpAsync(process.StandardOutput, line => listening.TrySetResult(line)).ContinueWith(
            _ => listening.TrySetResult(null), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
    }

    public string State { get; }

    public int ProcessId => _process.Id;

    public string Log
    {
        get
        {
            lock (_log)
            {
                return _log.ToString();
            }
        }
    }

    /// <summary>Starts it and waits until it says that it listens.</summary>
    public static async Task<RunningServer> StartAsync(string state, params string[] options)
    {
        Process process = RynxsProgram.Start(new Invocation { Arguments = ["up", "--state", state, "--listen", "127.0.0.1:0", .. options] });
        var listening = new TaskCompletionSource<string?>(TaskCreationOptions.RunContinuationsAsynchronously);
        var server = new RunningServer(process, state, listening);
        // The very first start on a machine builds the root filesystem.
        string? line = await listening.Task.WaitAsync(TimeSpan.FromMinutes(8), TestContext.Current.CancellationToken);
        if (line is null)
        {
            await server.DisposeAsync();
            throw new InvalidOperationException($"The server ended with {process.ExitCode}: {server.Log}");
        }

        return server;
    }

    /// <summary>Runs a client command against this server.</summary>
    public Task<Finished> RunAsync(params string[] arguments) => RynxsProgram.RunAsync([.. arguments.TakeWhile(argument => argument != "--"), "--state", State, .. arguments.SkipWhile(argument => argument != "--")]);

    /// <summary>As a power cut would: no handler runs.</summary>
    public async Task KillAsync()
    {
        Kill(_process.Id, SigKill).ShouldBe(0);
        await _process.WaitForExitAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>SIGTERM; the exit code.</summary>
    public async Task<int> StopAsync()
    {
        Kill(_process.Id, SigTerm).ShouldBe(0);
        await _process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken);
        return _process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            Kill(_process.Id, SigTerm);
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
            try
            {
                await _process.WaitForExitAsync(patience.Token);
            }
            catch (OperationCanceledException)
            {
                _process.Kill(entireProcessTree: true);
                await _process.WaitForExitAsync(CancellationToken.None);
            }
        }

        await Task.WhenAll(_errors, _output);
        _process.Dispose();
    }

    private static async Task PumpAsync(StreamReader reader, Action<string> take)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            take(line);
        }
    }

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
