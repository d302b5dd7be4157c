using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.RegularExpressions;

namespace Rynxs.EndToEndTests.Evidence;

/// <summary>A role of the program (<c>rynxs witness</c>, <c>rynxs ledger serve</c>) as a process of its own, on a free port.</summary>
internal sealed partial class RunningRole : IAsyncDisposable
{
    private const int SigTerm = 15;
    private const int SigKill = 9;

    private readonly Process _process;
    private readonly StringBuilder _errors = new();
    private readonly Task _pumping;

    private RunningRole(Process process)
    {
        _process = process;
        _pumping = PumpAsync();
    }

    /// <summary>Where it answers.</summary>
    public Uri Url { get; private set; } = new("http://unknown.invalid/");

    /// <summary>What it wrote on standard output before it said where.</summary>
    public IReadOnlyList<string> Lines { get; private set; } = [];

    public string Log
    {
        get
        {
            lock (_errors)
            {
                return _errors.ToString();
            }
        }
    }

    /// <summary>Starts it and waits until it says where it answers.</summary>
    public static async Task<RunningRole> StartAsync(params string[] arguments)
    {
        var role = new RunningRole(RynxsProgram.Start(new Invocation { Arguments = arguments }));
        List<string> lines = [];
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        while (await role._process.StandardOutput.ReadLineAsync(patience.Token) is { } line)
        {
            lines.Add(line);
            if (Address().Match(line) is { Success: true } match)
            {
                (role.Url, role.Lines) = (new Uri(match.Value), lines);
                return role;
            }
        }

        await role._pumping;
        string log = role.Log;
        await role.DisposeAsync();
        throw new InvalidOperationException($"It ended without saying where it listens: {log}");
    }

    public async Task KillAsync() => await EndAsync(SigKill);

    /// <summary>SIGTERM; the exit code.</summary>
    public async Task<int> StopAsync() => await EndAsync(SigTerm);

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            await EndAsync(SigKill);
        }

        await _pumping;
        _process.Dispose();
    }

    private async Task<int> EndAsync(int signal)
    {
        Kill(_process.Id, signal).ShouldBe(0);
        await _process.WaitForExitAsync(CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(60), CancellationToken.None);
        return _process.ExitCode;
    }

    private async Task PumpAsync()
    {
        while (await _process.StandardError.ReadLineAsync(CancellationToken.None) is { } line)
        {
            lock (_errors)
            {
                _errors.AppendLine(line);
            }
        }
    }

    [GeneratedRegex("https?://[0-9a-z.:\\[\\]]+")]
    private static partial Regex Address();

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int process, int signal);
}
