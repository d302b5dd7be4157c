using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.ResourceServer.Applying;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Patching;
using Rynxs.ResourceServer.Schemas;
using Rynxs.ResourceServer.Tests.Applying;
using Rynxs.Resources.Serialization;

namespace Rynxs.ResourceServer.Tests.Patching;

public sealed class StrategicMergePatchTests
{
    private static readonly StructuralSchema Pod = BuiltInKinds.All.Single(kind => kind is { Kind: "Pod", Group: "" }).Schema;

    [Theory]
    [InlineData("""[{"name":"b","image":"2"}]""", """[{"name":"a","image":"1"},{"name":"b","image":"2"}]""")]
    [InlineData("""[{"name":"c","image":"3"}]""", """[{"name":"c","image":"3"},{"name":"a","image":"1"},{"name":"b","image":"1"}]""")]
    [InlineData("""[{"name":"a","$patch":"delete"}]""", """[{"name":"b","image":"1"}]""")]
    [InlineData("""[{"$patch":"replace"},{"name":"z","image":"9"}]""", """[{"name":"z","image":"9"}]""")]
    [InlineData("""[{"name":"a","image":null}]""", """[{"name":"a"},{"name":"b","image":"1"}]""")]
    [InlineData("""[]""", """[{"name":"a","image":"1"},{"name":"b","image":"1"}]""")]
    public void Containers_are_merged_by_their_names(string containers, string expected)
    {
        JsonObject live = Things.Json("""{"spec":{"containers":[{"name":"a","image":"1"},{"name":"b","image":"1"}]}}""");
        JsonObject patch = new() { ["spec"] = new JsonObject { ["containers"] = JsonNode.Parse(containers) } };
        StrategicMergePatch.Apply(live, patch, Pod)["spec"]!["containers"]!.ToJsonString().ShouldBe(expected);
    }

    [Theory]
    [InlineData("""{"metadata":{"finalizers":["a/b","a/c"]}}""", """["a/a","a/b","a/c"]""")]
    [InlineData("""{"metadata":{"$deleteFromPrimitiveList/finalizers":["a/a"]}}""", """["a/b"]""")]
    [InlineData("""{"metadata":{"$setElementOrder/finalizers":["a/b","a/a"]}}""", """["a/b","a/a"]""")]
    public void Lists_of_texts_are_merged_deleted_from_and_ordered(string patch, string expected)
    {
        JsonObject live = Things.Json("""{"metadata":{"finalizers":["a/a","a/b"]}}""");
        StrategicMergePatch.Apply(live, Things.Json(patch), Pod)["metadata"]!["finalizers"]!.ToJsonString().ShouldBe(expected);
    }

    [Theory]
    [InlineData("""{"spec":{"containers":[{"image":"1"}]}}""", 500, "map: map[image:1] does not contain declared merge key: name")]
    [InlineData("""{"spec":{"containers":[{"name":"a","$patch":"odd"}]}}""", 500, "unknown patch type: odd in map: map[$patch:odd name:a]")]
    [InlineData("""{"spec":{"containers":[{"name":"a","$patch":"merge"}]}}""", 500, "merging lists cannot yet be specified in the patch")]
    [InlineData("""{"spec":{"$retainKeys":"x"}}""", 400, "invalid patch format of retainKeys")]
    [InlineData("""{"spec":{"$retainKeys":["a"],"nodeName":"b"}}""", 400, "invalid patch format of retainKeys")]
    public void A_patch_that_does_not_fit_is_refused_in_the_real_servers_words(string patch, int status, string message)
    {
        JsonObject live = Things.Json("""{"spec":{"containers":[{"name":"a","image":"1"}]}}""");
        PatchException e = Should.Throw<PatchException>(() => StrategicMergePatch.Apply(live, Things.Json(patch), Pod));
        (e.StatusCode, e.Message).ShouldBe((status, message));
    }

    [Fact]
    public void Without_lists_and_directives_it_is_a_merge_patch() =>
        Prop.ForAll(RandomJson.Objects, RandomJson.Objects, (document, patch) =>
        {
            JsonObject plain = WithoutLists(document);
            JsonObject change = WithoutLists(patch);
            return DocumentValue.Same(StrategicMergePatch.Apply(plain, change, StructuralSchema.Anything), MergePatch.Apply(plain, change));
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [Fact]
    public void Random_patches_end_in_a_document_or_a_refusal() =>
        Prop.ForAll(RandomJson.Objects, RandomJson.Objects, (document, patch) =>
        {
            string before = document.ToJsonString() + patch.ToJsonString();
            try
            {
                StrategicMergePatch.Apply(document, patch, StructuralSchema.Anything);
            }
            catch (PatchException e) when (e.StatusCode is 400 or 422 or 500)
            {
                // a refusal
            }

            return document.ToJsonString() + patch.ToJsonString() == before;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1" ? 50_000 : 1_000));

    /// <summary>What the two kinds of patch differ in: directives, and nulls that have nothing to remove.</summary>
    private static JsonObject WithoutLists(JsonObject document) => new([.. document
        .Where(member => member.Value is not JsonArray && member.Key != "$patch")
        .Select(member => KeyValuePair.Create(member.Key, member.Value is JsonObject below ? WithoutLists(below) : member.Value?.DeepClone()))]);
}
