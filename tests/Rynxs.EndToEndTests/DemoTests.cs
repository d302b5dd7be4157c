using System.Diagnostics;

namespace Rynxs.EndToEndTests;

/// <summary><c>rynxs demo</c> as a newcomer runs it.</summary>
public sealed class DemoTests
{
    [Fact]
    public async Task Demo_holds_twice_the_second_time_within_30_seconds_and_leaves_nothing()
    {
        SandboxRequirement.Require();
        using var temporary = new TemporaryDirectory();
        var environment = new Dictionary<string, string> { ["TMPDIR"] = temporary.Path };

        Finished first = await RynxsProgram.RunAsync(new Invocation { Arguments = ["demo"], Environment = environment, Limit = TimeSpan.FromMinutes(8) });
        long started = Stopwatch.GetTimestamp();
        Finished second = await RynxsProgram.RunAsync(new Invocation { Arguments = ["demo"], Environment = environment });
        TimeSpan duration = Stopwatch.GetElapsedTime(started);

        first.ExitCode.ShouldBe(0, first.All);
        second.ExitCode.ShouldBe(0, second.All);
        second.Output.ShouldContain("How to go on:");
        second.Output.ShouldNotContain("NOT HELD");
        second.Output.ShouldNotContain("\x1b", customMessage: "colours are for terminals");
        duration.ShouldBeLessThan(TimeSpan.FromSeconds(30));
        Directory.EnumerateFileSystemEntries(temporary.Path).Where(path => Path.GetFileName(path).StartsWith("rynxs-", StringComparison.Ordinal)).ShouldBeEmpty();
    }
}
