using Rynxs.Sandbox.Guest;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.GVisor;

/// <summary>Programs and interpreters in it, one turn at a time.</summary>
internal sealed partial class GVisorSandbox
{
    public async Task<ExecutionResult> ExecuteAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        RequestChecks.Check(request);
        try
        {
            await _oneProgram.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            request.Interaction?.End();
            return ProgramRun.CancelledBeforeStart();
        }

        try
        {
            return await RunAsync(request, cancellationToken);
        }
        finally
        {
            request.Interaction?.End();
            _oneProgram.Release();
        }
    }

    public async Task PauseAsync(CancellationToken cancellationToken)
    {
        await _pausing.WaitAsync(cancellationToken);
        try
        {
            if (_paused)
            {
                return;
            }

            await _oneProgram.WaitAsync(cancellationToken); // kept until it is resumed: no program runs in a stopped sandbox
            if (IsGone)
            {
                _oneProgram.Release();
                throw new SandboxStartException($"sandbox {Id} has ended");
            }

            await _nextSpare;
            Park();
            _paused = true;
        }
        finally
        {
            _pausing.Release();
        }
    }

    public async Task ResumeAsync(CancellationToken cancellationToken)
    {
        await _pausing.WaitAsync(cancellationToken);
        try
        {
            if (_paused)
            {
                _paused = false;
                Continue();
                _oneProgram.Release();
            }
        }
        finally
        {
            _pausing.Release();
        }
    }

    public async Task<ILiveInterpreter> OpenInterpreterAsync(CancellationToken cancellationToken)
    {
        if (!IsDirect || _monitor is not { } monitor || IsGone)
        {
            throw new SandboxStartException(IsGone ? $"sandbox {Id} has ended" : "a live interpreter needs the runtime's control socket, which is not in use here");
        }

        try
        {
            return await LiveInterpreter.StartAsync(this, monitor, _options.TimeProvider, cancellationToken);
        }
        catch (ControlException failed)
        {
            throw new SandboxStartException($"the interpreter could not be started: {failed.Message}", failed);
        }
    }

    /// <summary>Takes the turn of a program; the caller ends it.</summary>
    /// <exception cref="SandboxStartException">The sandbox has ended.</exception>
    internal async Task<Execution> BeginTurnAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        await _oneProgram.WaitAsync(cancellationToken);
        lock (_gate)
        {
            if (!IsGone)
            {
                return _current = new Execution(request, KillNow);
            }
        }

        _oneProgram.Release();
        throw new SandboxStartException($"sandbox {Id} has ended");
    }

    internal async Task EndTurnAsync(Execution execution)
    {
        _current = null;
        execution.CloseAccount();
        _oneProgram.Release();
        if (execution.StopReason is not null || IsGone)
        {
            await ClearAwayAsync();
        }
    }

    private async Task<ExecutionResult> RunAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ProgramRun.CancelledBeforeStart();
        }

        var execution = new Execution(request, KillNow);
        SandboxMonitor monitor;
        lock (_gate)
        {
            // From here on the sandbox's end waits for this program's account.
            monitor = _monitor is { } watching && !IsGone ? watching : throw new SandboxStartException($"sandbox {Id} has ended");
            _current = execution;
        }

        ExecutionResult result;
        try
        {
            result = await new ProgramRun(_options, _runsc, this, monitor, execution).RunAsync(request, cancellationToken);
        }
        finally
        {
            _current = null;
            execution.CloseAccount();
        }

        if (Metrics is { } metrics)
        {
            metrics.ProgramEnded(Runtime, result);
            if (Interlocked.Exchange(ref _coldStartTold, 1) == 0)
            {
                metrics.FirstProgram(Runtime, ColdStart + (result.FirstInstruction ?? TimeSpan.Zero));
            }
        }

        if (result.ExitCode is null)
        {
            await ClearAwayAsync();
        }
        else if (IsDirect && !_spec.SingleUse && request.PythonSource is not null && _nextSpare.IsCompleted && _spare is null)
        {
            _nextSpare = Task.Run(PrepareSpareAsync, CancellationToken.None);
        }

        return result;
    }

    /// <summary>Where one Python program ran, another may follow.</summary>
    private async Task PrepareSpareAsync()
    {
        try
        {
            SpareInterpreter spare = await SpareInterpreter.StartAsync(Control, _cutStart.Token);
            Interlocked.Exchange(ref _spare, spare)?.Dispose();
            if (_destroy is not null)
            {
                TakeSpare()?.Dispose();
            }
        }
        catch (Exception failed) when (failed is ControlException or SandboxRefusedException or OperationCanceledException or IOException)
        {
            // The next program starts an interpreter of its own; nothing is lost but time.
            LogNoSpare(failed, Id);
        }
    }
}
