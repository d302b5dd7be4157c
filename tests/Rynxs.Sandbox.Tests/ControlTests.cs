using Rynxs.Sandbox.GVisor;

namespace Rynxs.Sandbox.Tests;

/// <summary>A runtime that does not do what it is told: each control that is missing then is found from inside, and refuses the sandbox.</summary>
public sealed class ControlTests(SandboxHost host)
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("s/\"RLIMIT_NPROC\",\"hard\":[0-9]*,\"soft\":[0-9]*/\"RLIMIT_NPROC\",\"hard\":4000,\"soft\":4000/g", "rlimits")]
    [InlineData("s/\"uid\":1000,\"gid\":1000/\"uid\":0,\"gid\":0/g", "user")]
    [InlineData("s/size=67108864/size=99999744/g", "tmp_size")]
    public async Task A_control_that_cannot_be_shown_refuses_the_sandbox_and_is_named(string edit, string control)
    {
        host.SkipUnlessAvailable();
        string key = SandboxHost.NewStateKey();
        string runsc = Wrapper(edit);
        try
        {
            await using var runtime = new GVisorRuntime(
                new GVisorOptions { StateKey = key, RunscPath = runsc }, SandboxHost.Images(), Microsoft.Extensions.Logging.Abstractions.NullLogger<GVisorRuntime>.Instance);

            SandboxRefusedException refused = await Should.ThrowAsync<SandboxRefusedException>(() => runtime.CreateAsync(
                new SandboxSpec { Owner = new SandboxOwner("tests", "tester"), Image = host.Image }, Token));

            refused.Control.ShouldBe(control, refused.Message);
            (await runtime.FindLeftoversAsync(Token)).ShouldBeEmpty("what was refused is gone");
        }
        finally
        {
            Directory.Delete(Path.GetDirectoryName(runsc) ?? "", recursive: true);
        }

        await using ISandbox unaltered = await host.NewSandboxAsync(); // positive control
        unaltered.Controls.ShouldContain(shown => shown.Control == control);
    }

    /// <summary>The real runsc, behind a change of every configuration that it is given.</summary>
    private static string Wrapper(string edit)
    {
        string directory = Directory.CreateTempSubdirectory("rynxs-runsc").FullName;
        string path = Path.Combine(directory, "runsc");
        File.WriteAllText(path, $"""
            #!/bin/sh
            for a in "$@"; do
              case "$a" in */exec.json) sed -i '{edit}' "$a";; esac
              [ -f "$a/config.json" ] && sed -i '{edit}' "$a/config.json"
            done
            exec runsc "$@"
            """.Replace("\r", "", StringComparison.Ordinal));
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return path;
    }
}
