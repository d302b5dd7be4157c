using System.Net;

namespace Rynxs.Sandbox.Violations;

/// <summary>What happens when a rule matches.</summary>
internal enum RuleAction
{
    Record,

    /// <summary>The sandbox is killed: only where no harmless program makes the attempt.</summary>
    Kill,
}

/// <summary>One kind of attempt.</summary>
internal sealed record DetectionRule
{
    /// <summary>The violation's type, snake_case. Several rules may share one.</summary>
    public required string Type { get; init; }
    public required Severity Severity { get; init; }
    public DetectionLayer Layer { get; init; } = DetectionLayer.SyscallMonitor;
    public required string Description { get; init; }
    public required string Remediation { get; init; }
    public RuleAction Action { get; init; } = RuleAction.Record;
    public required RuleMatch Match { get; init; }
}

/// <summary>What a rule looks at.</summary>
internal abstract record RuleMatch
{
    private RuleMatch()
    {
    }

    /// <summary>An open of one of these paths, after normalising.</summary>
    public sealed record OpenPath(params PathPattern[] Patterns) : RuleMatch
    {
        /// <summary>Only opens that may write.</summary>
        public bool WriteOnly { get; init; }
    }

    /// <summary>An open of, or a connection to, a socket with one of these file names, in whatever directory; or an abstract name with the prefix.</summary>
    public sealed record LocalSocket(string[] FileNames, string AbstractPrefix) : RuleMatch;

    /// <summary>A connection to one of these addresses.</summary>
    public sealed record Address(params IPAddress[] Addresses) : RuleMatch;

    /// <summary>A connection to an Internet address other than loopback and the unspecified one (which means loopback).</summary>
    public sealed record NotLoopback : RuleMatch;

    /// <summary>A call by number. With a mask, the argument (0 to 5) must share a bit with it.</summary>
    public sealed record Call(params int[] Numbers) : RuleMatch
    {
        public int Argument { get; init; }
        public ulong Mask { get; init; }
    }

    /// <summary>clone with one of these flags.</summary>
    public sealed record CloneFlags(ulong Mask) : RuleMatch;

    /// <summary>A new socket; null is any. The type is compared without its flags.</summary>
    public sealed record NewSocket(int Domain) : RuleMatch
    {
        public int? Type { get; init; }
        public int? Protocol { get; init; }
    }

    public sealed record ChangeRoot : RuleMatch;
}

/// <summary>
/// Absolute path by segments: <c>#</c> is a number, a trailing <c>*</c> any ending of the segment, a final <c>**</c> everything below.
/// </summary>
internal readonly record struct PathPattern(string Text)
{
    public static implicit operator PathPattern(string text) => new(text);

    public bool Matches(string path)
    {
        string[] wanted = Text.Split('/');
        string[] given = path.Split('/');
        for (int i = 0; i < wanted.Length; i++)
        {
            if (wanted[i] == "**")
            {
                return given.Length > i;
            }

            if (i >= given.Length || !SegmentMatches(wanted[i], given[i]))
            {
                return false;
            }
        }

        return wanted.Length == given.Length;
    }

    private static bool SegmentMatches(string wanted, string given) => wanted switch
    {
        "#" => given.Length > 0 && given.All(char.IsAsciiDigit),
        [.., '*'] => given.StartsWith(wanted[..^1], StringComparison.Ordinal),
        _ => wanted == given,
    };
}
