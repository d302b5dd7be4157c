using System.Text;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Guest;

/// <summary>A Python interpreter in a sandbox that has started already and waits for the one program that it will run.</summary>
internal sealed class SpareInterpreter(int process, int input, int output, int error) : IDisposable
{
    private static readonly TimeSpan ReadyDeadline = TimeSpan.FromSeconds(20);
    private int _input = input;
    private int _output = output;
    private int _error = error;

    /// <summary>Its number inside; a template learns it from the interpreter's first line.</summary>
    public int Process { get; set; } = process;

    /// <summary>Its wait status, asked for ahead of its work (<see cref="AwaitEnd"/>); null when it was not.</summary>
    public Task<int>? End { get; private set; }

    /// <summary>
    /// Asks for its end now: the question is answered when it has run its program. Asked ahead, a program that is given to it starts without a round trip to the sandbox's kernel.
    /// </summary>
    public void AwaitEnd(ControlSocket control)
    {
        End = control.WaitAsync(Process, CancellationToken.None);
        _ = End.ContinueWith(ended => _ = ended.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default); // a slot that is thrown away breaks it off
    }

    /// <summary>Starts one in a running sandbox and waits until it is ready.</summary>
    /// <exception cref="ControlException">The sandbox's kernel refuses, or is gone.</exception>
    public static async Task<SpareInterpreter> StartAsync(ControlSocket control, CancellationToken cancellationToken)
    {
        using GuestPipes pipes = GuestPipes.New();
        int process = await control.ExecuteAsync(GuestAgent.Command("spare"), OciBundle.BaseEnvironment, "/", pipes.Theirs, cancellationToken);
        (int input, int output, int error) = pipes.TakeOurs();
        var spare = new SpareInterpreter(process, input, output, error);
        pipes.Dispose(); // else nobody would notice its end
        try
        {
            await spare.ExpectAsync("up ", cancellationToken);
            await spare.SeedAsync("/rynxs-spare", cancellationToken);
            spare.AwaitEnd(control);
            return spare;
        }
        catch
        {
            spare.Dispose();
            throw;
        }
    }

    /// <summary>Gives it randomness of its own and waits for its word.</summary>
    public async Task SeedAsync(string mark, CancellationToken cancellationToken)
    {
        Write(GuestAgent.Seed(mark));
        await ExpectAsync("ready", cancellationToken);
    }

    /// <summary>Waits for a line that begins so, and returns it.</summary>
    /// <exception cref="SandboxRefusedException">Something else came, or nothing in time.</exception>
    public async Task<string> ExpectAsync(string beginning, CancellationToken cancellationToken)
    {
        string line = await Task.Factory.StartNew(ReadLine, cancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        return line.StartsWith(beginning, StringComparison.Ordinal)
            ? line
            : throw new SandboxRefusedException("runtime", $"The interpreter in the sandbox did not answer '{beginning}' but '{Violations.ViolationDetector.Sanitise(line)}'.");
    }

    /// <summary>Its pipes; closing them is the caller's business from now on.</summary>
    public (int Input, int Output, int Error) Take()
    {
        (int input, int output, int error) = (_input, _output, _error);
        _input = _output = _error = -1;
        return (input, output, error);
    }

    public void Dispose()
    {
        (int input, int output, int error) = Take();
        foreach (int descriptor in (int[])[input, output, error])
        {
            if (descriptor >= 0)
            {
                _ = Libc.close(descriptor);
            }
        }
    }

    private unsafe void Write(byte[] bytes)
    {
        fixed (byte* source = bytes)
        {
            // Smaller than a pipe, so it is taken whole.
            if (Libc.write(_input, source, (nuint)bytes.Length) != bytes.Length)
            {
                throw new SandboxRefusedException("runtime", "The interpreter in the sandbox takes nothing.");
            }
        }
    }

    private unsafe string ReadLine()
    {
        const int longest = 64;
        var line = new StringBuilder();
        long begin = System.Diagnostics.Stopwatch.GetTimestamp();
        while (line.Length < longest)
        {
            int left = (int)(ReadyDeadline - System.Diagnostics.Stopwatch.GetElapsedTime(begin)).TotalMilliseconds;
            Libc.PollFd entry = new() { Fd = _output, Events = Libc.PollIn };
            if (left <= 0 || Libc.poll(&entry, 1, left) <= 0)
            {
                return line + " (no answer in time)";
            }

            byte next;
            if (Libc.read(_output, &next, 1) != 1)
            {
                return line + " (ended)";
            }

            if (next == '\n')
            {
                return line.ToString();
            }

            line.Append((char)next);
        }

        return line.ToString();
    }
}
