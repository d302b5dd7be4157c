using System.Text.Json;
using Rynxs.Agents.Policies;
using Rynxs.Policy;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Universes;

namespace Rynxs.Agents.Tests.Policies;

public sealed class AgentPolicyTests
{
    // 2026-11-22 is a Sunday; Istanbul is UTC+3 the whole year.
    private static readonly DateTimeOffset SundayNoonUtc = new(2026, 11, 22, 12, 0, 0, TimeSpan.Zero);

    private static readonly AgentSpec Everything = new() { Tools = new ToolsSpec { Allow = ["*"] } };

    [Fact]
    public void A_universes_sleep_window_denies_every_tool_in_its_own_time_zone_and_on_its_days()
    {
        var universe = new UniverseSpec
        {
            Policies = new UniversePolicies
            {
                Sleep = new SleepPolicy { Windows = [new SleepWindow { Start = "15:00", End = "16:00", Days = ["sun"], TimeZone = "Europe/Istanbul" }] },
            },
        };

        Decide(Everything, universe, "fs.read", SundayNoonUtc).ShouldBeOfType<Verdict.Deny>();
        Decide(Everything, universe, "fs.read", SundayNoonUtc.AddHours(1)).ShouldBeOfType<Verdict.Allow>();
        Decide(Everything, universe, "fs.read", SundayNoonUtc.AddDays(1)).ShouldBeOfType<Verdict.Allow>();
        Decide(Everything, null, "fs.read", SundayNoonUtc).ShouldBeOfType<Verdict.Allow>();
    }

    [Fact]
    public void What_the_universe_denies_no_rule_of_the_agent_gives_back()
    {
        var agent = new AgentSpec
        {
            Tools = new ToolsSpec { Rules = [new ToolRuleSpec { Name = "all", Tools = ["*"], Effect = "allow", Priority = 1000 }] },
        };
        var universe = new UniverseSpec { Policies = new UniversePolicies { DenyTools = ["sandbox.*"] } };

        Decide(agent, universe, "sandbox.shell", SundayNoonUtc).ShouldBeOfType<Verdict.Deny>();
        Decide(agent, universe, "fs.read", SundayNoonUtc).ShouldBeOfType<Verdict.Allow>();
    }

    [Fact]
    public void A_window_that_cannot_be_read_is_an_error_and_never_no_window()
    {
        var universe = new UniverseSpec
        {
            Policies = new UniversePolicies { Sleep = new SleepPolicy { Windows = [new SleepWindow { Start = "22:00", End = "06:00", TimeZone = "Nowhere/Else" }] } },
        };

        Should.Throw<AgentPolicyException>(() => AgentPolicy.Build(Everything, universe)).Message.ShouldContain("sleep.windows[0]");
    }

    private static Verdict Decide(AgentSpec agent, UniverseSpec? universe, string tool, DateTimeOffset now)
    {
        using JsonDocument arguments = JsonDocument.Parse("{}");
        return ToolPolicy.Decide(AgentPolicy.Build(agent, universe), new ToolCall("rynxs/a", tool, arguments.RootElement), ToolPolicyState.Initial, now).Verdict;
    }
}
