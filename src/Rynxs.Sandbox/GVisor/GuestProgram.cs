using Rynxs.Sandbox.Guest;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Processes;

namespace Rynxs.Sandbox.GVisor;

/// <summary>A program in a sandbox, however it was started.</summary>
internal abstract class GuestProgram(CapturedStream output, CapturedStream error)
{
    public CapturedStream Output { get; } = output;

    public CapturedStream Error { get; } = error;

    /// <summary>Exit code, or 128 + signal, after both streams are drained of what had been written before the exit.</summary>
    public abstract Task<int> Exited { get; }

    /// <summary>Process number inside; null when it never started. Known at the latest when it has exited.</summary>
    public abstract int? Process { get; }

    /// <summary>Monotonic timestamp of its first instruction, where it was seen.</summary>
    public abstract long? BegunAt { get; }

    /// <summary>Stops waiting for it. What runs in the sandbox is ended with the sandbox.</summary>
    public abstract void Abandon();
}

/// <summary>Through <c>runsc exec</c>.</summary>
internal sealed class CommandProgram(ChildProcess command, string pidFile) : GuestProgram(command.Output, command.Error)
{
    public override Task<int> Exited => command.Exited;

    public override int? Process =>
        File.Exists(pidFile) && int.TryParse(File.ReadAllText(pidFile), System.Globalization.CultureInfo.InvariantCulture, out int process) ? process : null;

    public override long? BegunAt => null;

    public override void Abandon() => command.Kill();
}

/// <summary>Through the control socket, with pipes of ours as its standard input, output and error.</summary>
internal sealed class DirectProgram : GuestProgram
{
    private readonly TaskCompletionSource<int> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource _abandoned = new();
    private readonly int _process;
    private readonly int _ended;
    private readonly long _startedAt;
    private readonly bool _marks;
    private int _status;

    private DirectProgram(int process, bool marks, CapturedStream output, CapturedStream error)
        : base(output, error)
    {
        _process = process;
        _marks = marks;
        _startedAt = System.Diagnostics.Stopwatch.GetTimestamp();
        const int closeOnExec = 0x80000;
        _ended = Libc.eventfd(0, closeOnExec);
        if (_ended < 0)
        {
            throw Libc.LastError("eventfd");
        }
    }

    public override Task<int> Exited => _exited.Task;

    public override int? Process => _process;

    public override long? BegunAt => _marks ? Output.MarkedAt : _startedAt;

    /// <summary>Starts a new process.</summary>
    /// <exception cref="ControlException">The sandbox's kernel refuses, or is gone.</exception>
    public static async Task<DirectProgram> StartAsync(
        ControlSocket control, IEnumerable<string> arguments, IEnumerable<KeyValuePair<string, string>> environment, string directory,
        ReadOnlyMemory<byte> input, int outputBytes, Action<bool, int, CapturedStream>? onData)
    {
        using GuestPipes pipes = GuestPipes.New();
        int process = await control.ExecuteAsync(arguments, environment, directory, pipes.Theirs, CancellationToken.None);
        var program = new DirectProgram(process, marks: false, new CapturedStream(outputBytes), new CapturedStream(outputBytes));
        (int stdin, int stdout, int stderr) = pipes.TakeOurs();
        program.Begin(control, end => new PipePump(stdin, stdout, stderr, end, input, program.Output, program.Error, onData).Run());
        return program;
    }

    /// <summary>Starts a new process whose caller speaks with it while it runs.</summary>
    /// <exception cref="ControlException">The sandbox's kernel refuses, or is gone.</exception>
    public static async Task<DirectProgram> StartInteractiveAsync(
        ControlSocket control, IEnumerable<string> arguments, IEnumerable<KeyValuePair<string, string>> environment, string directory, int outputBytes, ProgramInteraction interaction)
    {
        int process, stdin, stdout, stderr;
        if (interaction.Terminal is { } size)
        {
            (int master, int slave) = Terminal.Open(size);
            try
            {
                process = await control.ExecuteAsync(arguments, environment, directory, [slave, slave, slave], CancellationToken.None, isTerminal: true);
            }
            catch
            {
                _ = Libc.close(master);
                throw;
            }
            finally
            {
                _ = Libc.close(slave);
            }

            (stdin, stdout, stderr) = (master, master, -1);
        }
        else
        {
            using GuestPipes pipes = GuestPipes.New();
            process = await control.ExecuteAsync(arguments, environment, directory, pipes.Theirs, CancellationToken.None);
            (stdin, stdout, stderr) = pipes.TakeOurs();
        }

        var program = new DirectProgram(process, marks: false, new CapturedStream(outputBytes), new CapturedStream(outputBytes));
        int wake = Libc.eventfd(0, Libc.O_CLOEXEC);
        var running = new RunningProgram(control, process, interaction.Terminal is null ? -1 : stdin);
        program.Begin(control, end =>
        {
            interaction.Begin(running, wake);
            new InteractivePump(stdin, stdout, stderr, end, wake, interaction, program.Output, program.Error, running.End).Run();
            interaction.End();
            _ = Libc.close(wake);
        });
        return program;
    }

    /// <summary>Gives a program to an interpreter that waits for one.</summary>
    public static DirectProgram Start(ControlSocket control, SpareInterpreter spare, ReadOnlyMemory<byte> job, int outputBytes, Action<bool, int, CapturedStream>? onData)
    {
        var program = new DirectProgram(spare.Process, marks: true, new CapturedStream(outputBytes), new CapturedStream(outputBytes));
        program.Output.ExpectMark();
        (int stdin, int stdout, int stderr) = spare.Take();
        Task<int> status = spare.End ?? control.WaitAsync(program._process, program._abandoned.Token); // asked before it gets its work, so that its number is still its own
        ReadOnlyMemory<byte> rest = job[WriteNow(stdin, job)..]; // from here on it may run, before any thread of ours is woken
        program.Begin(status, end => new PipePump(stdin, stdout, stderr, end, rest, program.Output, program.Error, onData).Run());
        return program;
    }

    public override void Abandon() => _abandoned.Cancel();

    private static unsafe int WriteNow(int stdin, ReadOnlyMemory<byte> job)
    {
        PipePump.SetNonBlocking(stdin);
        fixed (byte* source = job.Span)
        {
            return (int)Math.Max(0, Libc.write(stdin, source, (nuint)job.Length)); // what does not fit, and any failure, is the pump's
        }
    }

    private void Begin(ControlSocket control, Action<int> pumpUntil) => Begin(control.WaitAsync(_process, _abandoned.Token), pumpUntil);

    private void Begin(Task<int> status, Action<int> pumpUntil)
    {
        Task wait = WaitAsync(status);
        var pump = new Thread(
            () =>
            {
                pumpUntil(_ended);
                wait.GetAwaiter().GetResult(); // it signalled the end, so it is done
                _ = Libc.close(_ended);
                int signal = _status & 0x7f;
                _exited.SetResult(signal != 0 ? 128 + signal : (_status >> 8) & 0xff);
            },
            256 * 1024) { IsBackground = true, Name = "guest " + _process };
        pump.Start();
    }

    private async Task WaitAsync(Task<int> status)
    {
        try
        {
            _status = await status.WaitAsync(_abandoned.Token);
        }
        catch (Exception gone) when (gone is ControlException or OperationCanceledException)
        {
            // The sandbox ended, or nobody wants to know any more.
            _status = Libc.SigKill;
        }

        SignalEnd();
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
    }

    private unsafe void SignalEnd()
    {
        ulong one = 1;
        _ = Libc.write(_ended, &one, sizeof(ulong));
    }
}

/// <summary>Signals and terminal size of a process that was started through the control socket.</summary>
internal sealed class RunningProgram(ControlSocket control, int process, int terminal) : IRunningProgram
{
    private readonly Lock _gate = new();
    private bool _ended;

    public int Process => process;

    public async Task<bool> SignalAsync(int signal, CancellationToken cancellationToken)
    {
        if (_ended)
        {
            return false; // its number may be another's by now
        }

        try
        {
            await control.SignalAsync(process, signal, cancellationToken, isForeground: terminal >= 0);
            return true;
        }
        catch (ControlException)
        {
            return false; // it ended just now
        }
    }

    public bool TryResize(TerminalSize size)
    {
        lock (_gate)
        {
            if (_ended || terminal < 0 || !Terminal.Resize(terminal, size))
            {
                return false;
            }
        }

        // The host's line discipline has no process of the guest to tell.
        const int windowChanged = 28;
        _ = SignalAsync(windowChanged, CancellationToken.None);
        return true;
    }

    public async Task TypedAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        const int interrupt = 2, quit = 3, stop = 20;
        for (int i = 0; i < bytes.Length; i++)
        {
            int signal = bytes.Span[i] switch { 3 => interrupt, 28 => quit, 26 => stop, _ => 0 };
            if (signal != 0 && TakesSignals())
            {
                await SignalAsync(signal, cancellationToken);
            }
        }
    }

    /// <summary>The terminal is about to be closed.</summary>
    public void End()
    {
        lock (_gate)
        {
            _ended = true;
        }
    }

    private bool TakesSignals()
    {
        lock (_gate)
        {
            return !_ended && terminal >= 0 && Terminal.TakesSignals(terminal);
        }
    }
}

/// <summary>Three pipes between us and a process inside.</summary>
internal sealed class GuestPipes : IDisposable
{
    private readonly int[] _ours = [-1, -1, -1];
    private readonly int[] _theirs = [-1, -1, -1];

    /// <summary>Standard input, output and error for the other side; closed with this.</summary>
    public int[] Theirs => _theirs;

    public static GuestPipes New()
    {
        var pipes = new GuestPipes();
        try
        {
            (pipes._theirs[0], pipes._ours[0]) = ChildProcess.NewPipe();
            (pipes._ours[1], pipes._theirs[1]) = ChildProcess.NewPipe();
            (pipes._ours[2], pipes._theirs[2]) = ChildProcess.NewPipe();
            return pipes;
        }
        catch
        {
            pipes.Dispose();
            throw;
        }
    }

    /// <summary>Our ends; closing them is the caller's business from now on.</summary>
    public (int Input, int Output, int Error) TakeOurs()
    {
        (int input, int output, int error) = (_ours[0], _ours[1], _ours[2]);
        Array.Fill(_ours, -1);
        return (input, output, error);
    }

    public void Dispose()
    {
        foreach (int descriptor in (int[])[.. _ours, .. _theirs])
        {
            if (descriptor >= 0)
            {
                _ = Libc.close(descriptor);
            }
        }

        Array.Fill(_ours, -1);
        Array.Fill(_theirs, -1);
    }
}
