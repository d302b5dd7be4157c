using System.Diagnostics;
using System.Globalization;
using System.Text;
using Rynxs.Sandbox.Namespaces;
using Rynxs.Sandbox.Seccomp;
using Rynxs.Sandbox.Tests.Namespaces;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox.Tests.Seccomp;

/// <summary>Python starts under the filter and makes every call of the list. The same program without the filter is the control.</summary>
[Collection(NamespacesTests.Name)]
public sealed class SeccompDenialTests(NamespacesHost host)
{
    /// <summary>No call of the kernel's answers with it here, so the filter must have.</summary>
    private const int Mark = 177;

    // Each call in a child of its own: some change the process that makes them.
    private const string Script = """
        import os,sys,ctypes
        libc=ctypes.CDLL(None,use_errno=True); libc.syscall.restype=ctypes.c_long
        for line in sys.stdin.read().split('\n'):
            if not line: continue
            name,*numbers=line.split()
            first=os.getpid()
            child=os.fork()
            if child==0:
                r=libc.syscall(*[ctypes.c_long(int(n)) for n in numbers])
                if os.getppid()!=first: os._exit(0)
                os._exit(min(ctypes.get_errno(),250) if r==-1 else 0)
            print(name,os.waitstatus_to_exitcode(os.waitpid(child,0)[1]),flush=True)
        """;

    [Fact]
    public async Task Every_call_of_the_list_is_refused_in_the_tier_and_reported_when_a_rule_knows_it()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        DeniedCall[] quiet = [.. Here().Where(call => !Kills(call))];
        ExecutionResult result = await sandbox.ExecuteAsync(new ExecutionRequest
        {
            ExecutionId = "denials", Arguments = ["/usr/bin/python3", "-c", Script], StandardInput = Encoding.UTF8.GetBytes(Lines(quiet, IsQuiet)),
        }, TestContext.Current.CancellationToken);

        result.Reason.ShouldBe(TerminationReason.Completed, result.Describe());
        string[] expected = [.. quiet.SelectMany(call => SeccompFilterTests.Samples(call).Where(arguments => IsQuiet(call, arguments)).Select(_ => $"{call.Name} {call.Error}"))];
        result.Out().Split('\n', StringSplitOptions.RemoveEmptyEntries).ShouldBe(expected);

        string[] reported = [.. result.Violations.Select(violation => violation.Indicators["system_call"]).Distinct()];
        quiet.Where(SeccompFilter.IsAsked).Select(call => call.Name).Except(reported).ShouldBeEmpty();
        result.Violations.ShouldAllBe(violation => violation.DetectionLayer == DetectionLayer.Seccomp && violation.Blocked && violation.Indicators.ContainsKey("arguments"));
    }

    [Fact]
    public async Task It_is_the_filter_that_answers_and_without_it_the_kernel_would()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        string root = ((NamespacesSandbox)sandbox).View.Root;
        string input = Lines(Here(), (_, _) => true);
        SeccompArchitecture architecture = SeccompArchitecture.OfThisMachine.ShouldNotBeNull();

        (_, string[] with) = await RunAsync(root, SeccompFilter.Make(architecture, FilterPart.Whole, Mark).ToBytes(), Script, input);
        (_, string[] without) = await RunAsync(root, null, Script, input);

        with.Length.ShouldBe(input.Count(c => c == '\n'));
        with.Where(line => !line.EndsWith($" {Mark}", StringComparison.Ordinal)).ShouldBeEmpty();
        without.Length.ShouldBe(with.Length);
        without.Where(line => line.EndsWith($" {Mark}", StringComparison.Ordinal)).ShouldBeEmpty();
        foreach (string works in (string[])["unshare 0", "clone 0", "ptrace 0", "personality 0"])
        {
            without.ShouldContain(works, "positive control: without the filter a program without any capability may do this");
        }
    }

    [Fact]
    public async Task CVE_2009_0835_a_32_bit_call_ends_the_process_and_CVE_2014_0038_an_x32_number_is_unknown()
    {
        await using ISandbox sandbox = await host.NewSandboxAsync();
        Assert.SkipUnless(SeccompArchitecture.OfThisMachine == SeccompArchitecture.Amd64, "machine code of x86-64");
        const string machineCode = """
            import ctypes,mmap
            m=mmap.mmap(-1,4096,prot=7)
            m.write(b'\xb8\x14\x00\x00\x00\xcd\x80\xc3')
            print('control ok' if ctypes.CDLL(None).syscall(39)>0 else 'bad', flush=True)
            print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()>0)
            """;
        const int badSystemCall = 31;

        ExecutionResult foreign = await sandbox.PythonAsync(machineCode);
        (foreign.Out(), foreign.ExitCode).ShouldBe(("control ok\n", 128 + badSystemCall), foreign.Describe());
        (int code, string[] lines) = await RunAsync(((NamespacesSandbox)sandbox).View.Root, null, machineCode, "");
        (code, lines).ShouldSatisfyAllConditions(() => code.ShouldBe(0), () => lines.ShouldBe(["control ok", "True"]));

        ExecutionResult x32 = await sandbox.PythonAsync("import ctypes; l=ctypes.CDLL(None,use_errno=True); print(l.syscall(39)>0, l.syscall(0x40000000|39), ctypes.get_errno())");
        x32.Out().ShouldBe("True -1 38\n");
    }

    private static DeniedCall[] Here() => [.. DenyList.All.Where(call => SeccompArchitecture.OfThisMachine!.NumberOf(call) is not null)]; // the tier is available, so there is one

    private static bool Kills(DeniedCall call) =>
        call.Amd64 is { } number && DetectionRules.All.Any(rule => rule.Action == RuleAction.Kill && rule.Match is RuleMatch.Call match && match.Numbers.Contains(number));

    private static bool IsQuiet(DeniedCall call, ulong[] arguments) =>
        call.Name != "socket" || !DetectionRules.All.Any(rule => rule.Action == RuleAction.Kill && rule.Match is RuleMatch.NewSocket socket && (ulong)socket.Domain == arguments[0]);

    private static string Lines(IEnumerable<DeniedCall> calls, Func<DeniedCall, ulong[], bool> include) => string.Concat(calls.SelectMany(call => SeccompFilterTests.Samples(call)
        .Where(arguments => include(call, arguments))
        .Select(arguments => string.Create(CultureInfo.InvariantCulture, $"{call.Name} {SeccompArchitecture.OfThisMachine!.NumberOf(call)} {string.Join(' ', arguments)}\n")))); // as above

    /// <summary>The same namespaces and the same user without our starter: with another filter, or with none.</summary>
    private static async Task<(int Code, string[] Lines)> RunAsync(string root, byte[]? filter, string script, string input)
    {
        string file = Path.GetTempFileName();
        try
        {
            await File.WriteAllBytesAsync(file, filter ?? [], TestContext.Current.CancellationToken);
            var info = new ProcessStartInfo("/bin/bash") { RedirectStandardInput = true, RedirectStandardOutput = true };
            info.ArgumentList.Add("-c");
            info.ArgumentList.Add(
                "exec 9<\"$1\"; exec setpriv --reuid=1000 --regid=1000 --clear-groups --no-new-privs bwrap --unshare-user --unshare-pid --unshare-ipc --unshare-uts --unshare-net --unshare-cgroup "
                + $"--cap-drop ALL --ro-bind \"$2\" / --proc /proc --dev /dev {(filter is null ? "" : "--seccomp 9 ")}/usr/bin/python3 -c \"$3\"");
            foreach (string word in (string[])["bash", file, root, script])
            {
                info.ArgumentList.Add(word);
            }

            using Process process = Process.Start(info)!; // not a shell association, so never null
            await process.StandardInput.WriteAsync(input);
            process.StandardInput.Close();
            string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
            return (process.ExitCode, output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        }
        finally
        {
            File.Delete(file);
        }
    }
}
