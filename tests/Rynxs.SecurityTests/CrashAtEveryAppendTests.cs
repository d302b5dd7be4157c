using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Verifier;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.SecurityTests;

/// <summary>
/// The server is killed with SIGKILL right before and right after each append to an agent's chain while the agent does a whole job: a
/// message with two effects and a Task with one. Default: some of the points, spread evenly; <c>RYNXS_SOAK=1</c>: every one.
/// </summary>
public sealed class CrashAtEveryAppendTests
{
    private const int DefaultPoints = 8;
    private const string Ns = "team", Agent = "worker", Message = "job-1", Next = "job-2", Task = "z";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(90);

    [Fact]
    public async Task G4_killed_before_or_after_any_append_a_job_is_answered_once_and_no_effect_happens_twice()
    {
        SandboxRequirement.Require();
        IReadOnlyList<string> job = await AppendsOfJobAsync();
        int appends = job.Count;
        appends.ShouldBeGreaterThan(15, "positive control: the job appends much");
        List<(int At, bool After)> points = [.. Enumerable.Range(1, appends).SelectMany(at => new[] { (at, false), (at, true) })];
        if (Environment.GetEnvironmentVariable("RYNXS_SOAK") != "1")
        {
            // Always between an intent and its outcome: the one place where nobody can know what happened.
            points =
            [
                (1 + job.ToList().IndexOf("ToolIntent"), true),
                .. Enumerable.Range(0, DefaultPoints - 1).Select(i => points[(((2 * i) + 1) * points.Count) / (2 * (DefaultPoints - 1))]),
            ];
        }

        var failures = new List<string>();
        int unknown = 0;
        foreach ((int at, bool after) in points)
        {
            string point = string.Create(CultureInfo.InvariantCulture, $"{(after ? "after" : "before")} append {at} of {appends}");
            string state = TestServer.NewStatePath();
            try
            {
                await CrashAsync(state, at, after);
                await RestartAsync(state);
                unknown += CheckChain(state);
                Directory.Delete(state, recursive: true);
            }
            catch (Exception failure) when (failure is ShouldAssertException or TimeoutException)
            {
                failures.Add($"killed {point} (state kept in {state}): {failure.Message}");
            }
        }

        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{points.Count} crashes, {unknown} unknown outcomes"));
        failures.ShouldBeEmpty();
        unknown.ShouldBeGreaterThan(0, "positive control: a crash fell between an effect and its outcome");
    }

    /// <summary>The job without a crash: the types of what it appends, in order.</summary>
    private static async Task<IReadOnlyList<string>> AppendsOfJobAsync()
    {
        string state = TestServer.NewStatePath();
        await using (TestServer server = await TestServer.StartAsync(state))
        {
            await SubmitAsync(server.Http, state);
            await WaitForAnswersAsync(server, state);
        }

        List<JsonElement> records = Chain(state);
        Effects(state).ShouldBe(["x", "y", "z"], ignoreOrder: true, "positive control: every effect happens when nothing crashes");
        Directory.Delete(state, recursive: true);

        // The ledger's own record and the end of the sandbox at the stop are not of the job.
        return [.. records.Select(Type).Where(type => type is not ("LedgerOpened" or "SandboxEnded"))];
    }

    private static async Task CrashAsync(string state, int at, bool after)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add(Program.HostArgument);
        start.ArgumentList.Add(state);
        start.Environment[CrashingLedger.AtVariable] = at.ToString(CultureInfo.InvariantCulture);
        start.Environment[CrashingLedger.AfterVariable] = after ? "1" : "0";
        using var process = new Process { StartInfo = start };
        process.ErrorDataReceived += (_, _) => { };
        process.Start().ShouldBeTrue();
        process.BeginErrorReadLine();
        string line = await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) ?? throw new InvalidOperationException("the child did not start");
        string[] parts = line.Split(' ');
        using var http = new HttpClient { BaseAddress = new Uri(parts[0]) };
        http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", parts[1]);
        try
        {
            await SubmitAsync(http, state);
        }
        catch (HttpRequestException)
        {
            // Killed already: what is missing is submitted after the restart, as any client would.
        }

        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(Patience);
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill();
            throw new TimeoutException("the child was never killed: the append that was to be the last never came");
        }

        process.ExitCode.ShouldBe(137, "SIGKILL, and nothing else, ended it");
    }

    private static async Task RestartAsync(string state)
    {
        await using TestServer server = await TestServer.StartAsync(state);
        await SubmitAsync(server.Http, state);
        await WaitForAnswersAsync(server, state);
        File.AppendAllText(Path.Combine(Workspace(state), "inbox.jsonl"), $$"""{"id":"{{Next}}","text":"run echo next in sandbox"}""" + "\n");
        JsonElement next = await WaitForAnswerAsync(state, Next, server.Log);
        next.GetProperty("status").GetString().ShouldBe("completed", "the next message is answered");

        JsonElement doctor = await server.GetAsync("/api/v1/doctor");
        doctor.GetProperty("leftovers").EnumerateArray().Select(leftover => leftover.ToString()).ShouldBeEmpty();
        JsonElement task = await server.WaitForTaskAsync(Ns, Task);
        string? phase = task.GetProperty("status").GetProperty("phase").GetString();

        List<JsonElement> outbox = Outbox(state);
        JsonElement[] ofMessage = [.. outbox.Where(line => Id(line) == Message)];
        JsonElement[] ofTask = [.. outbox.Where(line => Id(line)?.StartsWith("task-", StringComparison.Ordinal) == true)];
        ofMessage.Length.ShouldBe(1, "the message is answered exactly once");
        ofTask.Length.ShouldBe(1, "the task is answered exactly once");
        phase.ShouldBe(Status(ofTask[0]) == "completed" ? "Completed" : "Failed", "the object says what the outbox says");

        List<string> effects = Effects(state);
        effects.Count(effect => effect == "x").ShouldBeLessThanOrEqualTo(1);
        effects.Count(effect => effect == "y").ShouldBeLessThanOrEqualTo(1);
        effects.Count(effect => effect == "z").ShouldBeLessThanOrEqualTo(1);
        CheckAnswer(ofMessage[0], effects.Contains("x") && effects.Contains("y"));
        CheckAnswer(ofTask[0], effects.Contains("z"));
    }

    private static void CheckAnswer(JsonElement answer, bool allHappened)
    {
        if (Status(answer) == "completed")
        {
            allHappened.ShouldBeTrue($"completed means that everything was done: {answer}");
        }
        else
        {
            answer.GetProperty("error").GetProperty("code").GetString().ShouldBe("outcome_unknown", answer.ToString());
        }
    }

    /// <summary>Returns how many outcomes are unknown.</summary>
    private static int CheckChain(string state)
    {
        LedgerVerification verification = ChainVerifier.VerifyPath(state, TestContext.Current.CancellationToken);
        verification.Failure.ShouldBeNull();
        List<JsonElement> records = Chain(state);
        ILookup<string, JsonElement> outcomes = records.Where(record => Type(record) == "ToolOutcome").ToLookup(record => Payload(record, "call_id"));
        string[] intents = [.. records.Where(record => Type(record) == "ToolIntent").Select(record => Payload(record, "call_id"))];
        intents.ShouldBeUnique("no call is begun twice");
        foreach (string call in intents)
        {
            outcomes[call].Count().ShouldBe(1, $"{call} has one outcome");
        }

        outcomes.Count.ShouldBe(intents.Length, "an outcome follows an intent");
        string[] started = [.. records.Where(record => Type(record) == "SandboxStarted").Select(record => Payload(record, "sandbox"))];
        string[] ended = [.. records.Where(record => Type(record) == "SandboxEnded").Select(record => Payload(record, "sandbox"))];
        ended.ShouldBe(started, ignoreOrder: true, "every sandbox on the record ended once");
        records.Where(record => Type(record) == "MessageReceived").Select(record => Payload(record, "message_id")).ShouldBeUnique("received once");
        records.Where(record => Type(record) == "MessageAnswered").Select(record => Payload(record, "message_id")).ShouldBeUnique("answered once");
        records.Count(record => Type(record) == "TaskFinished").ShouldBe(1, "the end of the task is recorded once");
        return outcomes.SelectMany(outcome => outcome).Count(outcome => Payload(outcome, "status") == "unknown");
    }

    /// <summary>Submits what is not there yet, so it can be called again after a crash.</summary>
    private static async Task SubmitAsync(HttpClient http, string state)
    {
        await PostAsync(http, "agents", "Agent", Agent, new { role = "sandbox" });
        string inbox = Path.Combine(Workspace(state), "inbox.jsonl");
        long started = TimeProvider.System.GetTimestamp();
        while (!File.Exists(inbox))
        {
            // Asking notices that the server is gone.
            (await http.GetAsync("/livez", TestContext.Current.CancellationToken)).Dispose();
            TimeProvider.System.GetElapsedTime(started).ShouldBeLessThan(Patience, "the workspace never came");
            await System.Threading.Tasks.Task.Delay(20, TestContext.Current.CancellationToken);
        }

        if (!File.ReadAllText(inbox).Contains($"\"{Message}\"", StringComparison.Ordinal))
        {
            File.AppendAllText(
                inbox, $$"""{"id":"{{Message}}","text":"run echo x >> effects in sandbox then run echo y >> effects in sandbox"}""" + "\n");
        }

        await PostAsync(http, "tasks", "Task", Task, new { title = Task, description = "run echo z >> effects in sandbox", assignee = Agent });
    }

    private static async Task PostAsync(HttpClient http, string plural, string kind, string name, object spec)
    {
        string json = JsonSerializer.Serialize(new { apiVersion = "universe.ai/v1alpha1", kind, metadata = new { name, @namespace = Ns }, spec });
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await http.PostAsync(
            $"/apis/universe.ai/v1alpha1/namespaces/{Ns}/{plural}", content, TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBeOneOf(HttpStatusCode.Created, HttpStatusCode.Conflict);
    }

    private static async Task WaitForAnswersAsync(TestServer server, string state)
    {
        await WaitForAnswerAsync(state, Message, server.Log);
        await server.WaitForTaskAsync(Ns, Task);
    }

    /// <summary>Until the answer is in the outbox and its record on the chain.</summary>
    private static async Task<JsonElement> WaitForAnswerAsync(string state, string id, StringWriter log)
    {
        long started = TimeProvider.System.GetTimestamp();
        while (true)
        {
            JsonElement? answer = Outbox(state).Where(line => Id(line) == id).Select(line => (JsonElement?)line).FirstOrDefault();
            if (answer is { } found && Chain(state).Any(record => Type(record) == "MessageAnswered" && Payload(record, "message_id") == id))
            {
                return found;
            }

            if (TimeProvider.System.GetElapsedTime(started) > Patience)
            {
                throw new TimeoutException($"{id} was never answered\n{log}");
            }

            await System.Threading.Tasks.Task.Delay(50, TestContext.Current.CancellationToken);
        }
    }

    private static string Workspace(string state) => Path.Combine(state, "workspaces", Ns, Agent);

    private static List<string> Effects(string state)
    {
        string path = Path.Combine(Workspace(state), "files", "effects");
        return File.Exists(path) ? [.. File.ReadAllLines(path)] : [];
    }

    private static List<JsonElement> Outbox(string state) => Lines(Path.Combine(Workspace(state), "outbox.jsonl"));

    // Whole lines only: the server may be writing.
    private static List<JsonElement> Chain(string state) =>
        [.. Directory.EnumerateFiles(Path.Combine(state, "ledger", "agents", Ns, Agent), "records-*.jsonl").Order(StringComparer.Ordinal).SelectMany(Lines)];

    private static List<JsonElement> Lines(string path)
    {
        if (!File.Exists(path))
        {
            return [];
        }

        using var file = new StreamReader(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
        string text = file.ReadToEnd();
        return [.. text[..(text.LastIndexOf('\n') + 1)].Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
    }

    private static string? Id(JsonElement line) => line.TryGetProperty("id", out JsonElement id) ? id.GetString() : null;

    private static string Status(JsonElement line) => line.GetProperty("status").GetString() ?? "";

    private static string Type(JsonElement record) => record.GetProperty("event").GetProperty("type").GetString() ?? "";

    private static string Payload(JsonElement record, string name) =>
        record.GetProperty("event").GetProperty("payload").TryGetProperty(name, out JsonElement value) ? value.ToString() : "";
}
