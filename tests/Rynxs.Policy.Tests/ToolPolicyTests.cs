using Rynxs.Policy.Approvals;
using Rynxs.Policy.Rates;
using Rynxs.Policy.Rules;
using Rynxs.Policy.Sleep;
using static Rynxs.Policy.Tests.Calls;

namespace Rynxs.Policy.Tests;

public sealed class ToolPolicyTests
{
    [Fact]
    public void No_rule_denies()
    {
        Decide(new ToolPolicyModel(), Call("fs.read")).ShouldBe(new Verdict.Deny(DecisionReason.NoRuleMatches, null));
    }

    [Theory]
    [InlineData("fs.*", "fs.read", true)]
    [InlineData("fs.*", "fsx.read", false)]
    [InlineData("fs.*", "evil.fs.read", false)]
    [InlineData("fs.read", "fs.readx", false)]
    [InlineData("*", "anything.at.all", true)]
    [InlineData("FS.*", "fs.read", false)]
    public void Wildcards_match_whole_names(string pattern, string tool, bool allowed)
    {
        var model = new ToolPolicyModel { Rules = [Rule("r", pattern, RuleEffect.Allow)] };

        (Decide(model, Call(tool)) is Verdict.Allow).ShouldBe(allowed);
    }

    [Fact]
    public void Deny_wins_over_ask_and_ask_over_allow_at_equal_priority()
    {
        ToolRule allow = Rule("allow", "*", RuleEffect.Allow), ask = Rule("ask", "*", RuleEffect.Ask), deny = Rule("deny", "*", RuleEffect.Deny);

        Decide(new ToolPolicyModel { Rules = [allow, ask, deny] }, Call("fs.read")).ShouldBe(new Verdict.Deny(DecisionReason.RuleDenies, "deny"));
        Decide(new ToolPolicyModel { Rules = [allow, ask] }, Call("fs.read")).ShouldBe(new Verdict.Ask("ask"));
    }

    [Fact]
    public void Higher_priority_is_looked_at_first()
    {
        var model = new ToolPolicyModel { Rules = [Rule("deny", "fs.*", RuleEffect.Deny), Rule("allow", "fs.read", RuleEffect.Allow, priority: 1)] };

        Decide(model, Call("fs.read")).ShouldBe(new Verdict.Allow("allow"));
        Decide(model, Call("fs.write")).ShouldBe(new Verdict.Deny(DecisionReason.RuleDenies, "deny"));
    }

    [Fact]
    public void The_universe_is_stricter_than_any_rule()
    {
        var model = new ToolPolicyModel { Rules = [Rule("allow", "*", RuleEffect.Allow, priority: 1000)], UniverseDenied = [new Glob("sandbox.*")] };

        Decide(model, Call("sandbox.shell")).Reason.ShouldBe(DecisionReason.UniverseDenies);
        Decide(model, Call("fs.read")).ShouldBeOfType<Verdict.Allow>("positive control");
    }

    [Theory]
    [InlineData("equals", "ls", """{"cmd":"ls"}""", true)]
    [InlineData("equals", "ls", """{"cmd":"ls\n"}""", false)]
    [InlineData("equals", "ls", "{}", false)]
    [InlineData("prefix", "git ", """{"cmd":"git status"}""", true)]
    [InlineData("prefix", "git ", """{"cmd":"gitx"}""", false)]
    [InlineData("glob", "data/*.csv", """{"cmd":"data/a.csv"}""", true)]
    [InlineData("glob", "data/*.csv", """{"cmd":"data/a.csv.exe"}""", false)]
    [InlineData("regex", "[a-z]+", """{"cmd":"abc"}""", true)]
    [InlineData("regex", "[a-z]+", """{"cmd":"abc\n"}""", false)]
    [InlineData("regex", "a|b", """{"cmd":"bX"}""", false)]
    [InlineData("regex", "[a-z]*", "{}", false)]
    [InlineData("maxLength", "3", """{"cmd":"abc"}""", true)]
    [InlineData("maxLength", "3", """{"cmd":"äb€"}""", false)]
    [InlineData("maxLength", "3", "{}", false)]
    [InlineData("in", "a,b", """{"cmd":"b"}""", true)]
    [InlineData("in", "a,b", """{"cmd":"B"}""", false)]
    [InlineData("absent", "", "{}", true)]
    [InlineData("absent", "", """{"cmd":null}""", false)]
    [InlineData("equals", "ls", """{"cmd":["ls"]}""", false)]
    public void An_allow_rule_matches_only_when_its_constraint_holds(string kind, string value, string arguments, bool allowed)
    {
        var model = new ToolPolicyModel { Rules = [Rule("r", "t", RuleEffect.Allow, 0, Constraint(kind, value))] };

        (Decide(model, Call("t", arguments)) is Verdict.Allow).ShouldBe(allowed);
    }

    [Fact]
    public void A_value_that_cannot_be_judged_does_not_slip_past_a_deny_rule()
    {
        var model = new ToolPolicyModel
        {
            Rules = [Rule("allow", "t", RuleEffect.Allow), Rule("deny", "t", RuleEffect.Deny, 0, new ArgumentConstraint.Prefix("cmd", "rm"))],
        };

        Decide(model, Call("t", """{"cmd":["rm","-rf"]}""")).ShouldBeOfType<Verdict.Deny>();
        Decide(model, Call("t", """{"cmd":"ls"}""")).ShouldBeOfType<Verdict.Allow>("positive control");
    }

    [Fact]
    public void Nested_arguments_are_reached_by_dots()
    {
        var model = new ToolPolicyModel { Rules = [Rule("r", "t", RuleEffect.Allow, 0, new ArgumentConstraint.TextEquals("a.b", "1"))] };

        Decide(model, Call("t", """{"a":{"b":"1"}}""")).ShouldBeOfType<Verdict.Allow>();
        Decide(model, Call("t", """{"a.b":"2","a":{"b":"1"}}""")).ShouldBeOfType<Verdict.Deny>();
    }

    [Fact]
    public void Expressions_that_need_backtracking_are_refused()
    {
        Should.Throw<ArgumentException>(() => new ArgumentConstraint.Regular("a", @"(a)\1")).Message.ShouldContain("backtracking");
        Should.Throw<ArgumentException>(() => new ArgumentConstraint.Regular("a", "("));
    }

    [Theory]
    [InlineData("")]
    [InlineData("fs read")]
    [InlineData("fs\nread")]
    public void Names_that_are_none_are_denied_even_when_everything_is_allowed(string tool)
    {
        Decide(new ToolPolicyModel { Rules = [Rule("all", "*", RuleEffect.Allow)] }, Call(tool)).Reason.ShouldBe(DecisionReason.InvalidCall);
    }

    [Fact]
    public void Concurrency_is_bounded_and_comes_back()
    {
        var model = new ToolPolicyModel { Rules = [Rule("all", "*", RuleEffect.Allow)], MaxConcurrentCalls = 1 };
        Decision first = ToolPolicy.Decide(model, Call("t"), ToolPolicyState.Initial, Noon);

        first.Verdict.ShouldBeOfType<Verdict.Allow>();
        ToolPolicy.Decide(model, Call("t"), first.State, Noon).Verdict.Reason.ShouldBe(DecisionReason.TooManyConcurrentCalls);
        ToolPolicy.Decide(model, Call("t"), first.State.WithCallEnded(), Noon).Verdict.ShouldBeOfType<Verdict.Allow>();
    }

    [Fact]
    public void A_rate_limit_denies_and_says_how_long()
    {
        var model = new ToolPolicyModel { Rules = [Rule("all", "*", RuleEffect.Allow)], RateLimits = [new RateLimit(new Glob("t"), 6, 1)] };
        ToolPolicyState used = ToolPolicy.Decide(model, Call("t"), ToolPolicyState.Initial, Noon).State.WithCallEnded();

        ToolPolicy.Decide(model, Call("t"), used, Noon).Verdict.ShouldBe(new Verdict.Deny(DecisionReason.RateLimited, "rate:t", TimeSpan.FromSeconds(10)));
        ToolPolicy.Decide(model, Call("other"), used, Noon).Verdict.ShouldBeOfType<Verdict.Allow>();
        ToolPolicy.Decide(model, Call("t"), used, Noon.AddSeconds(10)).Verdict.ShouldBeOfType<Verdict.Allow>();
    }

    [Fact]
    public void E5_an_approval_counts_for_its_subject_alone_and_until_it_expires()
    {
        var model = new ToolPolicyModel { Rules = [Rule("ask", "t", RuleEffect.Ask)] };
        var grant = new GrantedApproval(ApprovalSubject.Hash(Call("t", """{"cmd":"ls"}""")), Noon.AddMinutes(1));

        Verdict With(string arguments, DateTimeOffset now) => ToolPolicy.Decide(model, Call("t", arguments), ToolPolicyState.Initial, now, grant).Verdict;

        With("""{"cmd":"ls"}""", Noon).ShouldBeOfType<Verdict.Allow>("positive control");
        With("""{"cmd":"rm -rf /"}""", Noon).ShouldBeOfType<Verdict.Ask>();
        With("""{"cmd":"ls"}""", Noon.AddMinutes(1)).ShouldBeOfType<Verdict.Ask>();
        ToolPolicy.Decide(model, Call("t", """{"cmd":"ls"}""") with { Agent = "rynxs/other" }, ToolPolicyState.Initial, Noon, grant)
            .Verdict.ShouldBeOfType<Verdict.Ask>();
    }

    [Fact]
    public void E5_an_approval_never_turns_a_denial_into_an_allowance()
    {
        var model = new ToolPolicyModel { Rules = [Rule("deny", "t", RuleEffect.Deny)] };
        ToolCall call = Call("t");

        ToolPolicy.Decide(model, call, ToolPolicyState.Initial, Noon, new GrantedApproval(ApprovalSubject.Hash(call), Noon.AddHours(1)))
            .Verdict.ShouldBeOfType<Verdict.Deny>();
    }

    [Fact]
    public void Explain_names_every_rule_and_the_one_that_decided()
    {
        var model = new ToolPolicyModel
        {
            Rules =
            [
                Rule("other", "net.*", RuleEffect.Allow),
                Rule("arguments", "fs.read", RuleEffect.Deny, 5, new ArgumentConstraint.Prefix("path", "/etc")),
                Rule("decides", "fs.*", RuleEffect.Allow),
            ],
        };

        Explanation explanation = ToolPolicy.Explain(model, Call("fs.read", """{"path":"a"}"""), ToolPolicyState.Initial, Noon);

        explanation.Verdict.ShouldBe(new Verdict.Allow("decides"));
        explanation.Considered.Select(rule => (rule.Rule.Name, rule.Matched, rule.Decided)).ShouldBe(
            [("other", false, false), ("arguments", false, false), ("decides", true, true)]);
        explanation.Considered[1].Because.ShouldContain("path");
    }

    [Fact]
    public void A_sleeping_universe_allows_nothing()
    {
        var model = new ToolPolicyModel
        {
            Rules = [Rule("all", "*", RuleEffect.Allow)],
            SleepTimes = [new SleepTime { Start = new TimeOnly(11, 0), End = new TimeOnly(13, 0), Zone = TimeZoneInfo.Utc }],
        };

        Decide(model, Call("t")).Reason.ShouldBe(DecisionReason.Sleeping);
        ToolPolicy.Decide(model, Call("t"), ToolPolicyState.Initial, Noon.AddHours(1)).Verdict.ShouldBeOfType<Verdict.Allow>();
    }

    private static ArgumentConstraint Constraint(string kind, string value) => kind switch
    {
        "equals" => new ArgumentConstraint.TextEquals("cmd", value),
        "prefix" => new ArgumentConstraint.Prefix("cmd", value),
        "glob" => new ArgumentConstraint.Matches("cmd", new Glob(value)),
        "regex" => new ArgumentConstraint.Regular("cmd", value),
        "maxLength" => new ArgumentConstraint.MaxLength("cmd", int.Parse(value, System.Globalization.CultureInfo.InvariantCulture)),
        "in" => new ArgumentConstraint.OneOf("cmd", value.Split(',')),
        _ => new ArgumentConstraint.Absent("cmd"),
    };
}
