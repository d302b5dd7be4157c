using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox;

/// <summary>Size of a terminal in characters, 1 to 1000 each.</summary>
public readonly record struct TerminalSize(int Rows, int Columns);

/// <summary>
/// What a caller does to a program while it runs: input as it comes, signals, the size of its terminal. Belongs to one program; a call before its start waits, one after its end does
/// nothing. Output is handed over as it comes and is not kept beyond <see cref="ExecutionRequest.OutputBytes"/>; there is no limit of how much a program may write.
/// </summary>
public sealed class ProgramInteraction : IDisposable
{
    /// <summary>Input that the program has not read yet; more waits.</summary>
    private const int MaxPendingBytes = 1024 * 1024;
    private readonly Lock _gate = new();
    private readonly Queue<ReadOnlyMemory<byte>> _input = new();
    private readonly SemaphoreSlim _room = new(1, 1);
    private readonly TaskCompletionSource<IRunningProgram?> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _wake = -1;
    private int _pending;
    private bool _closed;
    private bool _ended;

    /// <summary>The program gets a terminal of this size as its standard input, output and error; null: pipes.</summary>
    public TerminalSize? Terminal { get; init; }

    /// <summary>Called with each piece of output, on one thread; it must not block. With a terminal all of it is standard output.</summary>
    public required Action<OutputChunk> OnOutput { get; init; }

    /// <summary>Completes when the program runs, with its number inside; null when it ended before it began.</summary>
    public async Task<int?> StartedAsync(CancellationToken cancellationToken) => (await _started.Task.WaitAsync(cancellationToken))?.Process;

    /// <summary>Gives it input, and waits while it does not read. False when it has ended, or its input is closed.</summary>
    public async Task<bool> WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        await _room.WaitAsync(cancellationToken);
        try
        {
            while (true)
            {
                Task drained;
                lock (_gate)
                {
                    if (_closed || _ended)
                    {
                        return false;
                    }

                    if (_pending == 0 || _pending + bytes.Length <= MaxPendingBytes)
                    {
                        _input.Enqueue(bytes.ToArray());
                        _pending += bytes.Length;
                        Wake_NeedsLock();
                        break;
                    }

                    _drained = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                    drained = _drained.Task;
                }

                await drained.WaitAsync(cancellationToken);
            }
        }
        finally
        {
            _room.Release();
        }

        // A terminal's signal characters: there is no process group of the host that its line discipline could signal. Before the start there is nothing to signal.
        if (Terminal is not null && _started.Task.IsCompleted && await _started.Task.WaitAsync(cancellationToken) is { } running)
        {
            await running.TypedAsync(bytes, cancellationToken);
        }

        return true;
    }

    /// <summary>No more input comes: the program reads end of file, behind what is pending.</summary>
    public void CloseInput()
    {
        lock (_gate)
        {
            _closed = true;
            Wake_NeedsLock();
        }
    }

    /// <summary>Sends a signal (1 to 31) to the program, or to a terminal's foreground processes. False when it has ended.</summary>
    public async Task<bool> SignalAsync(int signal, CancellationToken cancellationToken)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(signal, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(signal, 31);
        return await _started.Task.WaitAsync(cancellationToken) is { } running && await running.SignalAsync(signal, cancellationToken);
    }

    /// <summary>Changes the size of its terminal. False when it has none, or has ended.</summary>
    public async Task<bool> ResizeAsync(TerminalSize size, CancellationToken cancellationToken) =>
        Terminal is not null && await _started.Task.WaitAsync(cancellationToken) is { } running && running.TryResize(size);

    /// <summary>Once its program has ended.</summary>
    public void Dispose() => _room.Dispose();

    internal void Begin(IRunningProgram running, int wake)
    {
        lock (_gate)
        {
            _wake = wake;
            if (_pending > 0 || _closed)
            {
                Wake_NeedsLock();
            }
        }

        _started.TrySetResult(running);
    }

    /// <summary>The program has ended, or never began: whoever waits for it goes on. Safe to call twice; the runtime calls it, and so does who gives up starting one.</summary>
    public void End()
    {
        lock (_gate)
        {
            _ended = true;
            _wake = -1;
            _drained.TrySetResult();
        }

        _started.TrySetResult(null);
    }

    /// <summary>What to write next; the flag says that nothing comes after it.</summary>
    internal (ReadOnlyMemory<byte> Bytes, bool IsLast) Peek()
    {
        lock (_gate)
        {
            return _input.TryPeek(out ReadOnlyMemory<byte> next) ? (next, false) : (default, _closed);
        }
    }

    /// <summary>So much of it was taken.</summary>
    internal void Take(int count)
    {
        lock (_gate)
        {
            ReadOnlyMemory<byte> first = _input.Dequeue();
            _pending -= count;
            if (count < first.Length)
            {
                Requeue_NeedsLock(first[count..]);
            }

            _drained.TrySetResult();
        }
    }

    private void Requeue_NeedsLock(ReadOnlyMemory<byte> rest)
    {
        ReadOnlyMemory<byte>[] others = [.. _input];
        _input.Clear();
        _input.Enqueue(rest);
        foreach (ReadOnlyMemory<byte> other in others)
        {
            _input.Enqueue(other);
        }
    }

    private unsafe void Wake_NeedsLock()
    {
        ulong one = 1;
        _ = _wake >= 0 ? Libc.write(_wake, &one, sizeof(ulong)) : 0;
    }
}

/// <summary>A program that takes signals.</summary>
internal interface IRunningProgram
{
    int Process { get; }

    Task<bool> SignalAsync(int signal, CancellationToken cancellationToken);

    bool TryResize(TerminalSize size);

    Task TypedAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken);
}
