using System.Runtime.Versioning;

namespace Rynxs.EndToEndTests;

/// <summary><c>./rynxs</c> itself: on other machines, without root, twice at once, from anywhere.</summary>
[SupportedOSPlatform("linux")]
public sealed class LauncherTests
{
    private static readonly string[] Sources =
    [
        "rynxs", "eng", "src", "examples", "global.json", ".editorconfig", "Directory.Build.props", "Directory.Build.targets",
        "Directory.Packages.props", "nuget.config",
    ];

    private static readonly string Launcher = Path.Combine(RynxsProgram.Repository, "rynxs");

    [Fact]
    public async Task Launcher_runs_from_any_directory_and_through_a_link()
    {
        using var directory = new TemporaryDirectory();
        File.CreateSymbolicLink(directory.File("rx"), Launcher);

        Finished finished = await RynxsProgram.RunAsync(new Invocation { Program = directory.File("rx"), Arguments = ["version"], WorkingDirectory = "/" });

        finished.ExitCode.ShouldBe(0, finished.All);
        finished.Output.ShouldStartWith("rynxs ");
    }

    [Theory]
    [InlineData("riscv64", "Linux", "this machine is riscv64")]
    [InlineData("x86_64", "Darwin", "this is Darwin")]
    public async Task Launcher_names_a_machine_that_cannot_do_it(string machine, string system, string expected)
    {
        using var directory = new TemporaryDirectory();
        await ScriptAsync(directory.File("uname"), $"case $1 in -m) echo {machine} ;; -s) echo {system} ;; esac");

        Finished finished = await RynxsProgram.RunAsync(new Invocation { Program = Launcher, Arguments = ["version"], Environment = WithPath(directory.Path) });

        finished.ExitCode.ShouldBe(1, finished.All);
        finished.Error.ShouldContain(expected);
    }

    [Fact]
    public async Task Without_root_sandbox_commands_say_so_and_clients_work()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root to become somebody else");
        string[] nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", Launcher];
        // The launcher must see itself as built: the suite builds it before any test runs.
        Finished demo = await RynxsProgram.RunAsync(new Invocation { Program = "/usr/bin/setpriv", Arguments = [.. nobody, "demo"] });
        Finished version = await RynxsProgram.RunAsync(new Invocation { Program = "/usr/bin/setpriv", Arguments = [.. nobody, "version"] });

        demo.ExitCode.ShouldBe(1, demo.All);
        demo.Error.ShouldContain("needs root");
        demo.Error.ShouldContain("sudo ./rynxs demo");
        version.ExitCode.ShouldBe(0, version.All);
    }

    [Fact]
    public async Task Root_that_may_not_create_namespaces_is_told_so()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        using var directory = new TemporaryDirectory();
        await ScriptAsync(directory.File("unshare"), "echo 'unshare: Operation not permitted' >&2; exit 1");

        Finished finished = await RynxsProgram.RunAsync(new Invocation { Program = Launcher, Arguments = ["demo"], Environment = WithPath(directory.Path) });

        finished.ExitCode.ShouldBe(1, finished.All);
        finished.Error.ShouldContain("may not create namespaces");
    }

    [Fact]
    public async Task Missing_sdk_is_named()
    {
        using var clone = await CloneAsync();
        using var directory = new TemporaryDirectory();
        // A machine without dotnet and without packages: only what the launcher itself calls.
        foreach (string program in (string[])["bash", "dirname", "readlink", "uname", "id", "find", "mkdir", "flock", "env"])
        {
            File.CreateSymbolicLink(directory.File(program), File.Exists("/usr/bin/" + program) ? "/usr/bin/" + program : "/bin/" + program);
        }

        Finished finished = await RynxsProgram.RunAsync(new Invocation
        {
            Program = clone.File("rynxs"),
            Arguments = ["version"],
            Environment = new Dictionary<string, string> { ["PATH"] = directory.Path },
        });

        finished.ExitCode.ShouldBe(1, finished.All);
        finished.Error.ShouldContain(".NET 10 SDK is missing");
    }

    [Fact]
    public async Task Two_first_runs_at_once_build_once_and_both_work()
    {
        using var clone = await CloneAsync();
        var invocation = new Invocation { Program = clone.File("rynxs"), Arguments = ["version"], Limit = TimeSpan.FromMinutes(6) };

        Finished[] both = await Task.WhenAll(RynxsProgram.RunAsync(invocation), RynxsProgram.RunAsync(invocation));
        Finished third = await RynxsProgram.RunAsync(invocation);

        both.ShouldAllBe(finished => finished.ExitCode == 0 && finished.Output.StartsWith("rynxs "), string.Join("\n", both.Select(finished => finished.All)));
        both.Count(finished => finished.Error.Contains("first run: building", StringComparison.Ordinal)).ShouldBe(1, string.Join("\n", both.Select(finished => finished.All)));
        third.Error.ShouldBeEmpty("nothing changed, nothing is built and nothing is said");
        Directory.EnumerateDirectories(clone.File("artifacts/launch"), "[0-9]*").Count().ShouldBeLessThanOrEqualTo(1);
    }

    [Fact]
    public async Task Missing_programs_without_packages_name_what_to_install()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root");
        using var directory = new TemporaryDirectory();
        // Everything but the sandbox programs; apt-get is one that fails as it does offline.
        foreach (string folder in (string[])["/usr/bin", "/bin", "/usr/sbin", "/sbin"])
        {
            foreach (string program in Directory.EnumerateFiles(folder))
            {
                string name = Path.GetFileName(program);
                if (name is not ("runsc" or "mmdebstrap" or "mkfs.erofs" or "apt-get" or "apt-cache") && !File.Exists(directory.File(name)))
                {
                    File.CreateSymbolicLink(directory.File(name), program);
                }
            }
        }

        await ScriptAsync(directory.File("apt-get"), "echo 'E: Unable to fetch some archives' >&2; exit 100");
        await ScriptAsync(directory.File("apt-cache"), "echo '  Candidate: 1.0'");

        Finished finished = await RynxsProgram.RunAsync(new Invocation
        {
            Program = Launcher,
            Arguments = ["demo"],
            Environment = new Dictionary<string, string> { ["PATH"] = directory.Path },
        });

        finished.ExitCode.ShouldBe(1, finished.All);
        finished.Error.ShouldContain("runsc: gVisor");
        finished.Error.ShouldContain("could not install: runsc mmdebstrap erofs-utils");
        finished.Error.ShouldContain("offline");
    }

    private static Dictionary<string, string> WithPath(string first) => new() { ["PATH"] = first + ":" + Environment.GetEnvironmentVariable("PATH") };

    private static async Task ScriptAsync(string path, string body)
    {
        await File.WriteAllTextAsync(path, "#!/bin/bash\n" + body + "\n", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
    }

    /// <summary>The sources without anything built, as a fresh clone.</summary>
    private static async Task<TemporaryDirectory> CloneAsync()
    {
        var clone = new TemporaryDirectory();
        string[] parts = [.. Sources.Where(part => Path.Exists(Path.Combine(RynxsProgram.Repository, part)))];
        Finished copied = await RynxsProgram.RunAsync(new Invocation
        {
            Program = "/bin/cp",
            Arguments = ["-a", .. parts.Select(part => Path.Combine(RynxsProgram.Repository, part)), clone.Path],
        });
        copied.ExitCode.ShouldBe(0, copied.All);
        return clone;
    }
}
