using System.Text.Json.Nodes;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Tests.Replay;

/// <summary>Pointers of decisions, with the errors in the words of the original.</summary>
public sealed class PointerCheckTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public void Pointers_of_the_demonstration_log_are_valid()
    {
        PointerReport report = Check(Logs.DemoV1);

        (report.Valid, report.Checked).ShouldBe((true, 1));
    }

    [Theory]
    [InlineData("trigger_event_seq", "null", "missing trigger_event_seq")]
    [InlineData("trigger_event_seq", "77", "trigger_seq not found")]
    [InlineData("trigger_event_seq", "-1", "trigger_seq not found")]
    [InlineData("trigger_event_hash", "\"00\"", "trigger_event_hash mismatch")]
    [InlineData("trigger_event_type", "\"TaskStarted\"", "trigger_event_type mismatch")]
    [InlineData("trigger_spec_hash", "\"ffffffffffffffff\"", "trigger_spec_hash mismatch")]
    [InlineData("trigger_spec_hash", "null", null)]
    public void A_pointer_that_does_not_fit_is_named(string field, string value, string? error)
    {
        var log = new ChainBuilder();
        log.Open().Observe("ns/a");
        var payload = new JsonObject
        {
            ["agent_id"] = "ns/a", ["trigger_event_seq"] = log.Seq, ["trigger_event_hash"] = log.LastHash, ["trigger_event_type"] = "AgentObserved",
            ["trigger_spec_hash"] = "0123456789abcdef", ["actions"] = new JsonArray(), ["actions_hash"] = "", ["action_ids"] = new JsonArray(),
        };
        payload[field] = JsonNode.Parse(value);
        log.Add("ActionsDecided", payload);

        PointerReport report = Check(log.Lines);

        report.Failure?.Error.ShouldBe(error);
        report.Valid.ShouldBe(error is null);
        report.Checked.ShouldBe(1);
    }

    [Fact]
    public void A_pointer_to_a_record_that_is_no_observation_is_resolved_in_the_log()
    {
        var log = new ChainBuilder();
        log.Open();
        string hash = log.LastHash;
        log.Observe("ns/a").Add("ActionsDecided", new JsonObject
        {
            ["agent_id"] = "ns/a", ["trigger_event_seq"] = 0, ["trigger_event_hash"] = hash, ["trigger_event_type"] = "LedgerOpened", ["actions"] = new JsonArray(),
            ["actions_hash"] = "", ["action_ids"] = new JsonArray(),
        });

        Check(log.Lines).Valid.ShouldBeTrue();
    }

    [Fact]
    public void F1_A_broken_chain_fails_the_pointers_in_the_words_of_the_original()
    {
        List<string> lines = [.. Logs.DemoV1];
        lines[4] = lines[4].Replace("CREATED", "PATCHED", StringComparison.Ordinal);

        PointerFailure failure = Check(lines).Failure.ShouldNotBeNull();

        (failure.Error, failure.Seq).ShouldBe(("event_hash mismatch", 4));
    }

    private static PointerReport Check(IEnumerable<string> lines)
    {
        using var directory = new TemporaryDirectory();
        return PointerCheck.Run(LogSource.Open(Logs.Write(directory, lines)), new ReplayEnd.Head(), Stop);
    }
}
