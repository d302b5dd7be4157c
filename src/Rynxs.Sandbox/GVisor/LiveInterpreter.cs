using System.Collections.Concurrent;
using System.Globalization;
using Rynxs.Sandbox.Guest;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Processes;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.GVisor;

/// <summary>An interpreter that keeps its state. One thread per interpreter writes to it and reads from it; it sleeps in poll between two pieces.</summary>
internal sealed class LiveInterpreter : ILiveInterpreter
{
    private const byte Ready = 1;
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan TraceDeadline = TimeSpan.FromSeconds(2);
    private readonly GVisorSandbox _sandbox;
    private readonly SandboxMonitor _monitor;
    private readonly TimeProvider _time;
    private readonly BlockingCollection<Piece> _pieces = [];
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly int[] _pipes; // input, output, error, done
    private int _number;

    private LiveInterpreter(GVisorSandbox sandbox, SandboxMonitor monitor, TimeProvider time, int[] pipes)
    {
        (_sandbox, _monitor, _time, _pipes) = (sandbox, monitor, time, pipes);
        new Thread(Serve, 256 * 1024) { IsBackground = true, Name = "live interpreter" }.Start();
    }

    /// <exception cref="ControlException">The sandbox's kernel refuses, or is gone.</exception>
    public static async Task<LiveInterpreter> StartAsync(GVisorSandbox sandbox, SandboxMonitor monitor, TimeProvider time, CancellationToken cancellationToken)
    {
        using GuestPipes pipes = GuestPipes.New();
        (int doneOurs, int doneTheirs) = ChildProcess.NewPipe();
        try
        {
            await sandbox.Control.ExecuteAsync(GuestAgent.Command("live"), sandbox.BaseEnvironment, "/workspace/files", [.. pipes.Theirs, doneTheirs], cancellationToken);
        }
        catch
        {
            _ = Libc.close(doneOurs);
            throw;
        }
        finally
        {
            _ = Libc.close(doneTheirs);
        }

        (int input, int output, int error) = pipes.TakeOurs();
        var interpreter = new LiveInterpreter(sandbox, monitor, time, [input, output, error, doneOurs]);
        try
        {
            var hello = new Piece([], new CapturedStream(0), new CapturedStream(0), null);
            interpreter._pieces.Add(hello, cancellationToken);
            if (await hello.Done.Task.WaitAsync(ReadyDeadline, cancellationToken) == Ready)
            {
                return interpreter;
            }
        }
        catch (TimeoutException)
        {
            // Said below.
        }
        catch (OperationCanceledException)
        {
            await interpreter.DisposeAsync();
            throw;
        }

        await interpreter.DisposeAsync();
        throw new SandboxStartException("the interpreter did not get ready");
    }

    public async Task<ExecutionResult> RunAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        RequestChecks.Check(request);
        if (request.PythonSource is not { } source || request.Arguments.Count > 0 || request.Environment.Count > 0 || !request.StandardInput.IsEmpty)
        {
            throw new ArgumentException("a live interpreter takes pythonSource, timeout and outputBytes only");
        }

        Execution execution = await _sandbox.BeginTurnAsync(request, cancellationToken);
        try
        {
            return await RunAsync(request, source, execution, cancellationToken);
        }
        finally
        {
            await _sandbox.EndTurnAsync(execution);
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (!_pieces.IsAddingCompleted)
        {
            _pieces.CompleteAdding();
        }

        await _ended.Task;
    }

    private async Task<ExecutionResult> RunAsync(ExecutionRequest request, ReadOnlyMemory<byte> source, Execution execution, CancellationToken cancellationToken)
    {
        long dropped = _monitor.Dropped;
        TimeSpan? cpu = _sandbox.Cgroup.Cpu;
        long oomKills = _sandbox.Cgroup.OomKills;
        _monitor.BeginProgram();
        Task traced = _monitor.MarkSeen(string.Create(CultureInfo.InvariantCulture, $"/rynxs-done-{++_number}"));
        var piece = new Piece(GuestAgent.Frame(source.Span), new CapturedStream(request.OutputBytes), new CapturedStream(request.OutputBytes), execution.OnData);
        long begin = _time.GetTimestamp();
        if (_pieces.IsAddingCompleted || _ended.Task.IsCompleted)
        {
            throw new SandboxStartException("the interpreter has ended");
        }

        _pieces.Add(piece, CancellationToken.None);
        int answer;
        using (ITimer deadline = _time.CreateTimer(_ => execution.Stop(TerminationReason.Timeout), null, request.Timeout, Timeout.InfiniteTimeSpan))
        await using (cancellationToken.UnsafeRegister(_ => execution.Stop(TerminationReason.Cancelled), null))
        {
            answer = await piece.Done.Task; // the sandbox's end closes the pipes, and so ends this, too
        }

        TimeSpan duration = _time.GetElapsedTime(begin);
        if (answer >= 0)
        {
            await Task.WhenAny(traced, execution.Stopped, Task.Delay(TraceDeadline, _time, CancellationToken.None));
        }

        bool oom = _sandbox.Cgroup.OomKills > oomKills;
        return new ExecutionResult
        {
            ExitCode = answer switch { 1 => 0, 0 => 1, _ => null },
            Reason = execution.StopReason ?? (oom ? TerminationReason.OomKilled : answer == 1 ? TerminationReason.Completed : TerminationReason.NonzeroExit),
            StandardOutput = piece.Output.Bytes,
            StandardError = piece.Error.Bytes,
            StandardOutputTruncated = piece.Output.Truncated,
            StandardErrorTruncated = piece.Error.Truncated,
            Duration = duration,
            Violations = ProgramRun.Violations(_sandbox, _monitor, execution, _time, dropped),
            Usage = new ResourceUsage(_sandbox.Cgroup.Cpu - cpu, _sandbox.Cgroup.MemoryPeak, null, null),
        };
    }

    private void Serve()
    {
        byte[] buffer = new byte[64 * 1024];
        foreach (Piece piece in _pieces.GetConsumingEnumerable())
        {
            int answer = Write(piece.Frame) ? Read(piece, buffer) : -1;
            piece.Done.SetResult(answer);
            if (answer < 0)
            {
                break;
            }
        }

        _pieces.CompleteAdding();
        _ended.TrySetResult();
        Array.ForEach(_pipes, pipe => Libc.close(pipe));
        foreach (Piece late in _pieces.GetConsumingEnumerable())
        {
            late.Done.SetResult(-1);
        }
    }

    /// <summary>The interpreter reads a piece whole before it begins, so writing never waits for reading.</summary>
    private unsafe bool Write(byte[] bytes)
    {
        int sent = 0;
        fixed (byte* source = bytes)
        {
            while (sent < bytes.Length)
            {
                nint count = Libc.write(_pipes[0], source + sent, (nuint)(bytes.Length - sent));
                if (count < 0 && Libc.LastErrno != Libc.EINTR)
                {
                    return false;
                }

                sent += (int)Math.Max(count, 0);
            }
        }

        return true;
    }

    /// <summary>Collects output until the interpreter says that the piece has ended: 1 well, 0 by an exception; -1 when the interpreter is gone.</summary>
    private unsafe int Read(Piece piece, byte[] buffer)
    {
        Libc.PollFd* entries = stackalloc Libc.PollFd[3];
        int answer = -2;
        while (true)
        {
            for (int i = 0; i < 3; i++)
            {
                entries[i] = new Libc.PollFd { Fd = _pipes[i + 1], Events = Libc.PollIn };
            }

            // Once it has answered, what it wrote before is in the pipes: take it, and wait for nothing more.
            int ready = Libc.poll(entries, 3, answer == -2 ? -1 : 0);
            if (ready < 0)
            {
                continue; // EINTR
            }

            bool any = Take(entries[0], piece.Output, false, piece, buffer) | Take(entries[1], piece.Error, true, piece, buffer);
            if (answer == -2 && entries[2].Revents != 0)
            {
                byte word;
                answer = Libc.read(_pipes[3], &word, 1) == 1 ? word : -1;
            }
            else if (answer != -2 && !any)
            {
                return answer;
            }
        }
    }

    private static unsafe bool Take(Libc.PollFd entry, CapturedStream stream, bool isError, Piece piece, byte[] buffer)
    {
        if ((entry.Revents & Libc.PollIn) == 0)
        {
            return false;
        }

        nint count;
        fixed (byte* target = buffer)
        {
            count = Libc.read(entry.Fd, target, (nuint)buffer.Length);
        }

        if (count <= 0)
        {
            return false;
        }

        int kept = stream.Accept(buffer.AsSpan(0, (int)count)).Length;
        piece.OnData?.Invoke(isError, kept, stream);
        return true;
    }

    private sealed record Piece(byte[] Frame, CapturedStream Output, CapturedStream Error, Action<bool, int, CapturedStream>? OnData)
    {
        public TaskCompletionSource<int> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
