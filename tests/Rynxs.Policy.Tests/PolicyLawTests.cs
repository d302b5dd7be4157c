using FsCheck;
using FsCheck.Fluent;
using Rynxs.Policy.Rates;
using Rynxs.Policy.Rules;
using static Rynxs.Policy.Tests.Calls;

namespace Rynxs.Policy.Tests;

public sealed class PolicyLawTests
{
    private static readonly string[] Tools = ["fs.read", "fs.write", "sandbox.shell", "task.complete"];
    private static readonly string[] Patterns = ["fs.*", "*", "sandbox.?hell", "fs.read", "task.*", "nothing"];

    private static readonly Gen<ToolRule[]> Rules =
        from count in Gen.Choose(0, 8)
        from rules in Gen.ArrayOf(
            from pattern in Gen.Elements(Patterns)
            from effect in Gen.Elements(RuleEffect.Allow, RuleEffect.Ask, RuleEffect.Deny)
            from priority in Gen.Choose(-2, 2)
            select (pattern, effect, priority),
            count)
        select rules.Select((rule, i) => Rule($"rule-{i}", rule.pattern, rule.effect, rule.priority)).ToArray();

    private static readonly Gen<(ToolRule[] Rules, string Tool)> Situations =
        from rules in Rules
        from tool in Gen.Elements(Tools)
        select (rules, tool);

    [Fact]
    public void Adding_a_deny_rule_never_turns_a_denial_into_anything_else()
    {
        Prop.ForAll(Arb.From(
                from situation in Situations
                from pattern in Gen.Elements(Patterns)
                from priority in Gen.Choose(-3, 3)
                select (situation.Rules, situation.Tool, Deny: Rule("added", pattern, RuleEffect.Deny, priority))),
            s => Decide(new ToolPolicyModel { Rules = s.Rules }, Call(s.Tool)) is not Verdict.Deny
                || Decide(new ToolPolicyModel { Rules = [.. s.Rules, s.Deny] }, Call(s.Tool)) is Verdict.Deny).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void The_order_of_rules_means_nothing()
    {
        Prop.ForAll(Arb.From(
                from situation in Situations
                from shuffled in Gen.Shuffle(situation.Rules)
                select (situation.Rules, shuffled, situation.Tool)),
            s => Decide(new ToolPolicyModel { Rules = s.Rules }, Call(s.Tool))
                == Decide(new ToolPolicyModel { Rules = s.shuffled }, Call(s.Tool))).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_tool_that_no_pattern_names_is_denied()
    {
        Prop.ForAll(Arb.From(Rules), rules =>
            Decide(new ToolPolicyModel { Rules = [.. rules.Where(rule => rule.Tools[0].Pattern != "*")] }, Call("unheard.of")) is Verdict.Deny)
            .QuickCheckThrowOnFailure();
    }

    [Fact]
    public void What_the_universe_denies_stays_denied_whatever_the_rules_say()
    {
        Prop.ForAll(Arb.From(Situations), s =>
            Decide(new ToolPolicyModel { Rules = s.Rules, UniverseDenied = [new Glob(s.Tool)] }, Call(s.Tool)) is Verdict.Deny)
            .QuickCheckThrowOnFailure();
    }

    [Fact]
    public void The_glob_matcher_agrees_with_a_naive_one()
    {
        Gen<string> text = Gen.Elements('a', 'b', '.').ArrayOf().Select(chars => new string([.. chars.Take(12)]));
        Gen<string> pattern = Gen.Elements('a', 'b', '.', '*', '?').NonEmptyListOf().Select(chars => new string([.. chars.Take(8)]));
        Prop.ForAll(Arb.From(from p in pattern from t in text select (p, t)), s => new Glob(s.p).IsMatch(s.t) == Naive(s.p, s.t))
            .QuickCheckThrowOnFailure();
    }

    [Fact]
    public void The_glob_matcher_has_no_pattern_that_takes_long()
    {
        // The worst case for a backtracking matcher: exponential there, at most pattern times text here.
        var glob = new Glob(string.Concat(Enumerable.Repeat("*a", 100)) + "*b");
        string text = new('a', 100_000);

        long started = TimeProvider.System.GetTimestamp();
        glob.IsMatch(text).ShouldBeFalse();
        TimeProvider.System.GetElapsedTime(started).ShouldBeLessThan(TimeSpan.FromSeconds(5));
    }

    [Fact]
    public void A_bucket_never_gives_more_than_its_burst_and_rate_over_any_window()
    {
        // Steps of the clock, some of them back.
        Gen<(int PerMinute, int Burst, int[] Steps)> runs =
            from perMinute in Gen.Choose(1, 600)
            from burst in Gen.Choose(1, 20)
            from steps in Gen.Choose(-3_000, 5_000).ArrayOf()
            select (perMinute, burst, steps);
        Prop.ForAll(Arb.From(runs), run =>
        {
            var limit = new RateLimit(new Glob("*"), run.PerMinute, run.Burst);
            DateTimeOffset now = Noon, latest = Noon;
            TokenBucket bucket = TokenBucket.Full(limit, now);
            var given = new List<DateTimeOffset>();
            foreach (int milliseconds in run.Steps)
            {
                now = now.AddMilliseconds(milliseconds);
                latest = now > latest ? now : latest;
                bucket = bucket.Fill(limit, now);
                while (bucket.HasToken)
                {
                    bucket = bucket.Take();
                    given.Add(latest);
                }
            }

            return Enumerable.Range(0, given.Count).All(from => Enumerable.Range(from, given.Count - from).All(to =>
                to - from + 1 <= run.Burst + ((given[to] - given[from]).TotalMinutes * run.PerMinute) + 1e-9));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_bucket_that_is_asked_often_does_not_drift()
    {
        var limit = new RateLimit(new Glob("*"), 7, 2);
        TokenBucket bucket = new(0, Noon);
        int given = 0;
        for (int i = 1; i <= 100_000; i++)
        {
            // 36 ms is no whole number of tokens: rounding at each step would show.
            bucket = bucket.Fill(limit, Noon.AddMilliseconds(36 * i));
            if (bucket.HasToken)
            {
                bucket = bucket.Take();
                given++;
            }
        }

        given.ShouldBe(7 * 60); // An hour.
    }

    [Fact]
    public void A_bucket_survives_centuries_and_a_clock_that_goes_back()
    {
        var limit = new RateLimit(new Glob("*"), 60_000, 60_000);
        TokenBucket empty = new(0, Noon);

        empty.Fill(limit, DateTimeOffset.MaxValue).Units.ShouldBe(60_000 * TokenBucket.UnitsPerToken);
        empty.Fill(limit, DateTimeOffset.MinValue).ShouldBe(empty);
        empty.Fill(limit, Noon.AddHours(-1)).Fill(limit, Noon).ShouldBe(empty);
    }

    private static bool Naive(string pattern, string text) => (pattern, text) switch
    {
        ("", "") => true,
        ("", _) => false,
        _ when pattern[0] == '*' => Naive(pattern[1..], text) || (text.Length > 0 && Naive(pattern, text[1..])),
        (_, "") => false,
        _ => (pattern[0] == '?' || pattern[0] == text[0]) && Naive(pattern[1..], text[1..]),
    };
}
