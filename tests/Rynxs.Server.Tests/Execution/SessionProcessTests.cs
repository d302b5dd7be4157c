using System.Net;
using System.Net.Http.Headers;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using Rynxs.Server.Tests.Identity;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Execution;

/// <summary>Processes in a session while they run: real sandboxes, real sockets.</summary>
public sealed class SessionProcessTests
{
    private const string Sessions = "/api/v1/sandbox/sessions";

    [Fact]
    public async Task A_process_takes_input_and_signals_streams_its_output_has_a_terminal_and_serves_a_port()
    {
        SandboxRequirement.Require();
        await using TestServer server = await StartWarmAsync();
        JsonElement made = await server.PostAsync(Sessions, """{"agent_id":"ada","labels":{"team":"red"},"template":"workspace"}""", HttpStatusCode.Created);
        string session = $"{Sessions}/{made.GetProperty("session_id").GetString()}";

        // Input as it comes, argv without a shell, environment, directory; output over server-sent events.
        string echo = await StartAsync(server, session, """{"argv":["/bin/bash","-c","echo \"$0 $GREETING $PWD\"; while read -r line; do echo \"got $line\"; done; echo bye >&2; exit 7","a b"],"env":{"GREETING":"hi"},"cwd":"/tmp","stdin":"one\n"}""");
        await InputAsync(server, $"{echo}/stdin", "two\n");
        await InputAsync(server, $"{echo}/stdin?close=true", "");
        List<(string Event, JsonElement Data)> events = await EventsAsync(server, $"{echo}/output");
        Text(events, "stdout").ShouldBe("a b hi /tmp\ngot one\ngot two\n");
        Text(events, "stderr").ShouldBe("bye\n");
        events[^1].Event.ShouldBe("end");
        events[^1].Data.GetProperty("exit_code").GetInt32().ShouldBe(7, events[^1].Data.ToString());
        long second = events[1].Data.GetProperty("number").GetInt64();
        (await EventsAsync(server, $"{echo}/output?from={second}")).Count.ShouldBe(events.Count - 1, "a reader goes on where it was");
        (await server.GetAsync($"/api/v1/sandbox/executions/{echo.Split('/')[^1]}")).GetProperty("execution").GetProperty("session_id").GetString().ShouldBe(session.Split('/')[^1]);

        // A signal that the program handles.
        string trap = await StartAsync(server, session, """{"argv":["/usr/bin/python3","-u","-c","import signal,sys,time\nsignal.signal(signal.SIGUSR1,lambda *_:(print('usr1'),sys.exit(5)))\nsys.stdout.write('ready\\n')\nwhile True: time.sleep(1)"]}""");
        await WaitForOutputAsync(server, $"{trap}/output", "ready");
        await server.PostAsync($"{trap}/signal", """{"signal":"USR1"}""", HttpStatusCode.NoContent);
        events = await EventsAsync(server, $"{trap}/output");
        (Text(events, "stdout"), events[^1].Data.GetProperty("exit_code").GetInt32()).ShouldBe(("ready\nusr1\n", 5));
        (await server.PostAsync($"{trap}/signal", """{"signal":"USR1"}""", HttpStatusCode.Conflict)).GetProperty("code").GetString().ShouldBe("process_ended");
        (await server.PostAsync($"{trap}/signal", """{"signal":"SEGV"}""", HttpStatusCode.UnprocessableEntity)).GetProperty("field").GetString().ShouldBe("signal");

        // A terminal over a WebSocket: its size, a new size, Ctrl-C.
        string shell = await StartAsync(server, session, """{"argv":["/bin/bash","--norc","-i"],"env":{"PS1":"$ ","TERM":"dumb"},"terminal":{"rows":30,"columns":91}}""");
        using (ClientWebSocket socket = await ConnectAsync(server, $"{shell}/attach", "v5.channel.k8s.io"))
        {
            socket.SubProtocol.ShouldBe("v5.channel.k8s.io");
            await SendAsync(socket, 0, "stty size; test -t 0 && echo a-terminal\n");
            await ReceiveUntilAsync(socket, "30 91");
            await ReceiveUntilAsync(socket, "a-terminal\r\n");
            await SendAsync(socket, 4, """{"Width":120,"Height":40}""");
            await SendAsync(socket, 0, "stty size\n");
            await ReceiveUntilAsync(socket, "40 120");
            await SendAsync(socket, 0, "bash -c 'echo be$((40+2))gun; exec sleep 1000'\n");
            await ReceiveUntilAsync(socket, "be42gun");
            await SendAsync(socket, 0, "\u0003");
            await SendAsync(socket, 0, "echo still-$((20+1))\n");
            await ReceiveUntilAsync(socket, "still-21");
            await SendAsync(socket, 0, "exit 3\n");
            (await ReceiveUntilAsync(socket, "exit_code")).ShouldContain("\"exit_code\":3");
        }

        // A port of the sandbox's own loopback interface.
        string web = await StartAsync(server, session, """{"argv":["/usr/bin/python3","-u","-c","import socket\ns=socket.create_server(('127.0.0.1',8080)); print('up')\nc,_=s.accept(); d=c.recv(100); c.sendall(b'hello '+d); c.recv(1); c.close()"]}""");
        await WaitForOutputAsync(server, $"{web}/output", "up");
        using (ClientWebSocket port = await ConnectAsync(server, $"{session}/ports/8080"))
        {
            await port.SendAsync("ada"u8.ToArray(), WebSocketMessageType.Binary, true, TestContext.Current.CancellationToken);
            (await ReceiveUntilAsync(port, "hello ada")).ShouldBe("hello ada");
        }

        WebSocketException nobody = await Should.ThrowAsync<WebSocketException>(() => ConnectAsync(server, $"{session}/ports/8081"));
        nobody.Message.ShouldContain("422");

        JsonElement metrics = await server.GetAsync($"{session}/metrics");
        metrics.GetProperty("memory_mb").GetDouble().ShouldBeGreaterThan(1, metrics.ToString());
        (metrics.GetProperty("cpu_seconds").GetDouble() > 0, metrics.GetProperty("executions").GetInt32()).ShouldBe((true, 4));
        Text(await EventsAsync(server, $"{session}/logs"), "stdout").ShouldContain("got two");
        (await server.GetAsync($"{Sessions}?label=team=red")).GetProperty("sessions").GetArrayLength().ShouldBe(1);
        (await server.GetAsync($"{Sessions}?label=team=blue")).GetProperty("sessions").GetArrayLength().ShouldBe(0);

        // Cancelling the execution ends the process.
        string endless = await StartAsync(server, session, """{"argv":["/bin/sleep","1000"],"timeout_seconds":86400}""");
        JsonElement cancelled = await server.PostAsync($"/api/v1/sandbox/executions/{endless.Split('/')[^1]}/cancel", "{}");
        cancelled.GetProperty("execution").GetProperty("state").GetString().ShouldNotBe("running", cancelled.ToString());
    }

    [Fact]
    public async Task Files_go_in_and_out_are_watched_and_no_archive_or_path_leads_outside()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        JsonElement made = await server.PostAsync(Sessions, """{"agent_id":"ada"}""", HttpStatusCode.Created);
        string session = $"{Sessions}/{made.GetProperty("session_id").GetString()}";
        string outside = Path.Combine(server.State, "token");

        await PutAsync(server, $"{session}/files/a/b.txt", "inside");
        (await server.PostAsync($"{session}/execute", """{"code":"import os\nprint(open('a/b.txt').read(), os.stat('a/b.txt').st_uid)\nopen('made','w').write('x'*10)\nos.symlink('/etc/passwd','link')\nos.symlink('../../token','up')"}""")).GetProperty("stdout").GetString().ShouldBe("inside 1000\n");
        (await server.GetTextAsync($"{session}/files/made?offset=3&max_bytes=4")).ShouldBe("xxxx");
        (await server.GetAsync($"{session}/files/made?stat=true")).GetProperty("bytes").GetInt32().ShouldBe(10);
        JsonElement list = await server.GetAsync($"{session}/list?recursive=true");
        list.GetProperty("entries").EnumerateArray().Select(entry => $"{entry.GetProperty("kind").GetString()} {entry.GetProperty("path").GetString()}").ShouldBe(["directory a", "file a/b.txt", "symlink link", "file made", "symlink up"]);

        // B1, B3: links that lead out, and names that would; percent signs are characters of a name.
        string token = File.ReadAllText(outside);
        foreach (string wrong in (string[])["link", "up", "..%2Ftoken", "..%2F..%2F..%2Ftoken", "%2Fetc%2Fpasswd", "%2e%2e/%2e%2e/%2e%2e/token", "a%2F..%2F..%2F..%2Ftoken"])
        {
            using HttpResponseMessage refused = await server.Http.GetAsync($"{session}/files/{wrong}", TestContext.Current.CancellationToken);
            ((int)refused.StatusCode).ShouldBeOneOf(404, 409, 422);
            (await refused.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldNotContain(token.Trim());
            using HttpResponseMessage written = await server.Http.PutAsync($"{session}/files/{wrong}", new StringContent("evil"), TestContext.Current.CancellationToken);
            ((int)written.StatusCode).ShouldBeOneOf(wrong is "link" or "up" ? [422] : [200, 404, 405, 409, 422]);
            File.ReadAllText(outside).ShouldBe(token);
        }

        foreach (string where in (string[])["../..", "/etc", "a/../../..", "link", "up"])
        {
            foreach (string what in (string[])["list", "archive", "watch"])
            {
                using HttpResponseMessage refused = await server.Http.GetAsync($"{session}/{what}?path={Uri.EscapeDataString(where)}", TestContext.Current.CancellationToken);
                ((int)refused.StatusCode).ShouldBeOneOf([404, 409, 422], $"{what} {where}");
            }
        }

        // An archive out is read by the system's tar; one in is written by it.
        string directory = Path.Combine(server.State, "tar");
        Directory.CreateDirectory(directory);
        await File.WriteAllBytesAsync(Path.Combine(directory, "out.tar"), await server.Http.GetByteArrayAsync($"{session}/archive", TestContext.Current.CancellationToken), TestContext.Current.CancellationToken);
        (await RunAsync("tar", "-C", directory, "-xvf", Path.Combine(directory, "out.tar"))).Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(name => !name.Contains('%')).Order(StringComparer.Ordinal).ShouldBe(["a/", "a/b.txt", "made"]);
        await RunAsync("tar", "-C", directory, "-cf", Path.Combine(directory, "in.tar"), "a", "made");
        (await ArchiveAsync(server, $"{session}/archive?path=copy", await File.ReadAllBytesAsync(Path.Combine(directory, "in.tar"), TestContext.Current.CancellationToken), HttpStatusCode.OK)).GetProperty("files_written").GetInt32().ShouldBe(2);
        (await server.GetTextAsync($"{session}/files/copy/a/b.txt")).ShouldBe("inside", "positive control of what follows");

        foreach ((string name, byte[] archive) in await HostileArchivesAsync(directory))
        {
            JsonElement refused = await ArchiveAsync(server, $"{session}/archive", archive, null);
            refused.GetProperty("code").GetString().ShouldBeOneOf(["file_outside_workspace", "file_invalid_path", "file_symlink", "file_not_a_file", "file_too_large", "invalid_archive"], name);
        }

        File.Exists(Path.Combine(server.State, "evil")).ShouldBeFalse();

        // A program's change is seen by whoever watches.
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        using HttpResponseMessage watching = await server.Http.GetAsync($"{session}/watch", HttpCompletionOption.ResponseHeadersRead, stop.Token);
        using var reader = new StreamReader(await watching.Content.ReadAsStreamAsync(stop.Token));
        (await reader.ReadLineAsync(stop.Token)).ShouldBe("event: watching");
        await server.PostAsync($"{session}/execute", """{"code":"open('fresh','w').close()"}""");
        string seen = "";
        while (!seen.Contains("fresh", StringComparison.Ordinal))
        {
            seen = await reader.ReadLineAsync(stop.Token) ?? throw new EndOfStreamException(seen);
        }

        using HttpResponseMessage deleted = await server.Http.DeleteAsync($"{session}/files/made", stop.Token);
        deleted.StatusCode.ShouldBe(HttpStatusCode.NoContent);
        await stop.CancelAsync();

        // B8: the limit of the workspace holds for the API, too.
        using var tooLarge = new HttpRequestMessage(HttpMethod.Put, $"{session}/files/large") { Content = new ByteArrayContent(new byte[9 * 1024 * 1024]) };
        tooLarge.Headers.ExpectContinue = true; // refused before the body is sent, or the connection would break under it
        using HttpResponseMessage large = await server.Http.SendAsync(tooLarge, TestContext.Current.CancellationToken);
        large.StatusCode.ShouldBe(HttpStatusCode.RequestEntityTooLarge);
        JsonElement memory = await server.PostAsync(Sessions, """{"agent_id":"ada","template":"memory"}""", HttpStatusCode.Created);
        await server.GetAsync($"{Sessions}/{memory.GetProperty("session_id").GetString()}/list", HttpStatusCode.Conflict);
        string files = Path.Combine(server.State, "sessions", session.Split('/')[^1]);
        Directory.Exists(files).ShouldBeTrue();
        using HttpResponseMessage ended = await server.Http.DeleteAsync(session, TestContext.Current.CancellationToken);
        await server.WaitForAsync("/api/v1/sandbox/status", _ => !Directory.Exists(files));
    }

    [Fact]
    public async Task Sessions_end_when_they_expire_are_idle_or_the_server_is_restarted_and_their_ids_say_why()
    {
        SandboxRequirement.Require();
        string state = TestServer.NewStatePath();
        var clock = new MovedTime();
        string expired, idle, cut;
        await using (TestServer server = await TestServer.StartAsync(state, options => options with { TimeProvider = clock }))
        {
            expired = await NewAsync(server, """{"agent_id":"ada","ttl_seconds":60,"idle_seconds":3600}""");
            idle = await NewAsync(server, """{"agent_id":"ada","ttl_seconds":3600,"idle_seconds":30}""");
            cut = await NewAsync(server, """{"agent_id":"ada","ttl_seconds":86400,"idle_seconds":86400}""");
            clock.Offset = TimeSpan.FromSeconds(31);
            await server.WaitForAsync($"{Sessions}/{idle}", session => session.GetProperty("state").GetString() == "ended");
            (await server.GetAsync($"{Sessions}/{expired}")).GetProperty("state").GetString().ShouldBe("running");
            clock.Offset = TimeSpan.FromSeconds(62);
            await server.WaitForAsync($"{Sessions}/{expired}", session => session.GetProperty("state").GetString() == "ended");
            (await server.GetAsync($"{Sessions}/{cut}")).GetProperty("state").GetString().ShouldBe("running", "positive control");
        }

        await using (TestServer server = await TestServer.StartAsync(state))
        {
            (await server.GetAsync(Sessions)).GetProperty("sessions").GetArrayLength().ShouldBe(0);
            JsonElement all = await server.GetAsync($"{Sessions}?ended=true");
            all.GetProperty("sessions").EnumerateArray().ToDictionary(session => session.GetProperty("session_id").GetString() ?? "", session => session.GetProperty("end_reason").GetString())
                .ShouldBe(new Dictionary<string, string?> { [expired] = "expired", [idle] = "idle", [cut] = "host_stopped" }, ignoreOrder: true);
        }

        Directory.Delete(state, recursive: true);

        static async Task<string> NewAsync(TestServer server, string body) => (await server.PostAsync(Sessions, body, HttpStatusCode.Created)).GetProperty("session_id").GetString() ?? "";
    }

    private static async Task<TestServer> StartWarmAsync()
    {
        TestServer server = await TestServer.StartAsync(configure: options => options with { WarmSandboxes = 1 });
        await server.WaitForAsync("/api/v1/doctor", report => report.GetProperty("checks").EnumerateArray().Any(check =>
            check.GetProperty("name").GetString() == "sandbox_pool" && check.GetProperty("detail").GetString() == "execute: 1 of 1 wait."));
        return server;
    }

    private static async Task<string> StartAsync(TestServer server, string session, string body)
    {
        JsonElement process = await server.PostAsync($"{session}/processes", body, HttpStatusCode.Accepted);
        return $"{session}/processes/{process.GetProperty("process_id").GetString()}";
    }

    private static async Task InputAsync(TestServer server, string path, string input)
    {
        using HttpResponseMessage response = await server.Http.PostAsync(path, new StringContent(input), TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(HttpStatusCode.NoContent, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    private static async Task PutAsync(TestServer server, string path, string content)
    {
        using HttpResponseMessage response = await server.Http.PutAsync(path, new StringContent(content), TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(HttpStatusCode.OK, await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
    }

    private static async Task<JsonElement> ArchiveAsync(TestServer server, string path, byte[] archive, HttpStatusCode? expected)
    {
        using var content = new ByteArrayContent(archive);
        content.Headers.ContentType = new MediaTypeHeaderValue("application/x-tar");
        using HttpResponseMessage response = await server.Http.PostAsync(path, content, TestContext.Current.CancellationToken);
        string text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        (expected is null ? !response.IsSuccessStatusCode : response.StatusCode == expected).ShouldBeTrue(text);
        return JsonDocument.Parse(text).RootElement.Clone();
    }

    private static async Task<IReadOnlyList<(string Name, byte[] Archive)>> HostileArchivesAsync(string directory)
    {
        string evil = Path.Combine(directory, "evil");
        Directory.CreateDirectory(evil);
        await File.WriteAllTextAsync(Path.Combine(evil, "evil"), "x", TestContext.Current.CancellationToken);
        File.CreateSymbolicLink(Path.Combine(evil, "door"), "/etc");
        List<(string, byte[])> archives = [("garbage", Encoding.ASCII.GetBytes(new string('x', 2048)))];
        foreach ((string name, string[] arguments) in ((string, string[])[])[
            ("parent", ["--transform", "s,^evil$,../evil,", "-P", "evil"]),
            ("absolute", ["--transform", $"s,^evil$,{directory}/../evil,", "-P", "evil"]),
            ("link", ["door"]),
            ("hard link", ["--hard-dereference", "evil", "door"])])
        {
            string path = Path.Combine(directory, "evil.tar");
            await RunAsync("tar", ["-C", evil, "-cf", path, .. arguments]);
            archives.Add((name, await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken)));
        }

        return archives;
    }

    private static async Task<List<(string Event, JsonElement Data)>> EventsAsync(TestServer server, string path)
    {
        string text = await server.GetTextAsync(path);
        return
        [
            .. text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries).Select(entry => entry.Split('\n')).Select(lines => (
                lines.First(line => line.StartsWith("event: ", StringComparison.Ordinal))[7..], JsonDocument.Parse(lines.First(line => line.StartsWith("data: ", StringComparison.Ordinal))[6..]).RootElement.Clone())),
        ];
    }

    private static string Text(IEnumerable<(string Event, JsonElement Data)> events, string stream) =>
        string.Concat(events.Where(entry => entry.Event == stream).Select(entry => Encoding.UTF8.GetString(entry.Data.GetProperty("data").GetBytesFromBase64())));

    private static async Task WaitForOutputAsync(TestServer server, string path, string wanted)
    {
        using HttpResponseMessage response = await server.Http.GetAsync(path, HttpCompletionOption.ResponseHeadersRead, TestContext.Current.CancellationToken);
        using var reader = new StreamReader(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        string seen = "";
        while (!seen.Contains(wanted, StringComparison.Ordinal))
        {
            string line = await reader.ReadLineAsync(TestContext.Current.CancellationToken) ?? throw new EndOfStreamException(seen);
            seen += line.StartsWith("data: {\"number\"", StringComparison.Ordinal) ? Encoding.UTF8.GetString(JsonDocument.Parse(line[6..]).RootElement.GetProperty("data").GetBytesFromBase64()) : "";
        }
    }

    private static async Task<ClientWebSocket> ConnectAsync(TestServer server, string path, string? protocol = null)
    {
        var socket = new ClientWebSocket();
        socket.Options.SetRequestHeader("Authorization", $"Bearer {server.Server.AdminToken}");
        if (protocol is not null)
        {
            socket.Options.AddSubProtocol(protocol);
        }

        await socket.ConnectAsync(new Uri(server.Server.Url.OriginalString.Replace("http://", "ws://", StringComparison.Ordinal).TrimEnd('/') + path), TestContext.Current.CancellationToken);
        return socket;
    }

    private static async Task SendAsync(ClientWebSocket socket, byte channel, string text) =>
        await socket.SendAsync((byte[])[channel, .. Encoding.UTF8.GetBytes(text)], WebSocketMessageType.Binary, true, TestContext.Current.CancellationToken);

    private static async Task<string> ReceiveUntilAsync(ClientWebSocket socket, string wanted)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        string seen = "";
        byte[] buffer = new byte[64 * 1024];
        while (!seen.Contains(wanted, StringComparison.Ordinal))
        {
            WebSocketReceiveResult received = await socket.ReceiveAsync(buffer, patience.Token).ConfigureAwait(true);
            received.MessageType.ShouldBe(WebSocketMessageType.Binary, seen);
            seen += Encoding.UTF8.GetString(buffer.AsSpan(0, received.Count));
        }

        return seen;
    }

    private static async Task<string> RunAsync(string program, params string[] arguments)
    {
        using System.Diagnostics.Process process = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo(program, arguments) { RedirectStandardOutput = true })
            ?? throw new InvalidOperationException(program);
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        process.ExitCode.ShouldBe(0, output);
        return output;
    }
}
