using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace Rynxs.ArchitectureTests;

/// <summary>
/// The arrows of docs/architecture.md: which assembly may reference which. An assembly exists because it runs with other rights, ships
/// alone, or must not see something, so a new arrow is a decision, not a convenience.
/// </summary>
public sealed class AssemblyArrowTests
{
    private static readonly Dictionary<string, string[]> Allowed = new()
    {
        ["Rynxs.Ledger"] = [],
        ["Rynxs.Ledger.Verifier"] = [],
        ["Rynxs.Ledger.Stores"] = ["Rynxs.Ledger"],
        ["Rynxs.Policy"] = [],
        ["Rynxs.Resources"] = [],
        ["Rynxs.ResourceServer"] = ["Rynxs.Resources"],
        ["Rynxs.Kubernetes"] = ["Rynxs.Resources"],
        ["Rynxs.Sandbox"] = ["Rynxs.Ledger", "Rynxs.Policy"],
        ["Rynxs.Gateway"] = ["Rynxs.Ledger", "Rynxs.Policy"],
        ["Rynxs.Agents"] = ["Rynxs.Resources", "Rynxs.Ledger", "Rynxs.Policy", "Rynxs.Sandbox"],
        ["Rynxs.Operator"] = ["Rynxs.Resources", "Rynxs.Kubernetes", "Rynxs.Ledger", "Rynxs.Policy", "Rynxs.Sandbox"],
        ["Rynxs.Server"] =
        [
            "Rynxs.Ledger", "Rynxs.Ledger.Stores", "Rynxs.Ledger.Verifier", "Rynxs.Policy", "Rynxs.Resources", "Rynxs.ResourceServer", "Rynxs.Sandbox",
            "Rynxs.Gateway", "Rynxs.Agents", "Rynxs.Kubernetes", "Rynxs.Operator",
        ],
        ["rynxs"] = ["Rynxs.Resources", "Rynxs.Ledger", "Rynxs.Ledger.Stores", "Rynxs.Ledger.Verifier", "Rynxs.Server"],
    };

    /// <summary>The ledger and its verifier use the base class library alone, so that they can ship alone.</summary>
    private static readonly string[] BclOnly = ["Rynxs.Ledger", "Rynxs.Ledger.Verifier", "Rynxs.Policy"];

    public static TheoryData<string> Assemblies => [.. Allowed.Keys];

    [Theory]
    [MemberData(nameof(Assemblies))]
    public void Assembly_references_only_what_the_design_allows(string assembly)
    {
        string[] ours = [.. References(assembly).Where(IsOurs)];

        ours.Except(Allowed[assembly]).ShouldBeEmpty($"{assembly} must not reference these");
    }

    [Fact]
    public void Ledger_verifier_and_policy_use_the_base_class_library_alone()
    {
        foreach (string assembly in BclOnly)
        {
            References(assembly).Where(name => !name.StartsWith("System", StringComparison.Ordinal) && name != "netstandard")
                .ShouldBeEmpty(assembly);
        }
    }

    [Fact]
    public void Every_assembly_of_the_output_is_named_in_the_table()
    {
        IEnumerable<string> built = Directory.EnumerateFiles(AppContext.BaseDirectory, "*.dll")
            .Select(path => Path.GetFileNameWithoutExtension(path))
            .Where(name => IsOurs(name) && name != Assembly.GetExecutingAssembly().GetName().Name);

        built.Except(Allowed.Keys).ShouldBeEmpty("a new assembly needs its arrows in the table and in docs/architecture.md");
        Allowed.Keys.Except(built).ShouldBeEmpty("the table names assemblies that are not built");
    }

    [Fact]
    public void The_check_sees_a_reference_when_there_is_one()
    {
        // Positive control: this very assembly references Shouldly, and the reader must see it.
        References(Assembly.GetExecutingAssembly().GetName().Name!).ShouldContain("Shouldly");
    }

    private static bool IsOurs(string name) => name.StartsWith("Rynxs.", StringComparison.Ordinal) || name == "rynxs";

    private static IReadOnlyList<string> References(string assembly)
    {
        using FileStream file = File.OpenRead(Path.Combine(AppContext.BaseDirectory, assembly + ".dll"));
        using var image = new PEReader(file);
        MetadataReader metadata = image.GetMetadataReader();
        return [.. metadata.AssemblyReferences.Select(handle => metadata.GetString(metadata.GetAssemblyReference(handle).Name))];
    }
}
