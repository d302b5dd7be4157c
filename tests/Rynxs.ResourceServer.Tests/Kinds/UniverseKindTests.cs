using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Schemas;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.ResourceServer.Tests.Kinds;

public sealed class UniverseKindTests
{
    [Fact]
    public void Every_kind_is_served_with_the_names_and_fields_of_its_type()
    {
        foreach (ResourceType type in ResourceTypes.All)
        {
            ServedKind kind = Kind(type.Kind);

            kind.ApiVersion.ShouldBe(Resource.GroupVersion);
            (kind.Plural, kind.Singular, kind.Namespaced, kind.HasStatus).ShouldBe((type.Plural, type.Singular, type.Namespaced, true));
            kind.ShortNames.ShouldBe(type.ShortNames);
            kind.SelectableFields.Keys.ShouldBe(type.SelectableFields.Keys, ignoreOrder: true);
            kind.Columns[^1].Name.ShouldBe("Age");
        }
    }

    [Fact]
    public void Agent_manifest_of_the_seed_applies_unchanged()
    {
        JsonObject agent = Agent();

        Complete("Agent", agent).ShouldBeEmpty();

        agent["spec"]!["image"]!.GetValue<string>().ShouldBe("python:3.11-slim", "what was applied is what is kept");
        agent["spec"]!["tools"]!["allow"]!.AsArray().Select(tool => tool!.GetValue<string>()).ShouldBe(["sandbox.*", "fs.*", "task.complete"]);
        agent["spec"]!["limits"]!["timeoutSeconds"]!.GetValue<int>().ShouldBe(60);
        ResourceJson.Deserialize(System.Text.Encoding.UTF8.GetBytes(agent.ToJsonString()), ResourceTypes.Agent).Metadata.Name.ShouldBe("my-agent");
    }

    [Theory]
    [InlineData("""{"repository":"python","tag":"3.12"}""", null)]
    [InlineData("\"a b\"", "spec.image")]
    [InlineData("5", "spec.image")]
    [InlineData("""{"tag":"3.12"}""", "spec.image.repository")]
    public void Image_is_a_text_or_an_object(string image, string? field)
    {
        JsonObject agent = Agent();
        agent["spec"]!["image"] = JsonNode.Parse(image);

        Complete("Agent", agent).Select(cause => cause.Field).Where(found => found != "<nil>").ShouldBe(field is null ? [] : [field]);
    }

    [Theory]
    [InlineData("""{"role":"emperor"}""", "spec.role|FieldValueNotSupported|Unsupported value: \"emperor\": supported values: \"worker\", \"manager\", \"director\", \"sandbox\"")]
    [InlineData("""{"provider":{"kind":"openai"}}""", "spec.provider.model|FieldValueRequired|Required value: provider.kind openai needs the name of a model")]
    [InlineData("""{"tools":{"allow":["no.such"]}}""", "spec.tools.allow[0]|FieldValueNotSupported|")]
    [InlineData("""{"limits":{"pids":0}}""", "spec.limits.pids|FieldValueInvalid|Invalid value: 0: spec.limits.pids in body should be greater than or equal to 1")]
    [InlineData("""{"resources":{"requests":{"cpu":2},"limits":{"cpu":"1"}}}""", "spec.resources.requests[cpu]|FieldValueInvalid|")]
    [InlineData("""{"sandbox":{"runtime":"firecracker"}}""", "spec.sandbox.runtime|FieldValueNotSupported|")]
    public void Rules_of_the_schema_and_of_the_records_are_told_once(string spec, string cause)
    {
        JsonObject agent = Agent();
        agent["spec"] = JsonNode.Parse(spec);

        IReadOnlyList<StatusCause> causes = Complete("Agent", agent);

        causes.Where(found => found.Field != "<nil>").Select(found => $"{found.Field}|{found.Reason}|{found.Message}").ShouldHaveSingleItem().ShouldStartWith(cause);
    }

    [Fact]
    public void E5_a_decision_is_written_once_and_never_by_the_requester()
    {
        JsonObject open = Approval();
        JsonObject approved = Approval();
        approved["status"] = Status("Approved", "principal:ada");
        JsonObject rejected = Approval();
        rejected["status"] = Status("Rejected", "principal:ada");
        JsonObject own = Approval();
        own["status"] = Status("Approved", "principal:bob");
        JsonObject changed = Approval();
        changed["spec"]!["tool"] = "other.tool";

        Complete("Approval", approved, open).ShouldBeEmpty();
        Complete("Approval", rejected, approved).Select(cause => cause.Field).ShouldContain("status.decision");
        Complete("Approval", own, open).Select(cause => $"{cause.Field}|{cause.Message}").ShouldHaveSingleItem().ShouldBe("status.approver|Forbidden: who requests never approves");
        Complete("Approval", changed, open).Select(cause => $"{cause.Field}|{cause.Reason}").ShouldHaveSingleItem().ShouldBe("spec|FieldValueForbidden");
    }

    private static JsonObject Status(string decision, string approver) =>
        new() { ["decision"] = decision, ["approver"] = approver, ["decidedAt"] = "2026-01-01T00:00:00Z" };

    private static JsonObject Approval() => (JsonObject)JsonNode.Parse($$"""
        {"apiVersion":"universe.ai/v1alpha1","kind":"Approval","metadata":{"name":"a","namespace":"rynxs"},
         "spec":{"kind":"tool","subjectHash":"{{new string('a', 64)}}","requester":"principal:bob","expires":"2026-12-01T00:00:00Z","tool":"fs.write"} }
        """)!;

    private static JsonObject Agent() => (JsonObject)JsonNode.Parse("""
        {"apiVersion":"universe.ai/v1alpha1","kind":"Agent","metadata":{"name":"my-agent","namespace":"rynxs"},
         "spec":{"role":"sandbox","image":"python:3.11-slim","resources":{"requests":{"memory":"256Mi","cpu":"100m"}}}}
        """)!;

    private static ServedKind Kind(string kind) => UniverseKinds.All.Single(candidate => candidate.Kind == kind);

    private static IReadOnlyList<StatusCause> Complete(string name, JsonObject document, JsonObject? old = null)
    {
        ServedKind kind = Kind(name);
        SchemaPruner.Prune(document, kind.Schema).ShouldBeEmpty();
        SchemaDefaulter.Default(document, kind.Schema);
        kind.ExtraDefaulting?.Invoke(document);
        return KindValidator.Validate(kind, document, old);
    }
}
