using System.Net;
using System.Text.Json;
using Rynxs.Ledger;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Witnessing;
using Rynxs.Server.Tests.Kit;
using Rynxs.Server.Transparency;
using Rynxs.Server.Witness;

namespace Rynxs.Server.Tests.Transparency;

/// <summary>Each alarm is made to happen, and shows where docs/operations/evidence.md says that it does.</summary>
public sealed class AlarmTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string State => _directory.At("state");

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task F1_a_witness_that_saw_more_is_an_alarm_and_a_changed_policy_is_followed_while_running()
    {
        using KeyDirectory logKeys = KeyDirectory.Create(Path.Combine(Directory.CreateDirectory(State).FullName, "keys", "ledger"), "test.example/log", NoteSignatureType.Ed25519, TimeProvider.System);
        using KeyDirectory witnessKeys = KeyDirectory.Create(_directory.At("witness-keys"), "w1.example/w", NoteSignatureType.CosignatureV1, TimeProvider.System);
        await using WitnessServer witness = await WitnessServer.StartAsync(
            new WitnessServerOptions
            {
                Listen = "127.0.0.1:0", LogWriter = TextWriter.Null,
                Witness = new WitnessOptions
                {
                    Directory = _directory.At("witness"), Keys = witnessKeys, Logs = [new WitnessedLog("test.example/log", [logKeys.Keys[0].PublicKey])],
                },
            },
            Cancelled);
        await File.WriteAllTextAsync(_directory.At("policy"), $"log {logKeys.Keys[0].PublicKey}\nquorum none\n", Cancelled);
        string withWitness = $"log {logKeys.Keys[0].PublicKey}\nwitness w1 {witnessKeys.Keys[0].PublicKey} {witness.Url}\nquorum w1\n";
        await using (TestServer server = await StartAsync())
        {
            (await server.GetTextAsync("/metrics")).ShouldNotContain("rynxs_witness_outcome{");
            await File.WriteAllTextAsync(_directory.At("policy"), withWitness, Cancelled);
            await server.WaitForAsync("/api/v1/ledger/log", log => log.GetProperty("witnesses").EnumerateArray().Any(one => one.GetProperty("state").GetString() == "cosigned"));
            string outcomes = string.Concat((await server.GetTextAsync("/metrics")).Split('\n').Where(line => line.Contains("witness", StringComparison.Ordinal)).Select(line => line + "\n"));
            outcomes.Split("TYPE rynxs_witness_outcome gauge")[^1].ShouldContain("rynxs_witness_outcome{outcome=\"cosigned\",witness=\"w1.example/w\"} 1\n");

            // A policy that cannot be read changes nothing, and is told.
            await File.WriteAllTextAsync(_directory.At("policy"), "nonsense\n", Cancelled);
            await WaitForMetricAsync(server, "rynxs_ledger_settings_failing 1\n");
            await File.WriteAllTextAsync(_directory.At("policy"), withWitness, Cancelled);
            await WaitForMetricAsync(server, "rynxs_ledger_settings_failing 0\n");
            await WaitForMetricAsync(server, "rynxs_witness_quorum_met 1\n");
            await server.PostAsync("/api/v1/namespaces", """{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"more"}}""", HttpStatusCode.Created);
            await server.WaitForAsync("/api/v1/ledger/log", log => log.GetProperty("uncovered").GetInt64() == 0 && log.GetProperty("quorum_met").GetBoolean());
        }

        // Somebody begins the ledger anew and signs it with the right key.
        Directory.Delete(Path.Combine(State, "ledger"), recursive: true);
        Directory.GetFiles(State, "objects*").ToList().ForEach(File.Delete);
        await using (TestServer forged = await StartAsync(interval: 3600))
        {
            await forged.WaitForAsync("/api/v1/ledger/log", _ => true);
            using KeyDirectory touched = KeyDirectory.Open(Path.Combine(State, "keys", "ledger"));
            touched.Rotate(TimeSpan.FromHours(1), TimeProvider.System); // Makes it publish at once, before it has as many records as the witness saw.
            await WaitForMetricAsync(forged, "rynxs_witness_quorum_met 0\n");
            JsonElement log = await forged.WaitForAsync("/api/v1/ledger/log", answer => answer.GetProperty("witnesses").GetArrayLength() == 1);
            log.GetProperty("witnesses")[0].GetProperty("state").GetString().ShouldBeOneOf("ahead", "refused");
            await WaitForEvidenceAsync(forged, "1 witnesses do not accept the log");
            forged.Log.ToString().ShouldContain("does not accept this log as the one that it knows");
        }
    }

    [Fact]
    public async Task B_a_server_whose_ledger_was_taken_over_is_not_ready_and_says_why()
    {
        await using TestServer server = await StartAsync(ledgerOnly: true);
        (await server.GetTextAsync("/metrics")).ShouldContain("rynxs_ledger_fenced 0\n");
        await using (FileLedger other = await FileLedger.OpenAsync(
            new FileLedgerOptions { Directory = Path.Combine(State, "ledger"), TakeOver = true }, Cancelled))
        {
            await other.OpenAsync(ChainId.Control, new ChainOptions(), Cancelled);
            await server.PostAsync("/api/v1/namespaces", """{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"late"}}""", HttpStatusCode.InsufficientStorage);
            JsonElement ready = await ReadyAsync(server, checks => Check(checks, "ledger") is { } ledger && !ledger.GetProperty("ok").GetBoolean());
            Check(ready, "ledger")!.Value.GetProperty("detail").GetString().ShouldBe("Another writer has taken the ledger over.");
            ready.GetProperty("status").GetString().ShouldBe("not_ready");
            string metrics = await server.GetTextAsync("/metrics");
            metrics.ShouldContain("rynxs_ledger_fenced 1\n");
            metrics.ShouldContain("rynxs_ledger_writable 0\n");
            metrics.ShouldNotContain("rynxs_ledger_append_failures_total{reason=\"fenced\"} 0\n");
        }
    }

    private Task<TestServer> StartAsync(int interval = 1, bool ledgerOnly = false) => TestServer.StartAsync(
        State,
        options => options with
        {
            WarmSandboxes = 0,
            Transparency = new TransparencyOptions { IntervalSeconds = interval, WitnessPolicyPath = ledgerOnly ? null : _directory.At("policy") },
        });

    private static async Task WaitForMetricAsync(TestServer server, string line) =>
        await server.WaitForAsync("/api/v1/ledger/log", _ => server.GetTextAsync("/metrics").GetAwaiter().GetResult().Contains(line, StringComparison.Ordinal));

    private static Task<JsonElement> WaitForEvidenceAsync(TestServer server, string detail) => ReadyAsync(
        server, answer => Check(answer, "evidence") is { } evidence && (evidence.GetProperty("detail").GetString() ?? "").Contains(detail, StringComparison.Ordinal));

    /// <summary>Asks /readyz, whatever its status, until the answer holds.</summary>
    private static async Task<JsonElement> ReadyAsync(TestServer server, Func<JsonElement, bool> holds)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        while (true)
        {
            using HttpResponseMessage response = await server.Http.GetAsync("/readyz", patience.Token);
            JsonElement answer = JsonElement.Parse(await response.Content.ReadAsStringAsync(patience.Token));
            if (holds(answer))
            {
                return answer;
            }

            await Task.Delay(100, patience.Token);
        }
    }

    private static JsonElement? Check(JsonElement readiness, string name)
    {
        foreach (JsonElement check in readiness.GetProperty("checks").EnumerateArray().Where(check => check.GetProperty("name").GetString() == name))
        {
            return check;
        }

        return null;
    }
}
