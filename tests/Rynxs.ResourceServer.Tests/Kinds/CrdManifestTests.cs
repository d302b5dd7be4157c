using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using System.Xml.Linq;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Meta;

namespace Rynxs.ResourceServer.Tests.Kinds;

/// <summary>crds/*.yaml is generated: set RYNXS_WRITE_CRDS=1 and run this class to write it anew.</summary>
public sealed class CrdManifestTests
{
    private const string WriteVariable = "RYNXS_WRITE_CRDS";

    public static TheoryData<string> Kinds => [.. ResourceTypes.All.Select(type => type.Kind)];

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Manifest_in_crds_is_the_one_that_the_records_give(string kind)
    {
        ResourceType type = TypeOf(kind);
        string made = Generate(type);
        string path = Path.Combine(CrdDirectory(), CrdManifests.FileName(type));
        if (Environment.GetEnvironmentVariable(WriteVariable) == "1")
            File.WriteAllText(path, made);

        File.ReadAllText(path).ShouldBe(made, $"crds/ drifted from the records; run this class with {WriteVariable}=1");
    }

    [Theory]
    [MemberData(nameof(Kinds))]
    public void Manifest_in_the_assembly_reads_back_as_what_was_written(string kind)
    {
        ResourceType type = TypeOf(kind);

        JsonNode.DeepEquals(CrdManifests.Of(type), CustomResourceDefinition.Of(type, Documentation())).ShouldBeTrue();
    }

    [Fact]
    public void No_other_files_are_in_crds() =>
        Directory.EnumerateFiles(CrdDirectory()).Select(Path.GetFileName).Order()
            .ShouldBe(ResourceTypes.All.Select(CrdManifests.FileName).Order());

    private static string Generate(ResourceType type) =>
        $"# Generated from the records of Rynxs.Resources; do not edit. See docs/resources.md.\n{YamlWriter.Write(CustomResourceDefinition.Of(type, Documentation()))}";

    private static XDocument Documentation() => XDocument.Load(Path.Combine(AppContext.BaseDirectory, "Rynxs.Resources.xml"));

    private static ResourceType TypeOf(string kind) => ResourceTypes.TryFindKind(kind, out ResourceType? type) ? type : throw new ArgumentException(kind, nameof(kind));

    private static string CrdDirectory([CallerFilePath] string thisFile = "")
    {
        // The source path of a deterministic build is not the machine's: the repository is searched from where the tests run.
        for (DirectoryInfo? directory = new(AppContext.BaseDirectory); directory is not null; directory = directory.Parent)
        {
            if (File.Exists(Path.Combine(directory.FullName, "Rynxs.slnx")))
                return Path.Combine(directory.FullName, "crds");
        }

        throw new DirectoryNotFoundException($"No Rynxs.slnx above {AppContext.BaseDirectory}.");
    }
}
