using System.Text;

namespace Rynxs.EndToEndTests.Evidence;

/// <summary><c>rynxs ledger keys | publish | prove | verify-proof | consistency | verify-consistency | redact</c>, as the pages under docs/ show them.</summary>
public sealed class ProofCommandTests : IAsyncLifetime
{
    private readonly TemporaryDirectory _directory = new();
    private string _key = "";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string State => _directory.At("state");

    private string Ledger => _directory.At("state", "ledger");

    public async ValueTask InitializeAsync()
    {
        await LedgerFiles.AppendAsync(Ledger, 20);
        _key = (await RunAsync(0, "keys", "init", "--state", State, "--name", "example.com/rynxs")).Output.Trim();
        await RunAsync(0, "publish", "--state", State);
    }

    public ValueTask DisposeAsync()
    {
        _directory.Dispose();
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task F1_a_proof_is_made_and_verified_by_us_and_by_an_outside_tool_as_the_page_says()
    {
        // docs/formats/transparency.md, "Checking without our code".
        (await RunAsync(0, "keys", "public", "--state", State)).Output.Trim().ShouldBe(_key);
        string proof = _directory.At("record-17.tlog-proof"), record = _directory.At("record-17.json");
        await RunAsync(0, "prove", "--state", State, "--seq", "17", "-o", proof);
        string line = (await File.ReadAllLinesAsync(Path.Combine(Ledger, "control", "records-00000000000000000000.jsonl"), Cancelled))[17];
        await File.WriteAllTextAsync(record, line + "\n", Cancelled);

        await RunAsync(0, "verify-proof", proof, "--key", _key, "--record", record);
        await File.WriteAllTextAsync(_directory.At("pinned"), $"\n{_key}\n", Cancelled);
        (await RunAsync(0, "verify-proof", proof, "--key", "@" + _directory.At("pinned"), "--record", record)).Output.ShouldContain("17");
        string script = Path.Combine(RynxsProgram.Repository, "docs", "formats", "verify_checkpoint.py");
        Finished outside = await RynxsProgram.RunAsync(new Invocation { Program = "/usr/bin/python3", Arguments = [script, _key, proof, record] });
        outside.ExitCode.ShouldBe(0, outside.All);
        outside.Output.ShouldContain("valid: record 17 is among the");

        // Another key, another record, no key at all.
        string other = (await RunAsync(0, "keys", "init", "--keys", _directory.At("other"), "--name", "example.com/rynxs")).Output.Trim();
        (await RunAsync(2, "verify-proof", proof, "--key", other, "--record", record)).Error.ShouldContain("checkpoint_unsigned");
        (await RynxsProgram.RunAsync(new Invocation { Program = "/usr/bin/python3", Arguments = [script, other, proof, record] })).ExitCode.ShouldBe(1);
        await File.WriteAllTextAsync(record, line.Replace("text-", "test-", StringComparison.Ordinal), Cancelled);
        (await RunAsync(2, "verify-proof", proof, "--key", _key, "--record", record)).Error.ShouldContain("event_hash_mismatch");
        await RunAsync(64, "verify-proof", proof, "--record", record);

        // An agent's chain, and growth.
        await RunAsync(0, "prove", "--state", State, "--chain", "agents/rynxs/my-agent", "--seq", "3", "-o", proof);
        string agentLine = (await File.ReadAllLinesAsync(Path.Combine(Ledger, "agents/rynxs/my-agent", "records-00000000000000000000.jsonl"), Cancelled))[3];
        await File.WriteAllTextAsync(record, agentLine, Cancelled);
        await RunAsync(0, "verify-proof", proof, "--key", _key, "--record", record);
        string kept = _directory.At("kept"), growth = _directory.At("growth");
        File.Copy(Path.Combine(Ledger, "control", "tlog", "checkpoint"), kept);
        await LedgerFiles.AppendAsync(Ledger, 3);
        await RunAsync(0, "publish", "--state", State);
        await RunAsync(0, "consistency", "--state", State, "--old", kept, "-o", growth);
        await RunAsync(0, "verify-consistency", growth, "--old", kept, "--key", _key);
        (await RunAsync(2, "verify-consistency", growth, "--old", kept, "--key", other)).Error.ShouldContain("checkpoint_unsigned");
        await File.WriteAllTextAsync(growth, (await File.ReadAllTextAsync(growth, Cancelled)).Replace("old ", "old 1", StringComparison.Ordinal), Cancelled);
        await RunAsync(2, "verify-consistency", growth, "--old", kept, "--key", _key);
    }

    [Fact]
    public async Task Keys_are_listed_rotated_and_exported_without_their_private_part()
    {
        string fresh = (await RunAsync(0, "keys", "rotate", "--state", State, "--overlap", "2h")).Output.Trim();
        (await RunAsync(0, "publish", "--state", State)).Output.Split('\n').Count(line => line.StartsWith("— example.com/rynxs ", StringComparison.Ordinal)).ShouldBe(2);
        foreach (string pin in new[] { _key, fresh })
        {
            await RunAsync(0, "verify", Ledger, "--key", pin);
        }

        Finished list = await RunAsync(0, "keys", "list", "--state", State);
        list.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length.ShouldBe(3);
        Finished pem = await RunAsync(0, "keys", "public", "--pem", "--state", State);
        pem.Output.ShouldStartWith("-----BEGIN PUBLIC KEY-----\n");
        string secret = (await File.ReadAllLinesAsync(Path.Combine(State, "keys", "ledger", "key-0001.pem"), Cancelled))[1];
        foreach (Finished shown in new[] { list, pem })
        {
            shown.All.ShouldNotContain("PRIVATE");
            shown.All.ShouldNotContain(secret[20..]);
        }

        // openssl reads the exported key: a tool that has nothing of ours.
        Finished read = await RynxsProgram.RunAsync(new Invocation { Program = "/usr/bin/openssl", Arguments = ["pkey", "-pubin", "-noout", "-text"], Input = Encoding.ASCII.GetBytes(pem.Output.Split("-----BEGIN")[1].Insert(0, "-----BEGIN")) });
        read.ExitCode.ShouldBe(0, read.All);
        read.Output.ShouldContain("ED25519", Case.Insensitive);
    }

    [Fact]
    public async Task F6_an_erased_text_is_gone_and_chain_proofs_and_replay_stay_valid()
    {
        string proof = _directory.At("before.tlog-proof"), record = _directory.At("record.json");
        string chain = Path.Combine(Ledger, "agents", "rynxs", "my-agent");
        await RunAsync(0, "prove", "--state", State, "--chain", "agents/rynxs/my-agent", "--seq", "6", "-o", proof);
        await File.WriteAllTextAsync(record, (await File.ReadAllLinesAsync(Path.Combine(chain, "records-00000000000000000000.jsonl"), Cancelled))[6], Cancelled);
        string text = Convert.ToBase64String(Encoding.UTF8.GetBytes("text 5"));
        Stored(text).ShouldNotBeEmpty("positive control: it is there before");

        (await RunAsync(0, "redact", "--state", State, "--chain", "agents/rynxs/my-agent", "--record", "6", "--reason", "request 17")).Output.ShouldContain("1 of 1");

        Stored(text).ShouldBeEmpty("no file of the state holds it");
        await RunAsync(0, "publish", "--state", State);
        (await RunAsync(0, "verify", Ledger, "--key", _key)).Output.ShouldContain("1 erasures are recorded");
        await RunAsync(0, "verify-proof", proof, "--key", _key, "--record", record);
        (await RynxsProgram.RunAsync("replay", "--state", State)).ExitCode.ShouldBe(0);
        (await RunAsync(0, "redact", "--state", State, "--chain", "agents/rynxs/my-agent", "--record", "6", "--reason", "again")).Output.ShouldContain("0 of 1");
        await RunAsync(1, "redact", "--state", State, "--chain", "agents/rynxs/other", "--record", "6", "--reason", "x");
        await RunAsync(1, "redact", "--state", State, "--record", "999", "--reason", "x");
        await RunAsync(64, "redact", "--state", State, "--commitment", "sha256:xyz", "--reason", "x");
        await RunAsync(64, "redact", "--state", State, "--record", "1", "--reason", new string('x', 501));
    }

    private string[] Stored(string text) =>
        [.. Directory.EnumerateFiles(State, "*", SearchOption.AllDirectories).Where(file => File.ReadAllBytes(file).AsSpan().IndexOf(Encoding.UTF8.GetBytes(text)) >= 0)];

    private static async Task<Finished> RunAsync(int expected, params string[] arguments)
    {
        Finished finished = await RynxsProgram.RunAsync(["ledger", .. arguments]);
        finished.ExitCode.ShouldBe(expected, $"ledger {string.Join(' ', arguments)}\n{finished.All}");
        finished.Error.ShouldNotContain("   at ");
        return finished;
    }
}
