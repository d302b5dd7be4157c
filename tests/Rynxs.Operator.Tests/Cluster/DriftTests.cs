using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Operator.Cluster;

namespace Rynxs.Operator.Tests.Cluster;

public sealed class DriftTests
{
    [Theory]
    [InlineData("""{"a":1}""", """{"a":1,"b":2}""", true)]
    [InlineData("""{"a":1}""", """{"a":2}""", false)]
    [InlineData("""{"a":{"b":"x"}}""", """{"a":{"b":"x","defaulted":true}}""", true)]
    [InlineData("""{"a":[{"n":"x"}]}""", """{"a":[{"n":"x","d":1}]}""", true)]
    [InlineData("""{"a":[{"n":"x"}]}""", """{"a":[{"n":"x"},{"n":"added"}]}""", false)]
    [InlineData("""{"a":[{"n":"x"},{"n":"y"}]}""", """{"a":[{"n":"y"},{"n":"x"}]}""", false)]
    [InlineData("""{"a":[]}""", """{}""", true)]
    [InlineData("""{"a":{}}""", """{"a":null}""", true)]
    [InlineData("""{"a":[]}""", """{"a":[1]}""", false)]
    [InlineData("""{"storage":"1024Mi"}""", """{"storage":"1Gi"}""", true)]
    [InlineData("""{"storage":"2Gi"}""", """{"storage":"1Gi"}""", false)]
    [InlineData("""{"a":false}""", """{}""", false)]
    [InlineData("""{"a":true}""", """{"a":"true"}""", false)]
    public void What_is_wanted_is_there_or_is_not(string wanted, string found, bool there) =>
        Drift.IsThere(JsonNode.Parse(wanted), JsonElement.Parse(found)).ShouldBe(there);
}
