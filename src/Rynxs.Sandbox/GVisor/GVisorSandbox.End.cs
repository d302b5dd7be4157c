using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Processes;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.GVisor;

/// <summary>Its end, and what brings it about.</summary>
internal sealed partial class GVisorSandbox
{
    public async ValueTask DisposeAsync()
    {
        await DestroyAsync();
        await _traceEnd;
    }

    /// <summary>Ends it, with <see cref="TerminationReason.Cancelled"/> for a program that runs.</summary>
    public Task DestroyAsync()
    {
        Execution? running;
        Task destroyed;
        lock (_gate)
        {
            running = _destroy is null ? _current : null;
            destroyed = _destroy ??= Task.Run(DestroyCoreAsync);
        }

        running?.Stop(TerminationReason.Cancelled);
        return destroyed;
    }

    /// <summary>Ends what has ended by itself: a running program keeps the reason that it finds.</summary>
    private Task ClearAwayAsync()
    {
        lock (_gate)
        {
            return _destroy ??= Task.Run(DestroyCoreAsync);
        }
    }

    private void OnAttempt(DetectionRule rule) => LogViolation(Id, rule.Type, rule.Severity, rule.Action);

    private void OnKill(long attemptedAt)
    {
        // The reason is set before the kill, or the program's end could be read as its own.
        _current?.Stop(TerminationReason.SecurityViolation);
        KillNow();
        DetectedToKilled ??= _options.TimeProvider.GetUtcNow() - DateTimeOffset.UnixEpoch.AddTicks(attemptedAt / 100);
    }

    /// <summary>The trace ended. When the sandbox did not end with it, nobody watches it any more: it must go.</summary>
    private async Task WatchTraceEndAsync(SandboxMonitor monitor)
    {
        await monitor.Completion.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        // The sentry closes the connection before its process is gone, on a loaded host long before.
        const int goneWithin = 3000;
        if (_process is not { } process)
        {
            return; // the start finds out and refuses
        }

        if (_destroy is null && !_killed && !process.HasEnded(goneWithin))
        {
            LogMonitorLost(Id);
            _current?.LoseMonitor();
            KillNow();
        }

        _current?.EndWithSandbox();
        await ClearAwayAsync();
    }

    /// <summary>Kills the sentry, which takes every program with it. Cheap and safe from any thread.</summary>
    private void KillNow()
    {
        _killed = true;
        _process?.Kill();
    }

    private async Task DestroyCoreAsync()
    {
        await _cutStart.CancelAsync();
        KillNow();
        if (_process is null)
        {
            // The start was cut short: whatever runsc had started is known by its command line only.
            Sweep.KillByCommandLine(_runsc, Id.Value);
        }

        bool killed = false;
        bool clean = false;
        try
        {
            await _startEnded.Task;
            if (_wayOut is { } wayOut)
            {
                await wayOut.DisposeAsync();
            }

            KillNow();
            await _nextSpare;
            if (_current is { } running)
            {
                // Bounded: should a program's account never close, the sandbox ends without it.
                await Task.WhenAny(running.Accounted, Task.Delay(KillDeadline, _options.TimeProvider));
            }

            killed = await ProcessGroupEnd.KillAsync(Cgroup, _sessions, _options.TimeProvider, KillDeadline);
            if (_monitor is not null)
            {
                await _monitor.DisposeAsync();
            }

            if (System.IO.Directory.Exists(_runsc.Root))
            {
                await _runsc.DeleteAsync(Id.Value, CancellationToken.None);
            }

            clean = await Sweep.RemoveAsync(_options, _runsc, Id.Value);
        }
        catch (Exception failed) when (failed is SandboxRefusedException or IOException or UnauthorizedAccessException)
        {
            LogEndFailed(failed, Id);
        }

        if (!killed || !clean)
        {
            LogLeftBehind(Id, killed, clean);
        }

        _process?.Dispose();
        TakeSpare()?.Dispose();
        CloseFd(ref _idleInput);
        _onGone(this);
        await _ended.CancelAsync();
    }

    private static void CloseFd(ref int fd)
    {
        if (fd >= 0)
        {
            _ = Libc.close(fd);
            fd = -1;
        }
    }
}
