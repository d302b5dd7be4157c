using System.Net;
using System.Text;
using System.Text.Json;
using Rynxs.Resources.Identity;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Identity;

/// <summary>What an answer does not tell, the audit knows; and the key of the Secrets is an administrator's.</summary>
public sealed class HiddenRequestTests(TlsServer shared) : IClassFixture<TlsServer>
{
    private TestServer Server => shared.Server;

    [Fact]
    public async Task D8_a_404_that_hides_something_is_recorded_as_a_denial_and_a_404_of_what_is_not_there_is_none()
    {
        using HttpClient ada = Server.ClientFor("user:ada-hidden", Role.Developer, "team-a");
        using HttpClient bea = Server.ClientFor("user:bea-sees-all", Role.Auditor);

        await Server.GetAsync("/apis/universe.ai/v1alpha1/namespaces/team-b/agents/x", HttpStatusCode.NotFound, ada);
        await Server.GetAsync("/api/v1/namespaces/team-b/agents/x/logs", HttpStatusCode.NotFound, ada);
        await Server.GetAsync("/apis/universe.ai/v1alpha1/namespaces/team-b/agents/x", HttpStatusCode.NotFound, bea);
        await Server.GetAsync("/apis/universe.ai/v1alpha1/namespaces/team-b/agents", HttpStatusCode.NotFound, ada);
        // The last denial is in the ledger after all before it.
        await Server.PostAsync("/api/v1/secret-keys/rotate", "", HttpStatusCode.Forbidden, bea);

        string[] records = await DenialsAsync(until: "user:bea-sees-all");
        records.Count(record => record.Contains("user:ada-hidden", StringComparison.Ordinal) && record.Contains("\"invisible\"", StringComparison.Ordinal)).ShouldBe(3);
        records.Count(record => record.Contains("user:bea-sees-all", StringComparison.Ordinal)).ShouldBe(1, "what is not there for one who sees everything was not denied");
        (await Server.GetTextAsync("/metrics")).ShouldContain("rynxs_requests_denied_total{reason=\"invisible\"} 3");
    }

    [Fact]
    public async Task G7_an_administrator_of_every_namespace_exchanges_the_key_of_the_secrets_and_nobody_else()
    {
        using HttpClient some = Server.ClientFor("user:admin-of-one", Role.Admin, "team-a");
        using HttpClient operates = Server.ClientFor("user:operates", Role.Operator);
        await Server.PostAsync("/api/v1/secret-keys/rotate", "", HttpStatusCode.Forbidden, some);
        await Server.GetAsync("/api/v1/secret-keys", HttpStatusCode.Forbidden, operates);
        await Server.PostAsync("/api/v1/namespaces/team-a/secrets", """{"apiVersion":"v1","kind":"Secret","metadata":{"name":"kept"},"data":{"k":"c2VjcmV0"}}""", HttpStatusCode.Created);
        string before = (await Server.GetAsync("/api/v1/secret-keys")).GetProperty("key_id").GetString().ShouldNotBeNull();

        JsonElement begun = await Server.PostAsync("/api/v1/secret-keys/rotate", "", HttpStatusCode.Accepted);

        begun.GetProperty("key_id").GetString().ShouldNotBe(before);
        await Server.WaitForAsync("/api/v1/secret-keys", status => !status.GetProperty("exchanging").GetBoolean() && status.GetProperty("left").GetInt64() == 0);
        (await Server.GetAsync("/api/v1/namespaces/team-a/secrets/kept")).GetProperty("data").GetProperty("k").GetString().ShouldBe("c2VjcmV0");
    }

    private async Task<string[]> DenialsAsync(string until)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(30));
        while (true)
        {
            string[] found =
            [
                .. Directory.EnumerateFiles(Path.Combine(Server.State, "ledger"), "*.jsonl", SearchOption.AllDirectories)
                    .SelectMany(Lines).Where(line => line.Contains("RequestDenied", StringComparison.Ordinal)),
            ];
            if (found.Any(record => record.Contains(until, StringComparison.Ordinal)))
            {
                return found;
            }

            await Task.Delay(20, patience.Token);
        }
    }

    private static string[] Lines(string file)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return reader.ReadToEnd().Split('\n');
    }
}
