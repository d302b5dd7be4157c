namespace Rynxs.EndToEndTests;

/// <summary>Exit code 64 for what is wrong with the command line itself; one line, a hint, never a stack trace.</summary>
public sealed class UsageTests
{
    public static TheoryData<string, string> WrongCommandLines => new()
    {
        { "gte agents", "Did you mean 'get'?" },
        { "get", "argument missing" },
        { "get agents -o xml", "xml" },
        { "get agents --selecto x", "--selector" },
        { "apply", "--filename" },
        { "ledger", "command was not provided" },
        { "ledger verify", "path" },
        { "run x.py --timeout 0", "--timeout" },
        { "run x.py --language cobol", "cobol" },
        { "logs a --tail -1", "--tail" },
        { "task a b --priority urgent", "urgent" },
        { "delete agents", "give a kind and names" },
        { "completion tcsh", "tcsh" },
        { "token create x --role king", "there is no role 'king'" },
        { "get agents --server ftp://x", "not a server address" },
        { "get agents --server http://127.0.0.1:1 --token tö", "token" },
        { "up --listen nowhere", "--listen" },
        { "up --listen 0.0.0.0:0 --dangerous-allow-anonymous", "loopback" },
        { "exec a", "argument missing" },
        { "get agents -o jsonpath={.a", "not closed" },
        { "get agents -o custom-columns=NAME", "HEADER:PATH" },
        { "wait agent/a --for=sunshine", "sunshine" },
        { "apply -f x --force-conflicts", "--server-side" },
        { "up --oidc-audience x", "--oidc-issuer" },
        { "up --oidc-issuer https://x --oidc-role king=king", "king=king" },
        { "up --listen-tls nowhere", "--listen-tls" },
    };

    [Theory]
    [MemberData(nameof(WrongCommandLines))]
    public async Task Wrong_command_line_exits_with_64_and_names_what_is_wrong(string commandLine, string expected)
    {
        using var directory = new TemporaryDirectory();
        Finished finished = await RynxsProgram.RunAsync([.. commandLine.Split(' '), "--state", directory.Path]);

        finished.ExitCode.ShouldBe(64, finished.All);
        finished.Error.ShouldContain(expected, Case.Insensitive);
        finished.Output.ShouldBeEmpty();
        finished.Error.ShouldNotContain("   at ");
    }

    [Fact]
    public async Task Help_of_every_level_exits_with_0()
    {
        foreach (string[] arguments in (string[][])[["--help"], [], ["get", "--help"], ["ledger", "verify", "--help"]])
        {
            Finished finished = await RynxsProgram.RunAsync(arguments);
            finished.ExitCode.ShouldBe(0, finished.All);
            finished.Output.ShouldContain("Usage:");
        }
    }

    [Fact]
    public async Task Unreachable_server_says_how_to_start_one()
    {
        using var directory = new TemporaryDirectory();

        Finished none = await RynxsProgram.RunAsync("get", "agents", "--state", directory.Path);
        Finished gone = await RynxsProgram.RunAsync("get", "agents", "--server", "http://127.0.0.1:1", "--state", directory.Path);

        none.ExitCode.ShouldBe(1, none.All);
        none.Error.ShouldContain("rynxs up");
        gone.ExitCode.ShouldBe(1, gone.All);
        gone.Error.ShouldContain("no server answers at http://127.0.0.1:1/");
        gone.Error.ShouldContain("rynxs up");
    }

    [Fact]
    public async Task Failure_of_ours_is_125_where_the_exit_code_is_otherwise_the_programs()
    {
        using var directory = new TemporaryDirectory();
        await File.WriteAllTextAsync(directory.File("x.py"), "print(1)", TestContext.Current.CancellationToken);

        (await RynxsProgram.RunAsync("run", directory.File("x.py"), "--server", "http://127.0.0.1:1")).ExitCode.ShouldBe(125);
        (await RynxsProgram.RunAsync("run", directory.File("missing.py"), "--server", "http://127.0.0.1:1")).ExitCode.ShouldBe(125);
        (await RynxsProgram.RunAsync("exec", "a", "--server", "http://127.0.0.1:1", "--", "ls")).ExitCode.ShouldBe(125);
    }

    [Fact]
    public async Task State_token_is_not_sent_to_a_server_that_the_state_does_not_name()
    {
        // A3: a bait address on the command line must not collect the administrator's token.
        using var directory = new TemporaryDirectory();
        await File.WriteAllTextAsync(directory.File("token"), "rynxs_secret\n", TestContext.Current.CancellationToken);

        (await FirstRequestAsync(directory, _ => "http://127.0.0.1:2")).ShouldNotContain("rynxs_secret");

        // Positive control: the same kind of address, now named by the state, gets it.
        (await FirstRequestAsync(directory, bait => bait)).ShouldContain("rynxs_secret");
    }

    private static async Task<string> FirstRequestAsync(TemporaryDirectory directory, Func<string, string> recorded)
    {
        using var bait = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        bait.Start();
        string address = $"http://127.0.0.1:{((System.Net.IPEndPoint)bait.LocalEndpoint).Port}";
        await File.WriteAllTextAsync(
            directory.File("server.json"), $$"""{"pid":1,"url":"{{recorded(address)}}","version":"0"}""", TestContext.Current.CancellationToken);
        Task<Finished> client = RynxsProgram.RunAsync("get", "agents", "--server", address, "--state", directory.Path);
        using System.Net.Sockets.TcpClient connection = await bait.AcceptTcpClientAsync(TestContext.Current.CancellationToken);
        byte[] request = new byte[8192];
        int read = await connection.GetStream().ReadAsync(request, TestContext.Current.CancellationToken);
        connection.Close();
        bait.Stop(); // the client tries again, and then finds nobody
        (await client).ExitCode.ShouldBe(1);
        return System.Text.Encoding.ASCII.GetString(request, 0, read);
    }
}
