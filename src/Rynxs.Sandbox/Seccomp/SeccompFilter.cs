using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.Seccomp;

/// <summary>What a filter made of the <see cref="DenyList"/> is for.</summary>
internal enum FilterPart
{
    /// <summary>Everything, answered by the filter.</summary>
    Whole,

    /// <summary>What a supervisor is asked about, because a rule of the violations knows it. Installed first, on the thread that starts the program.</summary>
    Asked,

    /// <summary>Everything else, answered by the filter. Together with <see cref="Asked"/> it is the whole: of two filters the stronger answer holds, and an error is stronger than a question.</summary>
    NotAsked,
}

/// <summary>Makes the filter of an architecture from the list.</summary>
/// <remarks>
/// The kernel keeps, for each number that a filter always allows, a bit that it looks at instead of running the filter (since 5.11), so the order of the tests costs nothing on the calls that programs make.
/// </remarks>
internal static class SeccompFilter
{
    public const uint Allow = 0x7fff_0000, KillProcess = 0x8000_0000, Errno = 0x0005_0000, Notify = 0x7fc0_0000;
    private const int NoSuchCall = 38;

    /// <summary>PR_SET_SECCOMP, the call by which bubblewrap confines what it starts.</summary>
    public const uint SetSeccomp = 22;

    /// <summary>Calls that mark the moment in which the starter confines the program: asked about, and always allowed, because another filter only takes away.</summary>
    public static (int Prctl, int Seccomp) MarkersOf(SeccompArchitecture architecture) => architecture == SeccompArchitecture.Amd64 ? (157, 317) : (167, 277);

    /// <summary>Whether a supervisor is asked about it: a rule of the violations has a name for the attempt.</summary>
    public static bool IsAsked(DeniedCall call) =>
        call.Name is "socket" or "clone" or "chroot"
        || (call.Amd64 is { } number && number != SystemCalls.Clone3 && DetectionRules.All.Any(rule => rule.Match is RuleMatch.Call match && match.Numbers.Contains(number)));

    /// <param name="architecture">Whose numbers. A call of another architecture ends the process: its numbers mean something else (CVE-2009-0835).</param>
    /// <param name="part">Which half.</param>
    /// <param name="error">In place of every call's own error; a test tells the filter's answer from the kernel's by it.</param>
    public static BpfProgram Make(SeccompArchitecture architecture, FilterPart part, int? error = null)
    {
        var program = new BpfProgram();
        program.Add(BpfProgram.LoadWord, BpfProgram.OffsetArchitecture);
        // The part that is asked about leaves foreign calls to the other part, which ends them: the starter itself makes none.
        program.IfNot(BpfProgram.JumpIfEqual, architecture.AuditNumber, foreign => foreign.Add(BpfProgram.Return, part == FilterPart.Asked ? Allow : KillProcess));
        program.Add(BpfProgram.LoadWord, BpfProgram.OffsetNumber);
        if (architecture == SeccompArchitecture.Amd64)
        {
            program.If(BpfProgram.JumpIfAtLeast, SeccompArchitecture.FirstX32Number, x32 => x32.Add(BpfProgram.Return, part == FilterPart.Asked ? Allow : Errno | NoSuchCall));
        }

        foreach (DeniedCall call in DenyList.All.Where(call => part == FilterPart.Whole || IsAsked(call) == (part == FilterPart.Asked)))
        {
            if (architecture.NumberOf(call) is { } number)
            {
                uint answer = part == FilterPart.Asked ? Notify : Errno | (uint)(error ?? call.Error);
                program.If(BpfProgram.JumpIfEqual, (uint)number, body => Deny(body, call, answer));
            }
        }

        if (part == FilterPart.Asked)
        {
            (int prctl, int seccomp) = MarkersOf(architecture);
            program.If(BpfProgram.JumpIfEqual, (uint)prctl, body => Deny(body, SetsFilter, Notify));
            program.If(BpfProgram.JumpIfEqual, (uint)seccomp, body => body.Add(BpfProgram.Return, Notify));
        }

        program.Add(BpfProgram.Return, Allow);
        return program;
    }

    private static readonly DeniedCall SetsFilter = new("prctl", null, null) { Why = "", When = [new("PR_SET_SECCOMP", new ArgumentTest.Equal(0, SetSeccomp))] };

    /// <summary>The number is known to be the call's; every way through ends in an answer.</summary>
    private static void Deny(BpfProgram body, DeniedCall call, uint answer)
    {
        foreach (DeniedWhen when in call.When)
        {
            Test(body, when.Tests, answer);
        }

        body.Add(BpfProgram.Return, call.When.Count == 0 ? answer : Allow);
    }

    private static void Test(BpfProgram body, ReadOnlySpan<ArgumentTest> tests, uint answer)
    {
        if (tests.IsEmpty)
        {
            body.Add(BpfProgram.Return, answer);
            return;
        }

        ArgumentTest[] rest = tests[1..].ToArray();
        body.Add(BpfProgram.LoadWord, BpfProgram.OffsetOfArgument(tests[0].Argument));
        switch (tests[0])
        {
            case ArgumentTest.Equal equal:
                if (equal.Mask != uint.MaxValue)
                {
                    body.Add(BpfProgram.And, equal.Mask);
                }

                body.If(BpfProgram.JumpIfEqual, equal.Value, inner => Test(inner, rest, answer));
                break;
            case ArgumentTest.AnyBit bits:
                body.If(BpfProgram.JumpIfAnyBit, bits.Mask, inner => Test(inner, rest, answer));
                break;
            case ArgumentTest.AtLeast least:
                body.If(BpfProgram.JumpIfAtLeast, least.Value, inner => Test(inner, rest, answer));
                break;
            default:
                throw new System.Diagnostics.UnreachableException();
        }
    }
}
