using FsCheck;
using FsCheck.Fluent;
using Rynxs.Resources.Identity;

namespace Rynxs.Resources.Tests;

/// <summary>The table of roles as the document shows it, and the rules before the table.</summary>
public sealed class AccessTableTests
{
    private static readonly ResourceVerb[] Verbs = Enum.GetValues<ResourceVerb>();

    [Fact]
    public void The_documented_table_is_the_tables_own()
    {
        Dictionary<string, string> documented = Documented();
        foreach ((string group, string plural) in AccessTable.NamedKinds.Where(kind => !kind.Plural.EndsWith("reviews", StringComparison.Ordinal)))
            documented.ShouldContainKeyAndValue(group.Length == 0 ? plural : $"{plural}.{group}", Row(AccessTable.Of(group, plural)));
        foreach (string group in AccessTable.NamedGroups)
            documented.ShouldContainKeyAndValue(group, Row(AccessTable.Of(group, "whatever")));
        documented.ShouldContainKeyAndValue("any other", Row(AccessTable.Of("example.test", "gadgets")));
    }

    [Fact]
    public void D8_outside_of_its_namespaces_nothing_exists_for_anybody()
    {
        Gen<(Role Role, ResourceVerb Verb, (string Group, string Plural) Kind)> asks =
            from role in Gen.Elements(Enum.GetValues<Role>())
            from verb in Gen.Elements(Verbs)
            from kind in Gen.Elements(AccessTable.NamedKinds.Append(("example.test", "gadgets")).Where(kind => !kind.Item2.StartsWith("selfsubject", StringComparison.Ordinal)).ToArray())
            select (role, verb, kind);
        Prop.ForAll(asks.ToArbitrary(), ask =>
        {
            Principal bound = new("user:x", new HashSet<Role> { ask.Role }, new HashSet<string> { "team-a" });
            AccessRules.Decide(bound, ask.Verb, ask.Kind.Group, ask.Kind.Plural, null, namespaced: true, "team-b").ShouldBe(Access.Invisible);
        }).QuickCheckThrowOnFailure();
        Principal admin = new("user:x", new HashSet<Role> { Role.Admin }, new HashSet<string> { "team-a" });
        AccessRules.Decide(admin, ResourceVerb.Delete, "", "secrets", null, namespaced: true, "team-a").ShouldBe(Access.Allowed, "positive control");
    }

    [Theory]
    [InlineData(Role.Operator)]
    [InlineData(Role.Developer)]
    [InlineData(Role.Approver)]
    [InlineData(Role.Auditor)]
    [InlineData(Role.Agent)]
    public void D8_secrets_exist_for_administrators_alone(Role role)
    {
        Principal principal = new("user:x", new HashSet<Role> { role }, null);
        AccessRules.Decide(principal, ResourceVerb.Get, "", "secrets", null, true, "a").ShouldBe(Access.Invisible);
        AccessRules.Decide(principal, ResourceVerb.List, "", "secrets", null, true, "a").ShouldBe(Access.Forbidden);
        AccessRules.DecideEverywhere(principal, "", "secrets", true).ShouldBe(Access.Forbidden);
        foreach (ResourceVerb verb in (ResourceVerb[])[ResourceVerb.Create, ResourceVerb.Update, ResourceVerb.Patch, ResourceVerb.Delete, ResourceVerb.DeleteCollection])
            AccessRules.Decide(principal, verb, "", "secrets", null, true, "a").ShouldNotBe(Access.Allowed);
        AccessRules.Decide(principal, ResourceVerb.Create, "", "serviceaccounts", "token", true, "a").ShouldNotBe(Access.Allowed);
    }

    [Fact]
    public void An_administrator_of_a_namespace_neither_sees_the_cluster_nor_makes_namespaces()
    {
        Principal bound = new("user:x", new HashSet<Role> { Role.Admin }, new HashSet<string> { "team-a" });

        AccessRules.Decide(bound, ResourceVerb.Get, "", "namespaces", null, false, "team-a").ShouldBe(Access.Allowed);
        AccessRules.Decide(bound, ResourceVerb.Get, "", "namespaces", null, false, "team-b").ShouldBe(Access.Invisible);
        AccessRules.Decide(bound, ResourceVerb.Delete, "", "namespaces", null, false, "team-a").ShouldBe(Access.Forbidden);
        AccessRules.Decide(bound, ResourceVerb.List, "", "namespaces", null, false, "").ShouldBe(Access.Allowed, "cut to its own");
        AccessRules.Decide(bound, ResourceVerb.Get, "apiextensions.k8s.io", "customresourcedefinitions", null, false, "").ShouldBe(Access.Invisible);
        AccessRules.DecideEverywhere(bound, "universe.ai", "universes", false).ShouldBe(Access.Forbidden);
    }

    [Fact]
    public void The_listed_rules_are_the_decided_ones()
    {
        Principal developer = new("user:x", new HashSet<Role> { Role.Developer }, new HashSet<string> { "team-a" });
        foreach (AccessRule rule in AccessRules.Rules(developer, "team-a").Where(rule => !rule.Plural.Contains('/', StringComparison.Ordinal) && rule.Plural != AccessRule.All))
        {
            bool namespaced = AccessRules.LivesInNamespaces(rule.Group, rule.Plural);
            foreach (ResourceVerb verb in rule.Verbs)
                AccessRules.Decide(developer, verb, rule.Group, rule.Plural, null, namespaced, namespaced || rule.Plural == "namespaces" ? "team-a" : "").ShouldBe(Access.Allowed);
        }

        AccessRules.Rules(developer, "team-a").ShouldContain(rule => rule.Plural == "tasks" && rule.Verbs.Contains(ResourceVerb.Create));
        AccessRules.Rules(developer, "team-a").ShouldNotContain(rule => rule.Plural == "secrets");
    }

    private static string Row(Grant grant) => $"{Names(grant.Read)} / {Names(grant.Write)} / {Names(grant.Status)}";

    private static string Names(Roles roles) =>
        string.Join(' ', Enum.GetValues<Role>().Where(role => roles.HasFlag((Roles)(1 << (int)role))).Select(role => role.ToString().ToLowerInvariant()));

    private static Dictionary<string, string> Documented()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "Rynxs.slnx")))
            directory = Path.GetDirectoryName(directory);
        string text = File.ReadAllText(Path.Combine(directory.ShouldNotBeNull(), "docs", "operations", "identity.md"));
        string table = text.Split("<!-- access table -->")[1].Split("<!-- end of the table -->")[0];
        Dictionary<string, string> rows = [];
        foreach (string[] cells in table.Split('\n').Where(line => line.StartsWith('|')).Skip(2).Select(line => line.Split('|', StringSplitOptions.TrimEntries)[1..^1]))
        {
            string[] names = cells[0].StartsWith("any other", StringComparison.Ordinal) ? ["any other"] : [.. cells[0].Split('`').Where((_, i) => i % 2 == 1)];
            foreach (string name in names)
                rows.Add(name, $"{cells[1]} / {cells[2]} / {cells[3]}");
        }

        return rows;
    }
}
