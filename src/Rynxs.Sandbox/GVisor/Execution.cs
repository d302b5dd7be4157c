using Rynxs.Sandbox.Processes;

namespace Rynxs.Sandbox.GVisor;

/// <summary>One program while it runs: the first reason to stop it wins.</summary>
internal sealed class Execution(ExecutionRequest request, Action onStop)
{
    /// <summary>A program may write this many times its cap before it is stopped; what is beyond the cap is dropped all the same.</summary>
    private const int OutputTolerance = 8;

    /// <summary>Room for programs with a small cap, so that a kilobyte too much is truncated, not killed.</summary>
    private const long OutputFloorBytes = 1024 * 1024;

    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _accounted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TerminationReason? _reason;

    public TerminationReason? StopReason
    {
        get
        {
            lock (_gate)
            {
                return _reason;
            }
        }
    }

    /// <summary>Completes when why and how it ended is known; what the sandbox's cgroup and directory tell is not needed any more.</summary>
    public Task Accounted => _accounted.Task;

    /// <summary>Completes when something stopped the program.</summary>
    public Task Stopped => _stopped.Task;

    /// <summary>True when the trace session was lost while the program ran.</summary>
    public bool MonitorLost { get; private set; }

    /// <summary>The sandbox ended by itself: nobody chose a reason, and nothing more comes from the program.</summary>
    public void EndWithSandbox() => _stopped.TrySetResult();

    public void CloseAccount() => _accounted.TrySetResult();

    public void LoseMonitor()
    {
        MonitorLost = true;
        Stop(TerminationReason.SecurityViolation);
    }

    public void Stop(TerminationReason reason)
    {
        lock (_gate)
        {
            if (_reason is not null)
            {
                return;
            }

            _reason = reason;
        }

        onStop();
        _stopped.TrySetResult();
    }

    /// <summary>Called on the pump's thread for each chunk.</summary>
    public void OnData(bool isError, int kept, CapturedStream stream)
    {
        if (kept > 0)
        {
            request.OnOutput?.Invoke(new OutputChunk(isError, stream.Bytes[^kept..]));
        }

        if (stream.Seen > Math.Max(OutputFloorBytes, (long)request.OutputBytes * OutputTolerance))
        {
            Stop(TerminationReason.OutputLimit);
        }
    }
}
