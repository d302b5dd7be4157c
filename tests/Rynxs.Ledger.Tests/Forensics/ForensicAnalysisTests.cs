using System.Text.Json.Nodes;
using Rynxs.Ledger.Forensics;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Tests.Forensics;

/// <summary>Each finding with a log that shows it and one that does not.</summary>
public sealed class ForensicAnalysisTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly ChainBuilder _log = new();

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void An_ordinary_log_is_clean()
    {
        _log.Open().Observe("ns/a").Decide("ns/a", "EnsureWorkspace", "EnsureImage").Applied("ns/a", "EnsureWorkspace").Failed("ns/a", "EnsureImage")
            .Applied("ns/a", "EnsureImage").Intent("c1").Outcome("c1");
        _log.Epoch = 2;
        _log.Open().Observe("ns/a", "fedcba9876543210").Decide("ns/a", "EnsureWorkspace").Applied("ns/a", "EnsureWorkspace");

        ForensicReport report = Analyse();

        report.Findings.ShouldBeEmpty();
        report.Clean.ShouldBeTrue();
        report.Chains.ShouldHaveSingleItem().Epochs.Select(epoch => epoch.Epoch).ShouldBe([1, 2]);
    }

    [Theory]
    [InlineData("older")]
    [InlineData("twice")]
    [InlineData("writers")]
    public void Epoch_overlap_is_found(string how)
    {
        _log.Writer = "w-1";
        _log.Open().Intent("c1").Outcome("c1");
        switch (how)
        {
            case "older":
                _log.Epoch = 2;
                _log.Open();
                _log.Epoch = 1;
                _log.Intent("c2").Outcome("c2");
                break;
            case "twice":
                _log.Open();
                break;
            default:
                _log.Writer = "w-2";
                _log.Intent("c2").Outcome("c2");
                break;
        }

        Finding found = Analyse().Findings.ShouldHaveSingleItem();
        (found.Kind, found.Severity).ShouldBe((FindingKind.EpochOverlap, FindingSeverity.Error));
    }

    [Fact]
    public void A_change_of_writer_with_a_new_epoch_is_no_overlap()
    {
        _log.Writer = "w-1";
        _log.Open();
        (_log.Writer, _log.Epoch) = ("w-2", 2);
        _log.Open().Intent("c1").Outcome("c1");

        Analyse().Findings.ShouldBeEmpty();
    }

    [Fact]
    public void The_fencing_token_of_the_original_counts_as_an_epoch()
    {
        string[] lines = [TokenLine(0, 1, Logs.Genesis, out string first), TokenLine(1, 2, first, out string second), TokenLine(2, 1, second, out _)];

        Analyse(Logs.Write(_directory, lines)).Findings.ShouldContain(finding => finding.Kind == FindingKind.EpochOverlap && finding.LastSeq == 2);
    }

    [Fact]
    public void A_fenced_writer_is_found()
    {
        _log.Open();
        Analyse().Findings.ShouldBeEmpty();
        _log.Add("WriterFenced", new JsonObject { ["writer"] = "old", ["epoch"] = 1, ["current_epoch"] = 2, ["attempted"] = "append" });

        Single(FindingKind.WriterFenced, FindingSeverity.Warning).Summary.ShouldContain("'old'");
    }

    [Fact]
    public void F5_A_clock_that_goes_back_is_found_and_the_order_of_records_is_not_doubted()
    {
        _log.Open().Intent("c1").After(TimeSpan.FromMinutes(-3)).Outcome("c1");

        Single(FindingKind.TimeBackwards, FindingSeverity.Warning).Summary.ShouldContain("0.00:02:59");
    }

    [Fact]
    public void A_long_silence_is_found_and_one_between_two_openings_is_not()
    {
        _log.Open().Intent("c1").Outcome("c1").After(TimeSpan.FromHours(2)).Intent("c2").Outcome("c2");
        Single(FindingKind.TimeGap, FindingSeverity.Info);

        var other = new ChainBuilder();
        other.Open().After(TimeSpan.FromHours(9));
        other.Epoch = 2;
        other.Open();
        Analyse(Logs.Write(_directory, other.Lines, "other.jsonl")).Findings.ShouldBeEmpty();
    }

    [Fact]
    public void F3_An_intent_without_outcome_is_an_error_when_its_writer_is_gone()
    {
        _log.Open().Intent("c1");
        Single(FindingKind.IntentWithoutOutcome, FindingSeverity.Info);
        _log.Epoch = 2;
        _log.Open();

        Single(FindingKind.IntentWithoutOutcome, FindingSeverity.Error).FirstSeq.ShouldBe(1);
    }

    [Fact]
    public void F3_An_intent_without_outcome_is_an_error_when_the_chain_went_on()
    {
        _log.Open().Intent("c1").After(TimeSpan.FromMinutes(20)).Intent("c2").Outcome("c2");

        Single(FindingKind.IntentWithoutOutcome, FindingSeverity.Error);
    }

    [Fact]
    public void F2_An_outcome_that_nothing_announced_is_an_error()
    {
        _log.Open().Outcome("c1");

        Single(FindingKind.OutcomeWithoutIntent, FindingSeverity.Error);
    }

    [Fact]
    public void F3_An_outcome_of_unknown_result_is_found()
    {
        _log.Open().Intent("c1").Outcome("c1", "unknown");

        Single(FindingKind.OutcomeUnknown, FindingSeverity.Warning);
    }

    [Fact]
    public void A_decision_without_results_is_found_and_a_replaced_one_is_not()
    {
        _log.Open().Observe("ns/a").Decide("ns/a", "EnsureWorkspace");
        Single(FindingKind.DecisionWithoutResult, FindingSeverity.Info);

        _log.After(TimeSpan.FromHours(0.5)).Observe("ns/a", "1111111111111111");
        Single(FindingKind.DecisionWithoutResult, FindingSeverity.Error);

        _log.Decide("ns/a", "EnsureImage").Applied("ns/a", "EnsureImage");
        Analyse().Findings.ShouldBeEmpty();
    }

    [Fact]
    public void An_action_that_is_in_effect_needs_no_new_result()
    {
        _log.Open().Observe("ns/a").Decide("ns/a", "EnsureWorkspace").Applied("ns/a", "EnsureWorkspace");
        _log.Observe("ns/a", "1111111111111111").Decide("ns/a", "EnsureWorkspace", "EnsureImage").Applied("ns/a", "EnsureImage").After(TimeSpan.FromMinutes(30)).Intent("c").Outcome("c");

        Analyse().Findings.ShouldBeEmpty();
    }

    [Fact]
    public void A_burst_of_refusals_is_one_finding_and_slow_ones_are_none()
    {
        _log.Open();
        Denied(19, TimeSpan.FromSeconds(1));
        Analyse().Findings.ShouldBeEmpty();
        Denied(10, TimeSpan.FromSeconds(1));
        Single(FindingKind.DeniedBurst, FindingSeverity.Warning).Summary.ShouldStartWith("29 refusals");

        var slow = new ChainBuilder();
        slow.Open();
        for (int number = 0; number < 60; number++)
        {
            slow.After(TimeSpan.FromSeconds(10)).Add("RequestDenied", new JsonObject { ["verb"] = "get", ["resource"] = "agents", ["reason"] = "forbidden" });
        }

        Analyse(Logs.Write(_directory, slow.Lines, "slow.jsonl")).Findings.ShouldBeEmpty();
    }

    [Fact]
    public void A_record_that_stands_for_many_refusals_is_a_burst_by_itself()
    {
        _log.Open().Add("RequestDenied", new JsonObject { ["verb"] = "get", ["resource"] = "agents", ["reason"] = "forbidden", ["count"] = 500 });

        Single(FindingKind.DeniedBurst, FindingSeverity.Warning).Summary.ShouldStartWith("500 refusals");
    }

    [Fact]
    public void A_chain_that_was_never_anchored_is_found_and_an_anchored_one_is_not()
    {
        ChainBuilder agent = AgentChain(3);
        _log.Open();
        AnalyseLedger(agent).Findings.ShouldHaveSingleItem().Kind.ShouldBe(FindingKind.ChainWithoutAnchor);

        Anchor(agent.Lines.Count, agent.LastHash);
        AnalyseLedger(agent).Findings.ShouldBeEmpty();
    }

    [Fact]
    public void F1_A_chain_that_is_shorter_or_other_than_its_anchor_is_an_error()
    {
        ChainBuilder agent = AgentChain(3);
        _log.Open();
        Anchor(agent.Lines.Count, agent.LastHash);

        AnalyseLedger(AgentChain(2)).Findings.ShouldHaveSingleItem().Summary.ShouldContain("cut off");
        var other = AgentChain(3, principal: "mallory");
        Finding found = AnalyseLedger(other).Findings.ShouldHaveSingleItem();
        (found.Kind, found.Severity).ShouldBe((FindingKind.AnchorMismatch, FindingSeverity.Error));
    }

    [Fact]
    public void F1_A_broken_chain_is_an_error_and_ends_the_look()
    {
        _log.Open().Intent("c1").Outcome("c1");
        string[] lines = [.. _log.Lines];
        lines[1] = lines[1].Replace("\"c1\"", "\"c2\"", StringComparison.Ordinal);

        ForensicReport report = Analyse(Logs.Write(_directory, lines));

        report.Findings.ShouldContain(finding => finding.Kind == FindingKind.ChainBroken && finding.FirstSeq == 1);
        report.Clean.ShouldBeFalse();
    }

    [Fact]
    public void A_decision_with_a_false_pointer_is_an_error()
    {
        _log.Open().Observe("ns/a").Intent("c").Outcome("c").Decide("ns/a", "EnsureImage").Applied("ns/a", "EnsureImage");

        Single(FindingKind.DecisionPointer, FindingSeverity.Error);
    }

    [Fact]
    public void Torn_tails_violations_unknown_types_and_malformed_payloads_are_named()
    {
        _log.Add("LedgerOpened", new JsonObject { ["epoch"] = 1, ["torn_bytes"] = 12, ["torn_sha256"] = "00" });
        _log.Add("SandboxViolation", new JsonObject
        {
            ["violation_id"] = "v", ["sandbox"] = "s", ["violation_type"] = "forbidden_syscall", ["severity"] = "high", ["detection_layer"] = "syscall", ["blocked"] = false,
            ["indicators"] = ChainBuilder.Text(),
        });
        _log.Add("FromTheFuture", []).Add("FromTheFuture", []).Add("TaskStarted", new JsonObject { ["task"] = 7 });

        Analyse().Findings.Select(finding => (finding.Kind, finding.Severity)).ShouldBe(
        [
            (FindingKind.TornTail, FindingSeverity.Info), (FindingKind.Violation, FindingSeverity.Warning), (FindingKind.UnknownType, FindingSeverity.Info),
            (FindingKind.MalformedPayload, FindingSeverity.Warning),
        ]);
    }

    [Fact]
    public void Findings_of_one_kind_are_bounded_and_counted()
    {
        _log.Open();
        for (int number = 0; number < 1_200; number++)
        {
            _log.Outcome($"c{number}");
        }

        ForensicReport report = Analyse();
        report.Findings.Count.ShouldBe(1_000);
        report.Count(FindingSeverity.Error).ShouldBe(1_200);
    }

    [Fact]
    public void F4_Text_of_the_log_is_data_in_every_form_of_the_report()
    {
        const string Hostile = "\u001b[2J</td><script>alert(1)</script>\u202e|`x`\u200b\n# forged";
        _log.Open().Add("ToolOutcome", new JsonObject { ["call_id"] = Hostile, ["tool"] = Hostile, ["status"] = "ok" });
        ForensicReport report = Analyse();

        string html = ForensicHtml.Write(report);
        string markdown = ForensicMarkdown.Write(report);

        foreach (string text in (string[])[html, markdown])
        {
            text.ShouldNotContain('\u001b');
            text.ShouldNotContain('\u202e');
            text.ShouldNotContain('\u200b');
            text.ShouldNotContain("<script");
            text.ShouldNotContain("\n# forged");
            text.ShouldContain("x1b");
        }

        html.ShouldContain("default-src 'none'");
        html.ShouldNotContain("http:");
        html.ShouldNotContain("src=");
        markdown.Split('\n').Count(line => line.StartsWith("| error", StringComparison.Ordinal)).ShouldBe(1);
        JsonNode.Parse(ForensicJson.Write(report))?["findings"]?.AsArray().Count.ShouldBe(1);
    }

    private Finding Single(FindingKind kind, FindingSeverity severity)
    {
        Finding finding = Analyse().Findings.ShouldHaveSingleItem();
        (finding.Kind, finding.Severity).ShouldBe((kind, severity));
        return finding;
    }

    private ForensicReport Analyse() => Analyse(Logs.Write(_directory, _log.Lines));

    private static ForensicReport Analyse(string path) => ForensicAnalysis.Run(LogSource.OpenAll(path), new ForensicOptions(), observeControl: null, Stop);

    private ForensicReport AnalyseLedger(ChainBuilder agent)
    {
        string root = _directory.At("ledger-" + Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(Path.Combine(root, "control"));
        Directory.CreateDirectory(Path.Combine(root, "agents", "ns", "a"));
        Logs.Write(Path.Combine(root, "control"), _log.Lines, "records-00000000000000000000.jsonl");
        Logs.Write(Path.Combine(root, "agents", "ns", "a"), agent.Lines, "records-00000000000000000000.jsonl");
        return Analyse(root);
    }

    private static ChainBuilder AgentChain(int calls, string principal = "alice")
    {
        var agent = new ChainBuilder { Principal = principal };
        agent.Open();
        for (int number = 0; number < calls; number++)
        {
            agent.Intent($"c{number}").Outcome($"c{number}");
        }

        return agent;
    }

    private void Anchor(long size, string hash) =>
        _log.Add("ChainAnchored", new JsonObject { ["chain"] = "agents/ns/a", ["size"] = size, ["head_hash"] = hash, ["tree_root"] = new string('0', 64) });

    private void Denied(int count, TimeSpan apart)
    {
        for (int number = 0; number < count; number++)
        {
            _log.After(apart).Add("RequestDenied", new JsonObject { ["verb"] = "get", ["resource"] = "agents", ["reason"] = "forbidden" });
        }
    }

    private static string TokenLine(long seq, long epoch, string prev, out string hash)
    {
        string line = Logs.Line($"{{\"aggregate_id\":\"A\",\"meta\":{{\"fencing_token\":{{\"epoch\":{epoch}}}}},\"payload\":{{}},\"seq\":{seq},\"ts\":0,\"type\":\"TEST\"}}", prev);
        hash = System.Text.Json.JsonElement.Parse(line).GetProperty("event_hash").GetString() ?? "";
        return line;
    }
}
