using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Files;
using Rynxs.Server.Audit;
using Rynxs.Server.State;

namespace Rynxs.Server.Tests.Audit;

public sealed class CredentialDisclosuresTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_disclosure_is_on_the_agents_chain_by_name_and_one_that_cannot_be_recorded_is_refused()
    {
        FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory.At("ledger") }, Cancelled);
        var chains = new AgentChains(ledger, new AgentWorkspaces(_directory.At("workspaces")));
        var disclosures = new CredentialDisclosures(chains);
        var disclosure = new Disclosure("rynxs", "my-agent", "secret rynxs/openai", "api.example.test:443", "model call", "allow-openai", "call-1");

        await disclosures.RecordAsync(disclosure, "agent:rynxs/my-agent", Cancelled);
        await Should.ThrowAsync<ArgumentException>(() => disclosures.RecordAsync(disclosure with { Credential = new string('k', 513) }, "x", Cancelled));
        await Should.ThrowAsync<ArgumentException>(() => disclosures.RecordAsync(disclosure with { Purpose = "" }, "x", Cancelled));

        ILedgerChain chain = await chains.OpenAsync("rynxs", "my-agent", Cancelled);
        List<LedgerRecord> records = [];
        await foreach (LedgerRecord record in chain.ReadAsync(0, Cancelled))
        {
            records.Add(record);
        }

        LedgerRecord written = records.Where(record => record.Type == nameof(CredentialDisclosed)).ShouldHaveSingleItem();
        written.Payload.GetProperty("recipient").GetString().ShouldBe("api.example.test:443");
        written.Payload.GetProperty("call_id").GetString().ShouldBe("call-1");
        await ledger.DisposeAsync();
        await Should.ThrowAsync<Exception>(() => disclosures.RecordAsync(disclosure, "agent:rynxs/my-agent", Cancelled)); // Fail closed: the caller keeps the credential.
    }
}
