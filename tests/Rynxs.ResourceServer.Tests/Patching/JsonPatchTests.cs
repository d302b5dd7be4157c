using System.Text.Json;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.ResourceServer.Applying;
using Rynxs.ResourceServer.Patching;
using Rynxs.ResourceServer.Tests.Applying;

namespace Rynxs.ResourceServer.Tests.Patching;

public sealed class JsonPatchTests
{
    private const string Document = """{"a":{"b":1,"list":[1,2,3],"n":null},"x/y":1,"m~n":2}""";

    /// <summary>Each answer is what kube-apiserver 1.36.2 gave for the same operation.</summary>
    [Theory]
    [InlineData("""[{"op":"add","path":"/a/c","value":{"d":1}}]""", """{"a":{"b":1,"list":[1,2,3],"n":null,"c":{"d":1}},"x/y":1,"m~n":2}""")]
    [InlineData("""[{"op":"add","path":"/a/list/-","value":4}]""", """{"a":{"b":1,"list":[1,2,3,4],"n":null},"x/y":1,"m~n":2}""")]
    [InlineData("""[{"op":"add","path":"/a/list/1","value":9}]""", """{"a":{"b":1,"list":[1,9,2,3],"n":null},"x/y":1,"m~n":2}""")]
    [InlineData("""[{"op":"add","path":"/a/list/-1","value":9}]""", """{"a":{"b":1,"list":[1,2,3,9],"n":null},"x/y":1,"m~n":2}""")]
    [InlineData("""[{"op":"add","path":"/a/none"}]""", """{"a":{"b":1,"list":[1,2,3],"n":null,"none":null},"x/y":1,"m~n":2}""")]
    [InlineData("""[{"op":"remove","path":"/a/list/0"}]""", """{"a":{"b":1,"list":[2,3],"n":null},"x/y":1,"m~n":2}""")]
    [InlineData("""[{"op":"remove","path":"/x~1y"},{"op":"remove","path":"/m~0n"}]""", """{"a":{"b":1,"list":[1,2,3],"n":null}}""")]
    [InlineData("""[{"op":"replace","path":"/a/b","value":"t"}]""", """{"a":{"b":"t","list":[1,2,3],"n":null},"x/y":1,"m~n":2}""")]
    [InlineData("""[{"op":"replace","path":"/a/new","value":1}]""", """{"a":{"b":1,"list":[1,2,3],"n":null,"new":1},"x/y":1,"m~n":2}""")]
    [InlineData("""[{"op":"replace","path":"","value":{"a":1}}]""", """{"a":1}""")]
    [InlineData("""[{"op":"move","from":"/a/list","path":"/list"}]""", """{"a":{"b":1,"n":null},"x/y":1,"m~n":2,"list":[1,2,3]}""")]
    [InlineData("""[{"op":"move","from":"/a/b","path":"/a/b"}]""", """{"a":{"list":[1,2,3],"n":null,"b":1},"x/y":1,"m~n":2}""")]
    [InlineData("""[{"op":"copy","from":"/a","path":"/a/self"}]""", """{"a":{"b":1,"list":[1,2,3],"n":null,"self":{"b":1,"list":[1,2,3],"n":null}},"x/y":1,"m~n":2}""")]
    [InlineData("""[{"op":"copy","from":"/a/none","path":"/c"}]""", """{"a":{"b":1,"list":[1,2,3],"n":null},"x/y":1,"m~n":2,"c":null}""")]
    [InlineData("""[{"op":"test","path":"/a/list","value":[1,2,3]},{"op":"test","path":"/a/n","value":null},{"op":"test","path":"/none"}]""", Document)]
    [InlineData("""[]""", Document)]
    public void An_operation_does_what_a_real_server_does(string patch, string expected) =>
        Apply(Document, patch).ToJsonString(Relaxed).ShouldBe(expected);

    [Theory]
    [InlineData("""[{"op":"test","path":"/a/b","value":2}]""")]
    [InlineData("""[{"op":"test","path":"","value":{}}]""")]
    [InlineData("""[{"op":"remove","path":"/a/none"}]""")]
    [InlineData("""[{"op":"remove","path":""}]""")]
    [InlineData("""[{"op":"remove","path":"/a/b/c"}]""")]
    [InlineData("""[{"op":"add","path":"","value":{}}]""")]
    [InlineData("""[{"op":"add","path":"/none/c","value":1}]""")]
    [InlineData("""[{"op":"add","path":"/a/list/4","value":1}]""")]
    [InlineData("""[{"op":"add","path":"/a/list/x","value":1}]""")]
    [InlineData("""[{"op":"replace","path":"/a/list/-","value":1}]""")]
    [InlineData("""[{"op":"replace","path":"/a/list/3","value":1}]""")]
    [InlineData("""[{"op":"replace","path":"","value":[1]}]""")]
    [InlineData("""[{"op":"move","from":"/a","path":"/a/inside"}]""")]
    [InlineData("""[{"op":"move","from":"","path":"/z"}]""")]
    [InlineData("""[{"op":"copy","from":"","path":"/z"}]""")]
    [InlineData("""[{"op":"bogus","path":"/a"}]""")]
    [InlineData("""[{"path":"/a"}]""")]
    [InlineData("""[null]""")]
    public void An_operation_that_fails_has_the_one_answer_for_that(string patch)
    {
        PatchException e = Should.Throw<PatchException>(() => Apply(Document, patch));
        (e.StatusCode, e.Reason, e.Message, e.HasDetails).ShouldBe((422, "Invalid", "the server rejected our request due to an error in our request", true));
    }

    [Theory]
    [InlineData("""[5]""", "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp")]
    [InlineData("""[{"op":"add","path":5}]""", "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.path of type string")]
    public void What_is_no_operation_is_a_bad_request(string patch, string message)
    {
        PatchException e = Should.Throw<PatchException>(() => Apply(Document, patch));
        (e.StatusCode, e.Message).ShouldBe((400, message));
    }

    [Fact]
    public void G3_the_number_of_operations_is_bounded()
    {
        JsonArray patch = new([.. Enumerable.Range(0, JsonPatch.MaxOperations).Select(_ => (JsonNode)Things.Json("""{"op":"test","path":"/a/b","value":1}"""))]);
        JsonPatch.Apply(Things.Json(Document), patch); // positive control: as many as may be

        patch.Add((JsonNode)Things.Json("""{"op":"test","path":"/a/b","value":1}"""));
        PatchException e = Should.Throw<PatchException>(() => JsonPatch.Apply(Things.Json(Document), patch));
        (e.StatusCode, e.Reason, e.Message).ShouldBe(
            (413, "RequestEntityTooLarge", "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"));
    }

    /// <summary>CVE-2019-11253 in the form that JSON patches have: each copy doubles the document.</summary>
    [Fact]
    public void G3_copies_cannot_grow_a_document_without_bound()
    {
        string Doubling(int times) => "[" + string.Join(",", Enumerable.Range(0, times).Select(i => $$"""{"op":"copy","from":"/a","path":"/a/c{{i}}"}""")) + "]";
        Apply(Document, Doubling(10)).ShouldNotBeNull(); // positive control

        Should.Throw<PatchException>(() => Apply(Document, Doubling(40))).StatusCode.ShouldBe(422);
    }

    [Fact]
    public void G3_moves_cannot_nest_a_document_without_bound()
    {
        IEnumerable<string> Nesting(int times) => Enumerable.Range(0, times).SelectMany(i =>
            new[] { $$"""{"op":"add","path":"/k{{i + 1}}","value":{} }""", $$"""{"op":"move","from":"/k{{i}}","path":"/k{{i + 1}}/x"}""" });
        Apply("""{"k0":{}}""", $"[{string.Join(",", Nesting(100))}]").ShouldNotBeNull(); // positive control

        Should.Throw<PatchException>(() => Apply("""{"k0":{}}""", $"[{string.Join(",", Nesting(4000))}]")).StatusCode.ShouldBe(422);
    }

    [Fact]
    public void A_difference_applied_as_operations_gives_the_other_document() =>
        Prop.ForAll(RandomJson.Objects, RandomJson.Objects, (from, to) =>
        {
            JsonArray patch = [];
            Difference("", from, to, patch);
            return DocumentValue.Same(JsonPatch.Apply(from, patch), to);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [Fact]
    public void Random_patches_end_in_a_document_or_a_refusal() =>
        Prop.ForAll(RandomJson.Objects, RandomJson.Patches, (document, patch) =>
        {
            string before = document.ToJsonString();
            try
            {
                JsonPatch.Apply(document, patch);
            }
            catch (PatchException e) when (e.StatusCode is 400 or 422)
            {
                // a refusal
            }

            return document.ToJsonString() == before; // either way the argument is as it was
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1" ? 50_000 : 1_000));

    private static void Difference(string path, JsonObject from, JsonObject to, JsonArray patch)
    {
        foreach ((string name, JsonNode? value) in from)
        {
            string at = $"{path}/{name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal)}";
            if (!to.TryGetPropertyValue(name, out JsonNode? other))
                patch.Add((JsonNode)new JsonObject { ["op"] = "remove", ["path"] = at });
            else if (value is JsonObject below && other is JsonObject otherBelow)
                Difference(at, below, otherBelow, patch);
            else
                patch.Add((JsonNode)new JsonObject { ["op"] = "replace", ["path"] = at, ["value"] = other?.DeepClone() });
        }

        foreach ((string name, JsonNode? value) in to.Where(member => !from.ContainsKey(member.Key)))
        {
            string at = $"{path}/{name.Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal)}";
            patch.Add((JsonNode)new JsonObject { ["op"] = "add", ["path"] = at, ["value"] = value?.DeepClone() });
        }
    }

    private static JsonObject Apply(string document, string patch) => JsonPatch.Apply(Things.Json(document), JsonNode.Parse(patch)!.AsArray());

    private static readonly JsonSerializerOptions Relaxed = new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
}
