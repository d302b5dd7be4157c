namespace Rynxs.Sandbox.Violations;

/// <summary>
/// What is known of one sandbox from its trace session: which processes live, which have ended, and what they tried. Programs run one at a
/// time, so whatever was tried since the last <see cref="EndProgram"/> is put on the account of the program that ends next.
/// </summary>
internal sealed class SandboxMonitor : IAsyncDisposable
{
    private readonly Lock _gate = new();
    private readonly ViolationDetector _detector = new();
    private readonly HashSet<int> _alive = [];
    private readonly HashSet<int> _ended = [];
    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Action<DetectionRule> _onAttempt;
    private readonly Action<long> _onKill;
    private readonly TraceReceiver _receiver;
    private readonly Task _watchEnd;
    private (int Group, TaskCompletionSource Seen)? _awaited;
    private bool _forkRefused;
    private string? _mark;
    private (string Path, TaskCompletionSource Seen)? _awaitedMark;

    /// <summary>Listens at once: runsc refuses to create a sandbox whose sink is not there.</summary>
    /// <param name="socketPath">See <see cref="TraceReceiver.Listen"/>.</param>
    /// <param name="onAttempt">Called at the first sight of each attempt, on the receiver's thread.</param>
    /// <param name="onKill">Called when a rule demands the end of the sandbox, with the event's Unix time in nanoseconds, on the receiver's thread; must be quick.</param>
    public SandboxMonitor(string socketPath, Action<DetectionRule> onAttempt, Action<long> onKill)
    {
        _onAttempt = onAttempt;
        _onKill = onKill;
        _receiver = TraceReceiver.Listen(socketPath, Observe);
        _watchEnd = WatchEndAsync();
    }

    /// <summary>
    /// Completes with the sandbox's own start event, the first proof that it is watched (see <see cref="TraceSessionConfig"/>); fails when
    /// the session ends before it.
    /// </summary>
    public Task Started => _started.Task;

    /// <summary>
    /// A restored sandbox has no start event. Its first sign of life is an open of this path, which nobody else knows and which does not exist.
    /// </summary>
    public void ExpectMark(string path) => _mark = path;

    /// <summary>Completes when an open of the path has been read, and so everything that the same thread did before; also when the session ends.</summary>
    public Task MarkSeen(string path)
    {
        lock (_gate)
        {
            var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _awaitedMark = (path, seen);
            return _receiver.Completion.IsCompleted ? Task.CompletedTask : seen.Task;
        }
    }

    /// <summary>Never faults: the value says how the session ended.</summary>
    public Task<TraceEnd> Completion => _receiver.Completion;

    /// <summary>Events looked at so far.</summary>
    public long Received => _receiver.Received;

    /// <summary>Events lost so far.</summary>
    public long Dropped => _receiver.Dropped;

    /// <summary>Whether processes that a program started are still alive.</summary>
    public bool AnyAlive
    {
        get
        {
            lock (_gate)
            {
                return _alive.Count > 0;
            }
        }
    }

    /// <summary>Whether the guest's kernel refused a process since the program began.</summary>
    public bool ForkRefused
    {
        get
        {
            lock (_gate)
            {
                return _forkRefused;
            }
        }
    }

    /// <summary>Called before a program starts: process numbers may come again.</summary>
    public void BeginProgram()
    {
        lock (_gate)
        {
            _ended.Clear();
            _awaited = null;
            _forkRefused = false;
        }
    }

    /// <summary>Completes when the exit of a process has been read, and so everything that it did before; also when the session ends.</summary>
    public Task ExitSeen(int group)
    {
        lock (_gate)
        {
            if (_ended.Contains(group) || _receiver.Completion.IsCompleted)
            {
                return Task.CompletedTask;
            }

            var seen = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _awaited = (group, seen);
            return seen.Task;
        }
    }

    /// <summary>What was tried since the last call, oldest first.</summary>
    public IReadOnlyList<Violation> EndProgram()
    {
        lock (_gate)
        {
            IReadOnlyList<Violation> violations = _detector.Violations();
            _detector.Reset();
            return violations;
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _receiver.DisposeAsync();
        await _watchEnd;
    }

    /// <summary>Cuts the connection, as a crash of the sink would; tests show that this ends the sandbox.</summary>
    internal void CutForTest() => _receiver.CutForTest();

    private void Observe(TraceEvent observed)
    {
        Detection? detection;
        lock (_gate)
        {
            detection = _detector.Observe(observed);
            _forkRefused |= detection is Detection.ProcessLimitHit;
            Follow(observed);
        }

        if (observed is TraceEvent.ContainerStart || (_mark is not null && observed is TraceEvent.Open open && open.Path == _mark))
        {
            _started.TrySetResult();
        }

        if (detection is Detection.Attempt attempt)
        {
            if (attempt.Kill)
            {
                _onKill(observed.Context.TimeNanoseconds);
            }

            _onAttempt(attempt.Rule);
        }
    }

    private void Follow(TraceEvent observed)
    {
        switch (observed)
        {
            case TraceEvent.Cloned cloned when cloned.CreatedThreadGroupId != cloned.Context.ThreadGroupId:
                _alive.Add(cloned.CreatedThreadGroupId);
                break;
            case TraceEvent.Open open when _awaitedMark is { } mark && open.Path == mark.Path:
                mark.Seen.TrySetResult();
                break;
            case TraceEvent.Exited { Context: var context } when context.ThreadId == context.ThreadGroupId:
                _alive.Remove(context.ThreadGroupId);
                _ended.Add(context.ThreadGroupId);
                if (_awaited is { } awaited && awaited.Group == context.ThreadGroupId)
                {
                    awaited.Seen.TrySetResult();
                }

                break;
        }
    }

    private async Task WatchEndAsync()
    {
        TraceEnd end = await _receiver.Completion;
        _started.TrySetException(new SandboxRefusedException(
            "trace_session", "The trace session ended before the sandbox started.", (end as TraceEnd.Failed)?.Cause));
        _ = _started.Task.Exception; // Observed here: after a start that went well nobody else looks.
        lock (_gate)
        {
            _awaited?.Seen.TrySetResult();
            _awaitedMark?.Seen.TrySetResult();
        }
    }
}
