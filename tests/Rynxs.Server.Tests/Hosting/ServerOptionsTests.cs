using Rynxs.Server.Hosting;
using Rynxs.Server.State;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Hosting;

public sealed class ServerOptionsTests
{
    [Fact]
    public void Every_problem_is_reported_at_once_and_names_its_setting()
    {
        var options = new ServerOptions { StateDirectory = "", Listen = "nowhere", DrainSeconds = -1, MaxConcurrentExecutions = 0, ConstitutionalHash = "XYZ" };

        IReadOnlyList<string> problems = options.Validate();

        problems.Select(problem => problem[..problem.IndexOf(':', StringComparison.Ordinal)]).ShouldBe(
            ["--state", "--listen", "--drain-seconds", "--max-executions", "--constitutional-hash"]);
    }

    [Theory]
    [InlineData("127.0.0.1:0", true)]
    [InlineData("[::1]:8002", true)]
    [InlineData("localhost:8002", true)]
    [InlineData("0.0.0.0:8002", false)]
    [InlineData("[::]:8002", false)]
    [InlineData("192.0.2.1:8002", false)]
    public void Anonymous_administrators_are_allowed_on_loopback_alone(string listen, bool allowed) =>
        new ServerOptions { StateDirectory = "/tmp/x", Listen = listen, DangerousAllowAnonymous = true }.Validate().Count.ShouldBe(allowed ? 0 : 1);

    [Theory]
    [InlineData("127.0.0.1")]
    [InlineData(":8002")]
    [InlineData("127.0.0.1:65536")]
    [InlineData("::1:8002")]
    [InlineData("[127.0.0.1]:1")]
    [InlineData("example.com:80")]
    public void An_address_that_cannot_be_listened_on_is_refused(string listen) =>
        new ServerOptions { StateDirectory = "/tmp/x", Listen = listen }.Validate().ShouldHaveSingleItem().ShouldStartWith("--listen:");

    [Fact]
    public void A_second_server_on_one_state_is_refused_and_told_the_pid()
    {
        string path = TestServer.NewStatePath();
        using (StateDirectory first = StateDirectory.Open(path))
        {
            ServerStartException refused = Should.Throw<ServerStartException>(() => StateDirectory.Open(path));

            refused.Failure.ShouldBe(StartFailure.StateLocked);
            refused.Message.ShouldContain($"pid {Environment.ProcessId}");
        }

        StateDirectory.Open(path).Dispose();
        Directory.Delete(path, recursive: true);
    }

    [Fact]
    public void The_state_directory_is_private_even_when_it_was_not()
    {
        string path = TestServer.NewStatePath();
        Directory.CreateDirectory(path);
        File.SetUnixFileMode(path, (UnixFileMode)0b111_111_111);
        using (StateDirectory.Open(path))
        {
            File.GetUnixFileMode(path).ShouldBe((UnixFileMode)0b111_000_000);
            File.GetUnixFileMode(Path.Combine(path, "secrets")).ShouldBe((UnixFileMode)0b111_000_000);
        }

        Directory.Delete(path, recursive: true);
    }

    [Fact]
    public void A_state_directory_that_cannot_be_made_is_an_error_for_people()
    {
        ServerStartException failed = Should.Throw<ServerStartException>(() => StateDirectory.Open("/proc/rynxs-state"));

        failed.Failure.ShouldBe(StartFailure.StateUnavailable);
        failed.ExitCode.ShouldBe(1);
    }
}
