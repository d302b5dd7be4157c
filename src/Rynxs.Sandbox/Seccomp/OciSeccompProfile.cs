using System.Text.Json.Nodes;

namespace Rynxs.Sandbox.Seccomp;

/// <summary>
/// The list as an OCI seccomp profile, for containerd and the kubelet (<c>localhostProfile</c>). Calls of architectures that it does not name end the process there, which includes x32 and 32-bit x86.
/// </summary>
public static class OciSeccompProfile
{
    /// <summary>Name of its file on a node, below the kubelet's seccomp directory.</summary>
    public const string FileName = "rynxs-namespaces.json";

    /// <summary>The profile, indented, with a final line end.</summary>
    public static string Json { get; } = Make().ToJsonString(new System.Text.Json.JsonSerializerOptions { WriteIndented = true, NewLine = "\n" }) + "\n";

    private static JsonObject Make() => new()
    {
        ["defaultAction"] = "SCMP_ACT_ALLOW",
        ["architectures"] = new JsonArray([.. SeccompArchitecture.All.Select(architecture => (JsonNode)architecture.OciName)]),
        ["syscalls"] = new JsonArray([.. Rules()]),
    };

    private static IEnumerable<JsonNode> Rules()
    {
        foreach (IGrouping<int, DeniedCall> group in DenyList.All.Where(call => call.When.Count == 0).GroupBy(call => call.Error))
        {
            yield return Rule(group.Select(call => call.Name), group.Key, []);
        }

        foreach (DeniedCall call in DenyList.All)
        {
            foreach (ArgumentTest[] tests in call.When.SelectMany(when => Split(when.Tests)))
            {
                yield return Rule([call.Name], call.Error, tests);
            }
        }
    }

    /// <summary>"Any of these bits" is not something that the format can say: a rule for each bit is.</summary>
    private static IEnumerable<ArgumentTest[]> Split(ArgumentTest[] tests) => tests is [ArgumentTest.AnyBit bits]
        ? Enumerable.Range(0, 32).Select(bit => 1u << bit).Where(bit => (bits.Mask & bit) != 0).Select(bit => new ArgumentTest[] { new ArgumentTest.Equal(bits.Argument, bit, bit) })
        : [tests];

    private static JsonObject Rule(IEnumerable<string> names, int error, ArgumentTest[] tests)
    {
        var rule = new JsonObject { ["names"] = new JsonArray([.. names.Select(name => (JsonNode)name)]), ["action"] = "SCMP_ACT_ERRNO", ["errnoRet"] = error };
        if (tests.Length > 0)
        {
            rule["args"] = new JsonArray([.. tests.Select(Argument)]);
        }

        return rule;
    }

    /// <summary>With a mask everywhere, because a plain comparison there is one of 64 bits. "At least" has no mask: a larger number is refused as well, which harms nobody.</summary>
    private static JsonNode Argument(ArgumentTest test) => test switch
    {
        ArgumentTest.Equal equal => new JsonObject { ["index"] = equal.Argument, ["value"] = equal.Mask, ["valueTwo"] = equal.Value, ["op"] = "SCMP_CMP_MASKED_EQ" },
        ArgumentTest.AtLeast least => new JsonObject { ["index"] = least.Argument, ["value"] = least.Value, ["op"] = "SCMP_CMP_GE" },
        _ => throw new InvalidOperationException("tests of single bits stand alone"),
    };
}
