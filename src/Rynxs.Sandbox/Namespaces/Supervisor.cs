using System.Globalization;
using Rynxs.Sandbox.Cgroups;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Seccomp;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.Namespaces;

/// <summary>
/// Answers the kernel's questions about one program: its starter is let through until it confines the program, and from then on everything that is asked about is refused, put on the account and, where a
/// rule says so, answered with the sandbox's end.
/// </summary>
/// <remarks>
/// A question holds the numbers that are in registers, and those are the ones that the kernel acts on. What a pointer names is not looked at for a decision, and no call of the program is ever let through after
/// a look at it: between the look and the call another thread could change it (seccomp_unotify(2)). Should this thread end, the kernel answers ENOSYS: refused as well.
/// </remarks>
internal sealed class Supervisor : IAsyncDisposable
{
    private const nuint Receive = 0xc050_2100, Send = 0xc018_2101, IsValid = 0x4008_2102;
    private const int NotificationBytes = 80, AnswerBytes = 24;
    private const uint Continue = 1;

    /// <summary>Answers after which each further one waits a moment: a program that asks in a loop uses our time, and none of its own limits.</summary>
    private const int QuickAnswers = 256;
    private const int SlowAnswer = 1;

    private readonly Lock _gate = new();
    private readonly SeccompArchitecture _architecture;
    private readonly SandboxCgroup _cgroup;
    private readonly TimeProvider _time;
    private readonly Action<DetectionRule, bool> _onAttempt;
    private readonly Action<Exception> _onFailed;
    private readonly ViolationDetector _detector = new();
    private readonly Dictionary<(string Call, string Target), string> _arguments = [];
    private readonly Dictionary<int, DeniedCall> _calls;
    private readonly int _stop;
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _listener = -1;
    private long _answers;
    private bool _isEntered = !SandboxCgroup.IsV2;

    /// <param name="architecture">Of this machine.</param>
    /// <param name="cgroup">Where the program belongs.</param>
    /// <param name="time">Clock of the violations.</param>
    /// <param name="onAttempt">Told of the first attempt of each kind, and of every one that kills (true), before the program gets its answer.</param>
    /// <param name="onFailed">Told when nobody answers any more.</param>
    public Supervisor(SeccompArchitecture architecture, SandboxCgroup cgroup, TimeProvider time, Action<DetectionRule, bool> onAttempt, Action<Exception> onFailed)
    {
        _architecture = architecture;
        _cgroup = cgroup;
        _time = time;
        _onAttempt = onAttempt;
        _onFailed = onFailed;
        _calls = DenyList.All.Where(call => SeccompFilter.IsAsked(call) && architecture.NumberOf(call) is not null).ToDictionary(call => architecture.NumberOf(call)!.Value); // just filtered
        const int closeOnExec = 0x80000;
        _stop = Libc.eventfd(0, closeOnExec);
        if (_stop < 0)
        {
            throw Libc.LastError("eventfd");
        }
    }

    /// <summary>Timestamp (monotonic) of the moment in which the program was confined, just before it was executed; null when it never was.</summary>
    public long? ConfinedAt { get; private set; }

    /// <summary>Begins to answer. Called once, before the program is started.</summary>
    /// <param name="listener">Owned from now on.</param>
    public void Begin(int listener)
    {
        _listener = listener;
        new Thread(Serve, 256 * 1024) { IsBackground = true, Name = "supervisor" }.Start();
    }

    /// <summary>What was tried, oldest first.</summary>
    public IReadOnlyList<Violation> Violations()
    {
        lock (_gate)
        {
            return [.. _detector.Violations().Select(Described)];
        }
    }

    /// <summary>Stops answering; whoever still asks is refused by the kernel.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_listener >= 0)
        {
            Signal();
            await _done.Task;
        }

        _ = Libc.close(_stop);
    }

    private unsafe void Signal()
    {
        ulong one = 1;
        _ = Libc.write(_stop, &one, sizeof(ulong));
    }

    private void Serve()
    {
        try
        {
            while (Wait() && Answer())
            {
            }
        }
        catch (Exception failed)
        {
            // The top of this thread. Closing the listener refuses everything from here on; whoever runs the program is told, and ends it.
            _onFailed(failed);
        }
        finally
        {
            _ = Libc.close(_listener);
            _done.SetResult();
        }
    }

    /// <summary>False when there is nobody left to ask, or we are told to stop.</summary>
    private unsafe bool Wait()
    {
        Libc.PollFd* entries = stackalloc Libc.PollFd[2];
        while (true)
        {
            entries[0] = new Libc.PollFd { Fd = _listener, Events = Libc.PollIn };
            entries[1] = new Libc.PollFd { Fd = _stop, Events = Libc.PollIn };
            if (Libc.poll(entries, 2, -1) < 0)
            {
                continue; // EINTR
            }

            return entries[1].Revents == 0 && (entries[0].Revents & Libc.PollIn) != 0;
        }
    }

    private unsafe bool Answer()
    {
        byte* notification = stackalloc byte[NotificationBytes];
        new Span<byte>(notification, NotificationBytes).Clear(); // the kernel insists
        if (Libc.ioctl(_listener, Receive, notification) != 0)
        {
            return Libc.LastErrno is Libc.EINTR or Libc.ENOENT; // the one who asked was killed meanwhile
        }

        var asked = new Question(
            *(ulong*)notification, *(int*)(notification + 8), *(int*)(notification + 16),
            new SystemCallArguments(Argument(notification, 0), Argument(notification, 1), Argument(notification, 2), Argument(notification, 3), Argument(notification, 4), Argument(notification, 5)));
        int error = Decide(asked);
        byte* answer = stackalloc byte[AnswerBytes];
        *(ulong*)answer = asked.Id;
        *(long*)(answer + 8) = 0;
        *(int*)(answer + 16) = -error;
        *(uint*)(answer + 20) = error == 0 ? Continue : 0;
        return Libc.ioctl(_listener, Send, answer) == 0 || Libc.LastErrno is Libc.ENOENT or Libc.EINTR;
    }

    private static unsafe ulong Argument(byte* notification, int index) => *(ulong*)(notification + 32 + (index * 8));

    /// <summary>0 to let it through, else the error.</summary>
    private unsafe int Decide(Question asked)
    {
        if (!_isEntered)
        {
            _isEntered = true;
            _cgroup.Enter(asked.Process); // the starter's first question comes before it has any child
        }

        (int prctl, int seccomp) = SeccompFilter.MarkersOf(_architecture);
        if (asked.Number == prctl || asked.Number == seccomp)
        {
            // bubblewrap confines the sandbox's first process, then the program, and executes it. Neither asks for anything else from here on, and no code of the program has run yet.
            ConfinedAt ??= System.Diagnostics.Stopwatch.GetTimestamp();
            return 0;
        }

        if (ConfinedAt is null)
        {
            return 0;
        }

        if (!_calls.TryGetValue(asked.Number, out DeniedCall? call))
        {
            return Libc.EPERM; // not of our list: nothing that our filter asks about
        }

        Observe(asked, call);
        if (++_answers > QuickAnswers)
        {
            Libc.PollFd none = default;
            _ = Libc.poll(&none, 0, SlowAnswer);
        }

        return call.Error;
    }

    private void Observe(Question asked, DeniedCall call)
    {
        string name = NameOf(asked);
        var context = new TraceContext((_time.GetUtcNow() - DateTimeOffset.UnixEpoch).Ticks * 100, asked.Process, asked.Process, "", name, "");
        var refused = new SystemCallExit(-1, call.Error);
        // Rules are written with the numbers of x86-64; the numbers of other architectures become theirs by name.
        int number = call.Amd64 ?? -1;
        TraceEvent observed = call.Name switch
        {
            "socket" => new TraceEvent.Socket(context, refused, number, (int)asked.Arguments.First, (int)asked.Arguments.Second, (int)asked.Arguments.Third),
            "clone" => new TraceEvent.NewProcess(context, refused, number, asked.Arguments.First),
            "chroot" => new TraceEvent.Chroot(context, refused, number, ""),
            _ => new TraceEvent.Raw(context, refused, number, asked.Arguments),
        };
        Detection? detection;
        lock (_gate)
        {
            if (_arguments.Count < ViolationDetector.MaxViolations)
            {
                _arguments.TryAdd(KeyOf(observed), Text(asked.Arguments));
            }

            detection = _detector.Observe(observed);
        }

        if (detection is Detection.Attempt attempt)
        {
            _onAttempt(attempt.Rule, attempt.Kill);
        }
    }

    private Violation Described(Violation seen)
    {
        var indicators = new Dictionary<string, string>(seen.Indicators);
        string call = indicators.GetValueOrDefault("system_call", "");
        string target = indicators.GetValueOrDefault("target", "");
        if (_arguments.TryGetValue((call, call == "socket" ? target : ""), out string? arguments))
        {
            indicators["arguments"] = arguments;
        }

        if (int.TryParse(call, CultureInfo.InvariantCulture, out int number) && DenyList.All.FirstOrDefault(denied => denied.Amd64 == number) is { } known)
        {
            indicators["system_call"] = known.Name;
        }

        if (call == "chroot")
        {
            indicators.Remove("target"); // a path is memory of the program: not read
        }

        return seen with { DetectionLayer = DetectionLayer.Seccomp, Indicators = indicators };
    }

    private static (string Call, string Target) KeyOf(TraceEvent observed) => observed switch
    {
        TraceEvent.Socket socket => ("socket", string.Create(CultureInfo.InvariantCulture, $"family {socket.Domain} type {socket.Type & 0xf} protocol {socket.Protocol}")),
        TraceEvent.NewProcess => ("clone", ""),
        TraceEvent.Chroot => ("chroot", ""),
        TraceEvent.SystemCall call => (call.Number.ToString(CultureInfo.InvariantCulture), ""),
        _ => ("", ""),
    };

    private static string Text(SystemCallArguments all) =>
        string.Create(CultureInfo.InvariantCulture, $"0x{all.First:x}, 0x{all.Second:x}, 0x{all.Third:x}, 0x{all.Fourth:x}, 0x{all.Fifth:x}, 0x{all.Sixth:x}");

    /// <summary>Name of the program that asks; empty when it is gone, or the number went to another process meanwhile.</summary>
    private unsafe string NameOf(Question asked)
    {
        try
        {
            string name = File.ReadAllText($"/proc/{asked.Process.ToString(CultureInfo.InvariantCulture)}/comm", System.Text.Encoding.Latin1).TrimEnd('\n');
            ulong id = asked.Id;
            return Libc.ioctl(_listener, IsValid, &id) == 0 ? name : "";
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    private readonly record struct Question(ulong Id, int Process, int Number, SystemCallArguments Arguments);
}
