namespace Rynxs.EndToEndTests;

/// <summary>The process of <c>rynxs up</c>: one for each state, a graceful end, honest refusals.</summary>
public sealed class ServerProcessTests
{
    [Fact]
    public async Task Second_server_on_one_state_is_refused_and_the_first_goes_on()
    {
        SandboxRequirement.Require();
        using var directory = new TemporaryDirectory();
        await using RunningServer server = await RunningServer.StartAsync(directory.File("state"));

        Finished second = await RynxsProgram.RunAsync("up", "--state", server.State, "--listen", "127.0.0.1:0");

        second.ExitCode.ShouldBe(1, second.All);
        second.Error.ShouldContain("in use by another rynxs server");
        second.Error.ShouldContain(server.ProcessId.ToString(System.Globalization.CultureInfo.InvariantCulture));
        (await server.RunAsync("get", "agents")).ExitCode.ShouldBe(0);
    }

    [Fact]
    public async Task Sigterm_stops_the_server_with_exit_code_0_and_withdraws_its_address()
    {
        SandboxRequirement.Require();
        using var directory = new TemporaryDirectory();
        await using RunningServer server = await RunningServer.StartAsync(directory.File("state"));
        File.Exists(Path.Combine(server.State, "server.json")).ShouldBeTrue();

        (await server.StopAsync()).ShouldBe(0, server.Log);

        File.Exists(Path.Combine(server.State, "server.json")).ShouldBeFalse();
        Finished client = await server.RunAsync("get", "agents");
        client.ExitCode.ShouldBe(1);
        client.Error.ShouldContain("rynxs up");
    }

    [Theory]
    [InlineData("garbage")]
    [InlineData("rynxs_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    public async Task C1_unknown_token_is_refused_with_a_hint(string token)
    {
        SandboxRequirement.Require();
        using var directory = new TemporaryDirectory();
        await using RunningServer server = await RunningServer.StartAsync(directory.File("state"));

        Finished refused = await server.RunAsync("get", "agents", "--token", token);
        Finished known = await server.RunAsync("get", "agents");

        refused.ExitCode.ShouldBe(1, refused.All);
        refused.Error.ShouldContain("RYNXS_TOKEN");
        refused.Error.ShouldNotContain(token);
        known.ExitCode.ShouldBe(0, known.All);
    }

    [Fact]
    public async Task Objects_are_created_shown_changed_and_deleted_from_the_command_line()
    {
        SandboxRequirement.Require();
        using var directory = new TemporaryDirectory();
        await using RunningServer server = await RunningServer.StartAsync(directory.File("state"));
        string manifest = directory.File("universe.yaml");
        await File.WriteAllTextAsync(
            manifest, "apiVersion: universe.ai/v1alpha1\nkind: Universe\nmetadata: {name: lab}\nspec: {policies: {denyTools: [http.fetch]}}\n", TestContext.Current.CancellationToken);

        (await server.RunAsync("apply", "-f", manifest)).Output.ShouldBe("universe.universe.ai/lab created\n");
        (await server.RunAsync("apply", "-f", manifest)).Output.ShouldBe("universe.universe.ai/lab unchanged\n");
        await File.WriteAllTextAsync(
            manifest, "apiVersion: universe.ai/v1alpha1\nkind: Universe\nmetadata: {name: lab}\nspec: {policies: {denyTools: [fs.write]}}\n", TestContext.Current.CancellationToken);
        (await server.RunAsync("apply", "-f", manifest)).Output.ShouldBe("universe.universe.ai/lab configured\n");

        (await server.RunAsync("get", "universes", "-o", "name")).Output.ShouldBe("universe.universe.ai/lab\n");
        (await server.RunAsync("get", "uni", "lab", "-o", "yaml")).Output.ShouldContain("- fs.write");
        (await server.RunAsync("get", "universe", "lab", "-o", "json")).Output.ShouldContain("\"denyTools\"");
        (await server.RunAsync("delete", "-f", manifest)).Output.ShouldBe("universe.universe.ai/lab deleted\n");
        Finished gone = await server.RunAsync("get", "universe", "lab");
        gone.ExitCode.ShouldBe(1);
        gone.Error.ShouldContain("not found", Case.Insensitive);
    }

    [Fact]
    public async Task Every_error_of_every_manifest_is_shown_and_nothing_is_sent()
    {
        using var directory = new TemporaryDirectory();
        string manifest = directory.File("bad.yaml");
        await File.WriteAllTextAsync(
            manifest,
            "apiVersion: universe.ai/v1alpha1\nkind: Agent\nmetadata: {name: a}\nspec:\n  role: king\n  limits: {timeoutSeconds: 0}\n  tolls: {}\n",
            TestContext.Current.CancellationToken);

        // The address answers nobody: a manifest that was sent would fail with another message.
        Finished finished = await RynxsProgram.RunAsync("apply", "-f", manifest, "--server", "http://127.0.0.1:1");

        finished.ExitCode.ShouldBe(1, finished.All);
        finished.Error.ShouldContain("3 errors");
        finished.Error.ShouldContain("spec.role");
        finished.Error.ShouldContain("spec.limits.timeoutSeconds");
        finished.Error.ShouldContain("tolls");
        finished.Error.ShouldContain("line 5");
    }
}
