using FsCheck;
using FsCheck.Fluent;
using Rynxs.Sandbox.Seccomp;

namespace Rynxs.Sandbox.Tests.Seccomp;

/// <summary>The filter's bytes, run by an interpreter, against what the list says.</summary>
public sealed class SeccompFilterTests
{
    private const uint Allow = 0x7fff0000, Kill = 0x80000000, Errno = 0x00050000, Notify = 0x7fc00000;
    private const uint X86 = 0x40000003, Arm32 = 0x40000028;

    [Fact]
    public void The_filter_answers_every_call_as_the_list_says()
    {
        foreach (SeccompArchitecture architecture in SeccompArchitecture.All)
        {
            byte[] filter = SeccompFilter.Make(architecture, FilterPart.Whole).ToBytes();
            Prop.ForAll(Arb.From(Calls(architecture)), call =>
                BpfInterpreter.Run(filter, architecture.AuditNumber, call.Number, call.Arguments) == Expected(architecture, call.Number, call.Arguments))
                .Check(Config.QuickThrowOnFailure.WithMaxTest(Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1" ? 2_000_000 : 20_000));
        }
    }

    [Fact]
    public void The_two_parts_together_refuse_what_the_whole_refuses_and_nothing_else()
    {
        foreach (SeccompArchitecture architecture in SeccompArchitecture.All)
        {
            byte[] whole = SeccompFilter.Make(architecture, FilterPart.Whole).ToBytes();
            byte[] asked = SeccompFilter.Make(architecture, FilterPart.Asked).ToBytes();
            byte[] notAsked = SeccompFilter.Make(architecture, FilterPart.NotAsked).ToBytes();
            (int prctl, int seccomp) = SeccompFilter.MarkersOf(architecture);
            Prop.ForAll(Arb.From(Calls(architecture)), call =>
            {
                uint byWhole = BpfInterpreter.Run(whole, architecture.AuditNumber, call.Number, call.Arguments);
                uint bySupervisor = BpfInterpreter.Run(asked, architecture.AuditNumber, call.Number, call.Arguments);
                uint byRest = BpfInterpreter.Run(notAsked, architecture.AuditNumber, call.Number, call.Arguments);
                bool isMarker = call.Number == seccomp || (call.Number == prctl && (uint)call.Arguments[0] == 22);

                // The kernel takes the stronger of two answers: kill, error, question, allow.
                return isMarker
                    ? (byWhole, bySupervisor, byRest) == (Allow, Notify, Allow)
                    : bySupervisor == Notify ? byWhole >> 16 == Errno >> 16 && byRest == Allow : byRest == byWhole;
            }).Check(Config.QuickThrowOnFailure.WithMaxTest(20_000));
        }
    }

    [Fact]
    public void Every_call_of_the_list_is_refused_and_its_neighbours_in_number_are_as_the_list_says()
    {
        foreach (SeccompArchitecture architecture in SeccompArchitecture.All)
        {
            byte[] filter = SeccompFilter.Make(architecture, FilterPart.Whole).ToBytes();
            foreach (DeniedCall call in DenyList.All.Where(call => architecture.NumberOf(call) is not null))
            {
                int number = architecture.NumberOf(call)!.Value; // filtered just above
                foreach (ulong[] arguments in Samples(call))
                {
                    BpfInterpreter.Run(filter, architecture.AuditNumber, number, arguments).ShouldBe(Errno | (uint)call.Error, $"{architecture.Name} {call.Name}");
                }

                foreach (int neighbour in (int[])[number - 1, number + 1])
                {
                    BpfInterpreter.Run(filter, architecture.AuditNumber, neighbour, new ulong[6]).ShouldBe(Expected(architecture, neighbour, new ulong[6]), $"{architecture.Name} {neighbour}");
                }
            }
        }
    }

    [Fact]
    public void CVE_2019_10063_bits_above_the_thirty_second_do_not_hide_an_argument()
    {
        byte[] filter = SeccompFilter.Make(SeccompArchitecture.Amd64, FilterPart.Whole).ToBytes();
        const ulong high = 1UL << 40;

        BpfInterpreter.Run(filter, SeccompArchitecture.Amd64.AuditNumber, 16, 0, 0x5412 | high).ShouldBe(Errno | 1);
        BpfInterpreter.Run(filter, SeccompArchitecture.Amd64.AuditNumber, 41, 38 | high, 5).ShouldBe(Errno | 97);
        BpfInterpreter.Run(filter, SeccompArchitecture.Amd64.AuditNumber, 56, 0x10000000 | high).ShouldBe(Errno | 1);
        BpfInterpreter.Run(filter, SeccompArchitecture.Amd64.AuditNumber, 16, 0, 0x5401).ShouldBe(Allow, "TCGETS");
    }

    [Fact]
    public void CVE_2009_0835_a_call_of_another_architecture_ends_the_process()
    {
        byte[] filter = SeccompFilter.Make(SeccompArchitecture.Amd64, FilterPart.Whole).ToBytes();

        BpfInterpreter.Run(filter, X86, 20).ShouldBe(Kill);
        BpfInterpreter.Run(filter, SeccompArchitecture.Arm64.AuditNumber, 172).ShouldBe(Kill);
        BpfInterpreter.Run(filter, SeccompArchitecture.Amd64.AuditNumber, 39).ShouldBe(Allow, "getpid");
        BpfInterpreter.Run(SeccompFilter.Make(SeccompArchitecture.Arm64, FilterPart.Whole).ToBytes(), Arm32, 20).ShouldBe(Kill);
    }

    [Theory]
    [InlineData(FilterPart.Whole)]
    [InlineData(FilterPart.NotAsked)]
    public void CVE_2014_0038_no_number_of_x32_is_taken(object part)
    {
        byte[] filter = SeccompFilter.Make(SeccompArchitecture.Amd64, (FilterPart)part).ToBytes();

        foreach (int number in (int[])[0, 39, 41, 165, 272, 512, 547, 0x3fffffff])
        {
            BpfInterpreter.Run(filter, SeccompArchitecture.Amd64.AuditNumber, number | 0x40000000).ShouldBe(Errno | 38);
        }
    }

    [Fact]
    public void Nothing_that_every_program_needs_is_refused()
    {
        (string Name, int Amd64, int Arm64, ulong[] Arguments)[] needed =
        [
            ("read", 0, 63, []), ("openat", 257, 56, []), ("execve", 59, 221, []), ("execveat", 322, 281, []), ("clone of a process", 56, 220, [17]),
            ("clone of a thread", 56, 220, [0x3d0f00]), ("vfork by clone", 56, 220, [0x4111]), ("mmap", 9, 222, []), ("futex", 202, 98, []), ("getrandom", 318, 278, []),
            ("unix socket", 41, 198, [1, 1, 0]), ("TCP socket", 41, 198, [2, 0x80001, 6]), ("TCP6 socket", 41, 198, [10, 1, 0]), ("UDP socket", 41, 198, [2, 2, 17]),
            ("routes", 41, 198, [16, 3, 0]), ("socketpair", 53, 199, [1, 1, 0]), ("seccomp", 317, 277, []), ("landlock_create_ruleset", 444, 444, []), ("rseq", 334, 293, []),
        ];

        foreach ((string name, int amd64, int arm64, ulong[] arguments) in needed)
        {
            BpfInterpreter.Run(SeccompFilter.Make(SeccompArchitecture.Amd64, FilterPart.Whole).ToBytes(), SeccompArchitecture.Amd64.AuditNumber, amd64, arguments).ShouldBe(Allow, name);
            BpfInterpreter.Run(SeccompFilter.Make(SeccompArchitecture.Arm64, FilterPart.Whole).ToBytes(), SeccompArchitecture.Arm64.AuditNumber, arm64, arguments).ShouldBe(Allow, name);
        }
    }

    [Fact]
    public void The_list_names_each_call_once_with_numbers_of_its_own()
    {
        DenyList.All.Select(call => call.Name).ShouldBeUnique();
        foreach (SeccompArchitecture architecture in SeccompArchitecture.All)
        {
            DenyList.All.Select(architecture.NumberOf).Where(number => number is not null).ShouldBeUnique();
        }

        DenyList.All.ShouldAllBe(call => call.Why.Length > 0);
    }

    /// <summary>From the controller that this follows; "umount" has no number of its own on 64-bit machines. The rest of its list is what no program can start without.</summary>
    [Fact]
    public void The_list_has_every_call_of_the_original_but_those_without_which_nothing_starts()
    {
        string[] original =
        [
            "ptrace", "mount", "umount2", "pivot_root", "chroot", "setns", "unshare", "clone", "kexec_load", "kexec_file_load", "reboot", "init_module", "finit_module", "delete_module",
            "quotactl", "syslog", "swapon", "swapoff", "acct", "settimeofday", "adjtimex", "clock_adjtime", "lookup_dcookie", "perf_event_open", "fanotify_init", "name_to_handle_at",
            "open_by_handle_at",
        ];

        original.Except(DenyList.All.Select(call => call.Name)).ShouldBeEmpty();
        DenyList.All.Select(call => call.Name).ShouldNotContain(name => name == "fork" || name == "vfork" || name == "execve" || name == "execveat");
    }

    internal static IEnumerable<ulong[]> Samples(DeniedCall call)
    {
        if (call.When.Count == 0)
        {
            ulong[] arguments = new ulong[6];
            arguments[0] = call.Name == "unshare" ? 0x1000_0000ul : 0; // CLONE_NEWUSER: with nothing to do it is no attempt
            yield return arguments;
        }

        foreach (DeniedWhen when in call.When)
        {
            ulong[] arguments = new ulong[6];
            foreach (ArgumentTest test in when.Tests)
            {
                arguments[test.Argument] = test switch
                {
                    ArgumentTest.Equal equal => equal.Value,
                    ArgumentTest.AnyBit => 0x1000_0011, // CLONE_NEWUSER and SIGCHLD: the one that needs no capability
                    ArgumentTest.AtLeast least => least.Value,
                    _ => throw new System.Diagnostics.UnreachableException(),
                };
            }

            yield return arguments;
        }
    }

    private static uint Expected(SeccompArchitecture architecture, int number, ulong[] arguments)
    {
        if (architecture == SeccompArchitecture.Amd64 && unchecked((uint)number) >= 0x40000000)
        {
            return Errno | 38;
        }

        DeniedCall? call = DenyList.All.SingleOrDefault(call => architecture.NumberOf(call) == number);
        bool denied = call is not null && (call.When.Count == 0 || call.When.Any(when => when.Tests.All(test => Holds(test, unchecked((uint)arguments[test.Argument])))));
        return denied ? Errno | (uint)call!.Error : Allow; // denied says that there is one
    }

    private static bool Holds(ArgumentTest test, uint value) => test switch
    {
        ArgumentTest.Equal equal => (value & equal.Mask) == equal.Value,
        ArgumentTest.AnyBit bits => (value & bits.Mask) != 0,
        ArgumentTest.AtLeast least => value >= least.Value,
        _ => false,
    };

    private static Gen<Invocation> Calls(SeccompArchitecture architecture)
    {
        int[] listed = [.. DenyList.All.Select(architecture.NumberOf).OfType<int>()];
        (int prctl, int seccomp) = SeccompFilter.MarkersOf(architecture);
        Gen<int> number = Gen.Frequency(
            (4, Gen.Elements(listed)),
            (2, Gen.Elements((int[])[architecture == SeccompArchitecture.Amd64 ? 41 : 198, architecture == SeccompArchitecture.Amd64 ? 56 : 220, prctl, seccomp])),
            (2, Gen.Choose(0, 500)),
            (1, Gen.Choose(int.MinValue, int.MaxValue)),
            (1, Gen.Choose(0, 600).Select(low => low | 0x40000000)));
        Gen<ulong> argument =
            from low in Gen.Frequency(
                (4, Gen.Choose(0, 60).Select(value => (uint)value)), (1, Gen.Elements(0x5412u, 0x541cu, 0x10000000u, 0x7e020000u, 132u, 0x80003u, 22u)), (1, Gen.Choose(int.MinValue, int.MaxValue).Select(value => unchecked((uint)value))))
            from high in Gen.Frequency((4, Gen.Constant(0u)), (1, Gen.Choose(0, int.MaxValue).Select(value => (uint)value)))
            select ((ulong)high << 32) | low;
        return from chosen in number
               from arguments in Gen.ArrayOf(argument, 6)
               select new Invocation(chosen, arguments);
    }

    private sealed record Invocation(int Number, ulong[] Arguments);
}
