using System.Net;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Verifier;
using Rynxs.Resources.Identity;
using Rynxs.Server.Tests.Kit;
using Rynxs.Server.Transparency;

namespace Rynxs.Server.Tests.Transparency;

/// <summary>A text is erased while the server works: gone from every file, with chain, proofs and later records sound.</summary>
public sealed class RedactionTests
{
    private const string Execute = "/api/v1/sandbox/execute";
    private const string Redact = "/api/v1/ledger/redact";

    [Fact]
    public async Task F6_a_text_erased_while_the_server_works_is_in_no_file_and_everything_still_verifies()
    {
        SandboxRequirement.Require();
        string state = TestServer.NewStatePath();
        await using (TestServer server = await TestServer.StartAsync(
            state, options => options with { RecordSessions = true, WarmSandboxes = 1, Transparency = new TransparencyOptions { IntervalSeconds = 1 } }))
        {
            await server.PostAsync(Execute, """{"agent_id":"subject","code":"print('personal' + '-' + 'datum')"}""");
            await server.PostAsync(Execute, """{"agent_id":"subject","code":"print('kept' + '-' + 'text')"}""");
            string chain = Path.Combine(state, "ledger", "agents", "rynxs", "subject");
            string ns = Directory.GetDirectories(Path.Combine(state, "ledger", "agents")).Select(Path.GetFileName).Single(name => Directory.Exists(Path.Combine(state, "ledger", "agents", name ?? "", "subject"))) ?? "";
            chain = Path.Combine(state, "ledger", "agents", ns, "subject");
            JsonElement[] records = [.. Directory.GetFiles(chain, "records-*.jsonl").SelectMany(File.ReadLines).Select(line => JsonElement.Parse(line))];
            long[] ofTheFirst = Records(records, 0);
            Holding(state, "'personal' + '-' + 'datum'").ShouldNotBeEmpty("positive control: the program is there before");
            Holding(state, "personal-datum").ShouldNotBeEmpty("positive control: so is its output, in the recording");

            // A live interpreter's output is recorded as well, call by call.
            string session = (await server.PostAsync("/api/v1/sandbox/sessions", """{"agent_id":"subject"}""", HttpStatusCode.Created)).GetProperty("session_id").GetString() ?? "";
            await server.PostAsync($"/api/v1/sandbox/sessions/{session}/execute", """{"code":"x = 'of-the' + '-session'\nprint(x)","keep_state":true}""");
            Directory.GetFiles(Path.Combine(state, "recordings", ns, "subject"), "*.cast").ShouldContain(file => File.ReadAllText(file).Contains("of-the-session", StringComparison.Ordinal));

            // Others may not, and a mistake erases nothing.
            using HttpClient auditor = server.ClientFor("user:aud", Role.Auditor), limited = server.ClientFor("user:adm", Role.Admin, "team-a");
            string body = $$"""{"chain":"agents/{{ns}}/subject","reason":"request 17","records":[{{string.Join(',', ofTheFirst)}}]}""";
            await server.PostAsync(Redact, body, HttpStatusCode.Forbidden, auditor);
            await server.PostAsync(Redact, body, HttpStatusCode.NotFound, limited);
            await server.PostAsync(Redact, body.Replace("\"records\":[", "\"records\":[999999,", StringComparison.Ordinal), HttpStatusCode.UnprocessableEntity);
            await server.PostAsync(Redact, body.Replace("request 17", "", StringComparison.Ordinal), HttpStatusCode.UnprocessableEntity);
            Holding(state, "personal-datum").ShouldNotBeEmpty();

            JsonElement answer = await server.PostAsync(Redact, body);

            answer.GetProperty("erased").GetInt32().ShouldBeGreaterThan(0);
            answer.GetProperty("recordings").GetInt32().ShouldBe(1);
            Holding(state, "personal").ShouldBeEmpty("no file of the state holds it: no blob, no recording, no draft, no mirror");
            Holding(state, "'kept' + '-' + 'text'").ShouldNotBeEmpty("the others stay");

            // The blob file was written anew under the writer: what comes later is found, too.
            await server.PostAsync(Execute, """{"agent_id":"subject","code":"print('later' + '-' + 'text')"}""");
            Holding(state, "'later' + '-' + 'text'").ShouldNotBeEmpty();
            await server.WaitForAsync("/api/v1/ledger/log", log => log.GetProperty("uncovered").GetInt64() == 0);
            (await server.PostAsync(Redact, body)).GetProperty("erased").GetInt32().ShouldBe(0, "again: recorded, and nothing was left to erase");
        }

        LedgerVerification verified = ChainVerifier.VerifyPath(state, TestContext.Current.CancellationToken);
        verified.Failure.ShouldBeNull();
        verified.Chains.Sum(one => one.BlobsErased).ShouldBeGreaterThan(0);

        // And over a restart, which opens the files again.
        await using (TestServer again = await TestServer.StartAsync(state, options => options with { WarmSandboxes = 0 }))
        {
            Holding(state, "personal").ShouldBeEmpty();
        }

        Directory.Delete(state, recursive: true);
    }

    /// <summary>The records with texts of the n-th call.</summary>
    private static long[] Records(JsonElement[] records, int call)
    {
        string[] calls = [.. records.Select(record => record.GetProperty("event").GetProperty("payload")).Where(payload => payload.TryGetProperty("call_id", out _))
            .Select(payload => payload.GetProperty("call_id").GetString() ?? "").Distinct()];
        return
        [
            .. records.Select(record => record.GetProperty("event"))
                .Where(record => record.GetProperty("payload").TryGetProperty("call_id", out JsonElement id) && id.GetString() == calls[call]
                    && record.GetProperty("payload").GetRawText().Contains("\"commitment\"", StringComparison.Ordinal))
                .Select(record => record.GetProperty("seq").GetInt64()),
        ];
    }

    /// <summary>Files of the state directory with a text: as it is, in base64 at any of its three alignments, or escaped as JSON.</summary>
    private static string[] Holding(string state, string text)
    {
        byte[] plain = Encoding.UTF8.GetBytes(text);
        byte[][] forms =
        [
            plain,
            Encoding.UTF8.GetBytes(JsonSerializer.Serialize(text).Trim('"')),
            .. Enumerable.Range(0, 3).Select(shift => Encoding.ASCII.GetBytes(Convert.ToBase64String([.. new byte[shift], .. plain])[(shift == 0 ? 0 : 4)..^4])),
        ];
        return [.. Directory.EnumerateFiles(state, "*", SearchOption.AllDirectories)
            .Where(file => !file.StartsWith(Path.Combine(state, "egress") + "/", StringComparison.Ordinal)) // Sockets.
            .Where(file => !file.EndsWith("lock", StringComparison.OrdinalIgnoreCase)) // Held by the server; at most a process id is in them.
            .Where(file => Content(file) is { Length: > 0 } content && forms.Any(form => content.AsSpan().IndexOf(form) >= 0))];
    }

    /// <summary>Without the advisory lock of .NET's readers: the server's own locks lie among these files.</summary>
    private static byte[] Content(string file)
    {
        try
        {
            using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var content = new MemoryStream();
            stream.CopyTo(content);
            return content.ToArray();
        }
        catch (FileNotFoundException)
        {
            return []; // A draft or probe that was there a moment ago.
        }
    }
}
