using System.Text.Json.Nodes;
using Rynxs.Cli.Objects;

namespace Rynxs.EndToEndTests;

/// <summary>The three-way patch of plain apply: last time's manifest, this one, and the object.</summary>
public sealed class LastAppliedTests
{
    [Theory]
    [InlineData("""{"a":1,"b":2}""", """{"a":1}""", """{"a":1,"b":2,"c":3}""", """{"b":null}""")]
    [InlineData("""{"a":1}""", """{"a":1}""", """{"a":9,"c":3}""", """{"a":1}""")]
    [InlineData("""{"a":1}""", """{"a":1}""", """{"a":1,"c":3}""", """{}""")]
    [InlineData("""{"m":{"x":1,"y":2}}""", """{"m":{"x":5}}""", """{"m":{"x":1,"y":2,"z":3}}""", """{"m":{"x":5,"y":null}}""")]
    [InlineData("""{"m":{"x":1}}""", """{"m":"text"}""", """{"m":{"x":1,"z":3}}""", """{"m":"text"}""")]
    [InlineData("""{"l":[1,2]}""", """{"l":[2]}""", """{"l":[1,2,3]}""", """{"l":[2]}""")]
    [InlineData("""{"a":1,"b":2}""", """{"a":1}""", """{"a":1}""", """{}""")]
    [InlineData("null", """{"a":1}""", """{"b":2}""", """{"a":1}""")]
    [InlineData("null", """{"a":null,"b":null}""", """{"b":2}""", """{"b":null}""")]
    public void Sets_what_is_said_removes_what_is_said_no_more_and_leaves_the_rest(string last, string wanted, string live, string patch) =>
        LastApplied.Patch(JsonNode.Parse(last) as JsonObject, Map(wanted), Map(live)).ToJsonString().ShouldBe(patch);

    [Fact]
    public void A_document_remembers_itself_without_what_only_the_server_writes_and_without_its_own_note()
    {
        JsonObject given = Map("""{"kind":"X","metadata":{"name":"n","uid":"u","resourceVersion":"5","annotations":{"a":"b"}},"status":{"s":1},"spec":{"v":1}}""");

        JsonObject wanted = LastApplied.Wanted(given, remembers: true);

        wanted["status"].ShouldBeNull();
        wanted["metadata"]?["uid"].ShouldBeNull();
        LastApplied.Of(wanted).ShouldNotBeNull().ToJsonString().ShouldBe("""{"kind":"X","metadata":{"name":"n","annotations":{"a":"b"}},"spec":{"v":1}}""");
        LastApplied.Wanted(wanted, remembers: true).ToJsonString().ShouldBe(wanted.ToJsonString(), "a get of it can be applied again");
        LastApplied.Of(Map("""{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"no json"}}}""")).ShouldBeNull();
    }

    private static JsonObject Map(string text) => (JsonObject)(JsonNode.Parse(text) ?? new JsonObject());
}
