using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.ResourceServer.Applying;

namespace Rynxs.ResourceServer.Tests.Applying;

public sealed class FieldSetTests
{
    [Fact]
    public void A_set_is_written_with_fields_keys_values_and_members_of_inner_nodes()
    {
        FieldSet set = new();
        set.Insert([PathElement.Field("spec"), PathElement.Field("ports"), PathElement.Key(Things.Json("""{"protocol":"TCP","port":80}"""))]);
        set.Insert([PathElement.Field("spec"), PathElement.Field("ports"), PathElement.Key(Things.Json("""{"port":80,"protocol":"TCP"}""")), PathElement.Field("name")]);
        set.Insert([PathElement.Field("spec"), PathElement.Field("set"), PathElement.Value("<a>")]);
        set.Insert([PathElement.Field("spec"), PathElement.Field("numbers"), PathElement.Value(10)]);
        set.Insert([PathElement.Field("spec"), PathElement.Field("numbers"), PathElement.Value(9.0)]);

        set.Encode().ToJsonString(new() { Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping }).ShouldBe(
            """{"f:spec":{"f:numbers":{"v:9":{},"v:10":{}},"f:ports":{"k:{\"port\":80,\"protocol\":\"TCP\"}":{".":{},"f:name":{}}},"f:set":{"v:\"\\u003ca\\u003e\"":{}}}}""");
        set.Paths().Select(path => string.Concat(path)).ShouldBe(
        [
            ".spec.numbers[=9]", ".spec.numbers[=10]", """.spec.ports[port=80,protocol="TCP"]""", """.spec.ports[port=80,protocol="TCP"].name""", """.spec.set[="<a>"]""",
        ]);
    }

    [Theory]
    [InlineData("""{"f":{}}""")]
    [InlineData("""{"fspec":{}}""")]
    [InlineData("""{"k:[1]":{}}""")]
    [InlineData("""{"k:{":{}}""")]
    [InlineData("""{"v:":{}}""")]
    [InlineData("""{"i:x":{}}""")]
    [InlineData("""{"f:spec":1}""")]
    [InlineData("""[]""")]
    public void Malformed_fields_are_refused(string fields) => Should.Throw<FormatException>(() => FieldSet.Decode(JsonNode.Parse(fields)));

    [Fact]
    public void Steps_of_unknown_kinds_are_skipped() =>
        FieldSet.Decode(JsonNode.Parse("""{"z:new":{},"f:a":{}}""")).Encode().ToJsonString().ShouldBe("""{"f:a":{}}""");

    [Fact]
    public void Every_set_survives_its_encoding() =>
        Prop.ForAll(Sets, set => FieldSet.Decode(JsonNode.Parse(set.Encode().ToJsonString())).SameAs(set)).Check(Quick);

    [Fact]
    public void Sets_obey_the_laws_of_sets() =>
        Prop.ForAll(Sets, Sets, Sets, (a, b, c) =>
            a.Union(b).SameAs(b.Union(a))
            && a.Intersection(b).SameAs(b.Intersection(a))
            && a.Union(b.Union(c)).SameAs(a.Union(b).Union(c))
            && a.Difference(b).SameAs(a.Difference(a.Intersection(b)))
            && a.Difference(b).Union(a.Intersection(b)).SameAs(a)
            && a.Difference(b).Intersection(b).IsEmpty
            && a.RecursiveDifference(b).Difference(a.Difference(b)).IsEmpty
            && a.Difference(a).IsEmpty
            && a.Union(a).SameAs(a)).Check(Quick);

    private static Arbitrary<FieldSet> Sets { get; } = Arb.From(
        from paths in Gen.ListOf(Gen.NonEmptyListOf(Element()))
        select paths.Take(8).Aggregate(new FieldSet(), (set, path) =>
        {
            set.Insert([.. path.Take(4)]);
            return set;
        }));

    private static Gen<PathElement> Element() => Gen.Elements(
        PathElement.Field("a"), PathElement.Field("b.c"), PathElement.Field("é"), PathElement.Field(""), PathElement.Key(Things.Json("""{"name":"x"}""")), PathElement.Key(Things.Json("""{"name":1}""")),
        PathElement.Value("a"), PathElement.Value(1), PathElement.Value(1.5), PathElement.Value(true), PathElement.Value(null), PathElement.Index(0));

    private static Config Quick => Config.QuickThrowOnFailure.WithMaxTest(300);
}
