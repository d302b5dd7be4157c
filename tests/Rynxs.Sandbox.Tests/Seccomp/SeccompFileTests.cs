using System.Text.Json.Nodes;
using Rynxs.Sandbox.Seccomp;

namespace Rynxs.Sandbox.Tests.Seccomp;

/// <summary>What is committed is what the list makes. RYNXS_UPDATE_DOCS=1 writes it.</summary>
public sealed class SeccompFileTests
{
    private const string Begin = "<!-- deny list: begin (made from DenyList.cs; RYNXS_UPDATE_DOCS=1 writes it) -->", End = "<!-- deny list: end -->";

    [Fact]
    public void The_profile_for_containerd_is_that_of_the_list()
    {
        string path = Path.Combine(Root(), "deploy", "nodes", "seccomp", "rynxs-namespaces.json");
        if (Environment.GetEnvironmentVariable("RYNXS_UPDATE_DOCS") == "1")
        {
            File.WriteAllText(path, OciSeccompProfile.Json);
        }

        File.ReadAllText(path).ShouldBe(OciSeccompProfile.Json);
    }

    [Fact]
    public void The_table_in_the_documentation_is_that_of_the_list()
    {
        string path = Path.Combine(Root(), "docs", "security", "namespaces-tier.md");
        string text = File.ReadAllText(path);
        (int begin, int end) = (text.IndexOf(Begin, StringComparison.Ordinal) + Begin.Length, text.IndexOf(End, StringComparison.Ordinal));
        string table = $"\n\n| calls | when | answer | reported | why |\n|---|---|---|---|---|\n{string.Join('\n', DenyListTable.Rows())}\n\n";
        if (Environment.GetEnvironmentVariable("RYNXS_UPDATE_DOCS") == "1")
        {
            File.WriteAllText(path, text = text[..begin] + table + text[end..]);
            end = text.IndexOf(End, StringComparison.Ordinal);
        }

        text[begin..end].ShouldBe(table);
    }

    [Fact]
    public void Nothing_is_allowed_and_denied_at_once_and_every_rule_of_the_profile_denies()
    {
        JsonNode profile = JsonNode.Parse(OciSeccompProfile.Json)!; // made by us just now
        JsonArray rules = profile["syscalls"]!.AsArray();

        profile["defaultAction"]!.GetValue<string>().ShouldBe("SCMP_ACT_ALLOW");
        rules.ShouldAllBe(rule => rule!["action"]!.GetValue<string>() == "SCMP_ACT_ERRNO");
        rules.SelectMany(rule => rule!["names"]!.AsArray().Select(name => name!.GetValue<string>())).Distinct().Order()
            .ShouldBe(DenyList.All.Select(call => call.Name).Order());
    }

    /// <summary>The format joins tests of different arguments, and joins tests of one argument in the other way: a rule may hold one of each at most.</summary>
    [Fact]
    public void No_rule_of_the_profile_tests_an_argument_twice()
    {
        JsonArray rules = JsonNode.Parse(OciSeccompProfile.Json)!["syscalls"]!.AsArray();

        foreach (JsonNode? rule in rules)
        {
            if (rule!["args"] is JsonArray arguments)
            {
                arguments.Select(argument => argument!["index"]!.GetValue<int>()).ShouldBeUnique();
            }
        }
    }

    internal static string Root()
    {
        DirectoryInfo? directory = new(AppContext.BaseDirectory);
        while (directory is not null && !File.Exists(Path.Combine(directory.FullName, "Rynxs.slnx")))
        {
            directory = directory.Parent;
        }

        Assert.SkipWhen(directory is null, "runs outside of the source tree");
        return directory.FullName;
    }
}
