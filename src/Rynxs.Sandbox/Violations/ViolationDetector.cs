using System.Collections.ObjectModel;
using System.Globalization;
using System.Net;
using System.Text;

namespace Rynxs.Sandbox.Violations;

/// <summary>What an event meant, when it meant something.</summary>
internal abstract record Detection
{
    private Detection()
    {
    }

    /// <summary>First sight of an attempt. Repeats are only counted.</summary>
    public sealed record Attempt(DetectionRule Rule, bool Kill) : Detection;

    /// <summary>A new process or thread was refused for lack of room. Not a violation: the sandbox's limit did its work.</summary>
    public sealed record ProcessLimitHit(TraceContext Context) : Detection;
}

/// <summary>
/// Turns the events of one execution into violations. It only computes: time comes from the events. Attempts of one type with the same key
/// (path, address, call) count as one; at most <see cref="MaxViolations"/> are kept, then one <c>violation_flood</c>. Not thread-safe.
/// </summary>
internal sealed class ViolationDetector(IReadOnlyList<DetectionRule> rules)
{
    public const int MaxViolations = 256;
    private const int MaxPending = 1024;
    private const int MaxIndicatorCharacters = 256;
    private const long TryAgain = 11;
    private const long InProgress = 115;

    private readonly List<Entry> _entries = [];
    private readonly Dictionary<(string Type, string Key), Entry> _byKey = [];
    private readonly Dictionary<(string Container, int Thread, int Number), Entry> _pending = [];
    private Entry? _flood;

    public ViolationDetector()
        : this(DetectionRules.All)
    {
    }

    /// <summary>Takes one event; null when it means nothing new.</summary>
    public Detection? Observe(TraceEvent observed)
    {
        if (observed is not TraceEvent.SystemCall call)
        {
            return null;
        }

        if (IsProcessLimit(call))
        {
            return new Detection.ProcessLimitHit(call.Context);
        }

        foreach (DetectionRule rule in rules)
        {
            if (Key(rule.Match, call) is { } key)
            {
                return Record(rule, key, call);
            }
        }

        return null;
    }

    /// <summary>
    /// The violations so far in order of their first sight. <c>Blocked</c> is true only when every attempt is known to have failed, or the rule kills.
    /// </summary>
    public IReadOnlyList<Violation> Violations() => [.. _entries.Select(ToViolation), .. _flood is null ? [] : new[] { ToViolation(_flood) }];

    /// <summary>Forgets everything: the next event belongs to a new execution.</summary>
    public void Reset()
    {
        _entries.Clear();
        _byKey.Clear();
        _pending.Clear();
        _flood = null;
    }

    /// <summary>Printable ASCII stays, every other byte becomes <c>\xHH</c>, and so does a backslash: the text cannot be mistaken for an escape.</summary>
    public static string Sanitise(string text)
    {
        var safe = new StringBuilder();
        foreach (char c in text)
        {
            string next = c is >= ' ' and <= '~' and not '\\' ? c.ToString() : string.Create(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}");
            if (safe.Length + next.Length > MaxIndicatorCharacters)
            {
                break;
            }

            safe.Append(next);
        }

        return safe.ToString();
    }

    private Detection.Attempt? Record(DetectionRule rule, string key, TraceEvent.SystemCall call)
    {
        var pendingKey = (call.Context.ContainerId, call.Context.ThreadId, call.Number);
        if (call.Exit is { } exit && _pending.Remove(pendingKey, out Entry? pending))
        {
            pending.Unanswered--;
            pending.Settle(exit);
            return null;
        }

        bool isNew = !_byKey.TryGetValue((rule.Type, key), out Entry? entry);
        if (entry is null)
        {
            entry = _entries.Count < MaxViolations ? new Entry(rule, key, call) : (_flood ??= new Entry(FloodRule, "", call));
            isNew = entry != _flood || entry.Count == 0;
            if (entry != _flood)
            {
                _entries.Add(entry);
                _byKey.Add((rule.Type, key), entry);
            }
        }

        entry.Count++;
        if (call.Exit is { } ended)
        {
            entry.Settle(ended);
        }
        else
        {
            entry.Unanswered++;
            if (_pending.Count < MaxPending)
            {
                _pending[pendingKey] = entry;
            }
        }

        // A kill rule kills however full the list is.
        bool kill = rule.Action == RuleAction.Kill;
        return isNew || kill ? new Detection.Attempt(rule, kill) : null;
    }

    private static readonly DetectionRule FloodRule = new()
    {
        Type = "violation_flood",
        Severity = Severity.High,
        Description = "More different attempts than are recorded one by one",
        Remediation = "Read the recorded ones; the program probes its sandbox.",
        Match = new RuleMatch.Call(),
    };

    private static bool IsProcessLimit(TraceEvent.SystemCall call) => call switch
    {
        TraceEvent.NewProcess { Exit.ErrorNumber: TryAgain } => true,
        TraceEvent.Raw { Number: SystemCalls.Clone3, Exit.ErrorNumber: TryAgain } => true,
        _ => false,
    };

    /// <summary>What identifies the attempt when the rule matches, else null.</summary>
    private static string? Key(RuleMatch match, TraceEvent.SystemCall call) => (match, call) switch
    {
        (RuleMatch.OpenPath rule, TraceEvent.Open open) when !rule.WriteOnly || IsWrite(open) =>
            PathOf(open) is var path && rule.Patterns.Any(p => p.Matches(path)) ? path : null,
        (RuleMatch.LocalSocket rule, TraceEvent.Open open) =>
            PathOf(open) is var path && rule.FileNames.Contains(FileNameOf(path)) ? path : null,
        (RuleMatch.LocalSocket rule, TraceEvent.Connect { Target: SocketTarget.Local { IsAbstract: true } target }) =>
            target.Path.StartsWith(rule.AbstractPrefix, StringComparison.Ordinal) ? "@" + target.Path : null,
        (RuleMatch.LocalSocket rule, TraceEvent.Connect { Target: SocketTarget.Local target } connect) =>
            GuestPath.Resolve(connect.Context.WorkingDirectory, 0, "", target.Path) is var path && rule.FileNames.Contains(FileNameOf(path)) ? path : null,
        (RuleMatch.Address rule, TraceEvent.Connect { Target: SocketTarget.Internet target }) =>
            rule.Addresses.Contains(target.Address) ? target.Address.ToString() : null,
        (RuleMatch.NotLoopback, TraceEvent.Connect { Target: SocketTarget.Internet target }) =>
            IsLocal(target.Address) ? null : new IPEndPoint(target.Address, target.Port).ToString(),
        (RuleMatch.Call rule, TraceEvent.Raw raw) =>
            rule.Numbers.Contains(raw.Number) && (rule.Mask == 0 || (Argument(raw.Arguments, rule.Argument) & rule.Mask) != 0)
                ? raw.Number.ToString(CultureInfo.InvariantCulture)
                : null,
        (RuleMatch.CloneFlags rule, TraceEvent.NewProcess process) => (process.Flags & rule.Mask) != 0 ? $"0x{process.Flags & rule.Mask:x}" : null,
        (RuleMatch.NewSocket rule, TraceEvent.Socket socket) =>
            rule.Domain == socket.Domain && (rule.Type is null || rule.Type == (socket.Type & 0xf)) && (rule.Protocol is null || rule.Protocol == socket.Protocol)
                ? string.Create(CultureInfo.InvariantCulture, $"family {socket.Domain} type {socket.Type & 0xf} protocol {socket.Protocol}")
                : null,
        (RuleMatch.ChangeRoot, TraceEvent.Chroot chroot) => GuestPath.Resolve(chroot.Context.WorkingDirectory, 0, "", chroot.Path),
        _ => null,
    };

    private static bool IsLocal(IPAddress address) =>
        IPAddress.IsLoopback(address) || address.Equals(IPAddress.Any) || address.Equals(IPAddress.IPv6Any);

    private static bool IsWrite(TraceEvent.Open open) => (open.Flags & 3) != 0 || open.Number == 85; // creat always writes

    private static string PathOf(TraceEvent.Open open) =>
        GuestPath.Resolve(open.Context.WorkingDirectory, open.Descriptor, open.DescriptorPath, open.Path);

    private static string FileNameOf(string path) => path[(path.LastIndexOf('/') + 1)..];

    private static ulong Argument(SystemCallArguments arguments, int index) => index switch
    {
        0 => arguments.First,
        1 => arguments.Second,
        2 => arguments.Third,
        3 => arguments.Fourth,
        4 => arguments.Fifth,
        _ => arguments.Sixth,
    };

    private static Violation ToViolation(Entry entry)
    {
        var indicators = new Dictionary<string, string>
        {
            ["system_call"] = entry.SystemCall,
            ["process"] = Sanitise(entry.Context.ProcessName),
            ["process_id"] = entry.Context.ThreadGroupId.ToString(CultureInfo.InvariantCulture),
            ["count"] = entry.Count.ToString(CultureInfo.InvariantCulture),
        };
        if (entry.Key.Length > 0)
        {
            indicators[entry.Rule.Match is RuleMatch.Call ? "system_call_number" : "target"] = Sanitise(entry.Key);
        }

        if (entry.ErrorNumber is { } error)
        {
            indicators["errno"] = error.ToString(CultureInfo.InvariantCulture);
        }
        else if (entry.Unanswered > 0)
        {
            indicators["outcome"] = "unknown";
        }

        return new Violation
        {
            ViolationId = entry.Id,
            Timestamp = DateTimeOffset.UnixEpoch.AddTicks(Math.Clamp(entry.Context.TimeNanoseconds, 0, long.MaxValue / 2) / 100),
            ViolationType = entry.Rule.Type,
            Severity = entry.Rule.Severity,
            Description = entry.Rule.Description,
            DetectionLayer = entry.Rule.Layer,
            Blocked = entry.Rule.Action == RuleAction.Kill || (entry is { Succeeded: false, Unanswered: 0 } && entry.ErrorNumber is not null),
            Indicators = new ReadOnlyDictionary<string, string>(indicators),
            Remediation = entry.Rule.Remediation,
        };
    }

    /// <summary>One attempt and its repeats.</summary>
    private sealed class Entry(DetectionRule rule, string key, TraceEvent.SystemCall first)
    {
        public string Id { get; } = Guid.NewGuid().ToString();

        public DetectionRule Rule { get; } = rule;

        public string Key { get; } = key;

        public TraceContext Context { get; } = first.Context;

        public string SystemCall { get; } = first switch
        {
            TraceEvent.Open => "open",
            TraceEvent.Connect => "connect",
            TraceEvent.Socket => "socket",
            TraceEvent.Chroot => "chroot",
            TraceEvent.NewProcess => "clone",
            _ => first.Number.ToString(CultureInfo.InvariantCulture),
        };

        public long Count { get; set; }

        /// <summary>Entries whose exit was not seen.</summary>
        public int Unanswered { get; set; }

        public bool Succeeded { get; private set; }

        public long? ErrorNumber { get; private set; }

        public void Settle(SystemCallExit exit)
        {
            // EINPROGRESS is a connection under way: it was not refused.
            if (exit.ErrorNumber is 0 or InProgress)
            {
                Succeeded = true;
            }
            else
            {
                ErrorNumber ??= exit.ErrorNumber;
            }
        }
    }
}
