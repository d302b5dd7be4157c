using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Schemas;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Meta;

namespace Rynxs.ResourceServer.Tests.Kinds;

public sealed class CustomResourceDefinitionTests
{
    private static readonly DateTimeOffset Now = new(2026, 11, 21, 23, 4, 10, TimeSpan.Zero);

    [Fact]
    public void Recorded_definition_becomes_a_kind()
    {
        ServedKind widget = Widget();

        widget.ApiVersion.ShouldBe("example.universe.ai/v1alpha1");
        (widget.Kind, widget.ListKind, widget.Plural, widget.Singular, widget.Namespaced, widget.HasStatus).ShouldBe(("Widget", "WidgetList", "widgets", "widget", true, true));
        widget.ShortNames.ShouldBe(["wd"]);
        widget.Categories.ShouldBe(["all"]);
        widget.Scale.ShouldBe(new ScalePaths(".spec.replicas", ".status.replicas", null));
        widget.Columns.Select(column => column.Name).ShouldBe(["Role", "Ready", "Age"]);
        widget.Schema.Properties["metadata"].Properties.Keys.ShouldContain("managedFields");
        widget.Schema.Properties["spec"].Properties["ports"].ListMapKeys.ShouldBe(["name"]);
    }

    public static TheoryData<string> RecordedErrors =>
    [
        "bad name", "no name", "enum, pattern and maximum at once", "required missing", "wrong type", "CEL rule", "duplicate set item", "duplicate map key", "bad label",
    ];

    [Theory]
    [MemberData(nameof(RecordedErrors))]
    public void Recorded_causes_of_a_custom_resource_are_ours(string name)
    {
        JsonObject exchange = Exchange("errors.json", name);
        JsonObject document = (JsonObject)exchange["request"]!["body"]!.DeepClone(); // Both are in every exchange of this list.
        document["metadata"]!["namespace"] = "t1"; // As the pipeline does from the path.
        ServedKind widget = Widget();
        SchemaPruner.Prune(document, widget.Schema);
        SchemaDefaulter.Default(document, widget.Schema);

        string[] due = [.. exchange["response"]!["body"]!["details"]!["causes"]!.AsArray().Select(cause => $"{cause!["field"]}|{cause["reason"]}|{cause["message"]}")];
        KindValidator.Validate(widget, document, null).Select(cause => $"{cause.Field}|{cause.Reason}|{cause.Message}").Order(StringComparer.Ordinal)
            .ShouldBe(due.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Status_is_the_one_that_the_real_server_writes()
    {
        JsonObject definition = Definition();
        CustomResourceDefinitions.Default(definition);
        JsonNode real = Exchange("crd.json", "established CRD")["response"]!["body"]!["status"]!;

        JsonObject status = CustomResourceDefinitions.Status(definition, BuiltInKinds.All, Now);

        JsonNode.DeepEquals(status["acceptedNames"], real["acceptedNames"]).ShouldBeTrue(status.ToJsonString());
        JsonNode.DeepEquals(status["storedVersions"], real["storedVersions"]).ShouldBeTrue();
        status["conditions"]!.AsArray().Select(Short).ShouldBe(real["conditions"]!.AsArray().Select(Short), ignoreOrder: true);

        static string Short(JsonNode? condition) => $"{condition!["type"]} {condition["status"]} {condition["reason"]} {condition["message"]}";
    }

    [Fact]
    public void Names_that_another_kind_of_the_group_has_are_not_accepted()
    {
        JsonObject definition = Definition();
        CustomResourceDefinitions.Default(definition);
        ServedKind rival = Widget() with { Plural = "others", Kind = "Widget", ListKind = "OtherList", Singular = "other", ShortNames = [] };

        JsonObject status = CustomResourceDefinitions.Status(definition, [rival], Now);

        status["conditions"]!.AsArray().Select(condition => $"{condition!["type"]}={condition["status"]} {condition["reason"]}")
            .ShouldBe(["NamesAccepted=False KindConflict", "Established=False NotAccepted"]);
        status["acceptedNames"]!["kind"]!.GetValue<string>().ShouldBe("");
    }

    [Fact]
    public void G1_another_version_of_the_servers_own_kind_is_not_let_in_beside_its_rules()
    {
        JsonObject own = CrdManifests.Of(ResourceTypes.Agent);
        JsonObject loose = CrdManifests.Of(ResourceTypes.Agent);
        loose["spec"]!["versions"]![0]!["name"] = "v2";

        Established(loose).ShouldBe("False PluralConflict");
        Established(own).ShouldBe("True NoConflicts"); // Positive control: the same manifest as the server's own changes nothing.

        static string Established(JsonObject definition)
        {
            CustomResourceDefinitions.Default(definition);
            JsonArray conditions = CustomResourceDefinitions.Status(definition, UniverseKinds.All, Now)["conditions"]!.AsArray();
            return $"{conditions[1]!["status"]} {conditions[0]!["reason"]}";
        }
    }

    /// <summary>Recorded from kube-apiserver 1.36.2: what each change breaks, or the beginning of what is told of it.</summary>
    [Theory]
    [InlineData("spec.scope", "\"Foo\"", "spec.scope|FieldValueNotSupported|Unsupported value: \"Foo\": supported values: \"Cluster\", \"Namespaced\"")]
    [InlineData("spec.group", "\"nodot\"", "spec.group|FieldValueInvalid|Invalid value: \"nodot\": should be a domain with at least one dot")]
    [InlineData("metadata.name", "\"x.y\"", "metadata.name|FieldValueInvalid|Invalid value: \"x.y\": must be spec.names.plural+\".\"+spec.group")]
    [InlineData("spec.names.listKind", "\"Widget\"", "spec.names.listKind|FieldValueInvalid|Invalid value: \"Widget\": kind and listKind may not be the same")]
    [InlineData("spec.versions.0.storage", "false", "spec.versions|FieldValueInvalid|")]
    [InlineData("spec.versions.0.schema", "null", "spec.versions[0].schema.openAPIV3Schema|FieldValueRequired|Required value")]
    [InlineData("spec.versions.0.subresources.scale.specReplicasPath", "\".foo\"", "spec.subresources.scale.specReplicasPath|FieldValueInvalid|Invalid value: \".foo\": should be a json path under .spec")]
    [InlineData("spec.versions.0.additionalPrinterColumns.0.type", "\"foo\"", "spec.additionalPrinterColumns[0].type|FieldValueInvalid|Invalid value: \"foo\": must be one of boolean,date,integer,number,string")]
    [InlineData("spec.versions.0.selectableFields", """[{"jsonPath":".spec.q"}]""", "spec.selectableFields[0].jsonPath|FieldValueInvalid|Invalid value: \".spec.q\": is an invalid path: does not refer to a valid field")]
    [InlineData("spec.conversion", """{"strategy":"Webhook"}""", "spec.conversion.strategy|FieldValueNotSupported|")]
    [InlineData("S.a", "{}", "spec.validation.openAPIV3Schema.properties[a].type|FieldValueRequired|Required value: must not be empty for specified object fields")]
    [InlineData("S.a", """{"type":"strin"}""", "spec.validation.openAPIV3Schema.properties[a].type|FieldValueNotSupported|Unsupported value: \"strin\": supported values: \"array\", \"boolean\", \"integer\", \"number\", \"object\", \"string\"")]
    [InlineData("S.a", """{"type":"array"}""", "spec.validation.openAPIV3Schema.properties[a].items|FieldValueRequired|Required value: must be specified")]
    [InlineData("S.a", """{"type":"string","pattern":"("}""", "spec.validation.openAPIV3Schema.properties[a].pattern|FieldValueInvalid|Invalid value: \"(\": must be a valid regular expression, but isn't: ")]
    [InlineData("S.a", """{"type":"object","anyOf":[{"type":"object"}]}""", "spec.validation.openAPIV3Schema.properties[a].anyOf[0].type|FieldValueForbidden|Forbidden: must be empty to be structural")]
    [InlineData("S.a", """{"type":"object","properties":{"b":{"type":"string"}},"additionalProperties":{"type":"string"}}""", "spec.validation.openAPIV3Schema.properties[a].additionalProperties|FieldValueForbidden|Forbidden: additionalProperties and properties are mutual exclusive")]
    [InlineData("S.a", """{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","properties":{"k":{"type":"string"}}}}""", "spec.validation.openAPIV3Schema.properties[a].items.properties[k].default|FieldValueRequired|Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property")]
    [InlineData("S.a", """{"type":"integer","default":"x"}""", "spec.validation.openAPIV3Schema.properties[a].default|FieldValueTypeInvalid|")]
    [InlineData("S.a", """{"type":"integer","x-kubernetes-validations":[{"rule":"self <"}]}""", "spec.validation.openAPIV3Schema.properties[a].x-kubernetes-validations[0].rule|FieldValueInvalid|Invalid value: ")]
    [InlineData("S.a", """{"type":"integer","x-kubernetes-validations":[{"rule":"self"}]}""", "spec.validation.openAPIV3Schema.properties[a].x-kubernetes-validations[0].rule|FieldValueInvalid|Invalid value: ")]
    [InlineData("S.a", """{"type":"object","properties":{"b":{"type":"string"}},"x-kubernetes-validations":[{"rule":"self.c == 'x'"}]}""", "spec.validation.openAPIV3Schema.properties[a].x-kubernetes-validations[0].rule|FieldValueInvalid|Invalid value: ")]
    [InlineData("S.a", """{"type":"integer","x-kubernetes-validations":[{"rule":""}]}""", "spec.validation.openAPIV3Schema.properties[a].x-kubernetes-validations[0].rule|FieldValueRequired|Required value: rule is not specified")]
    [InlineData("S.a", """{"type":"integer","x-kubernetes-validations":[{"rule":"self > 1","reason":"Foo"}]}""", "spec.validation.openAPIV3Schema.properties[a].x-kubernetes-validations[0].reason|FieldValueNotSupported|")]
    public void Definition_that_breaks_a_rule_is_refused_in_the_real_servers_words(string place, string value, string cause)
    {
        JsonObject definition = Definition();
        JsonNode node = place.StartsWith("S.", StringComparison.Ordinal)
            ? definition["spec"]!["versions"]![0]!["schema"]!["openAPIV3Schema"]!["properties"]!
            : definition;
        string[] path = [.. place.Split('.').Skip(place.StartsWith("S.", StringComparison.Ordinal) ? 1 : 0)];
        foreach (string name in path[..^1])
            node = int.TryParse(name, out int index) ? node[index]! : node[name]!;
        node[path[^1]] = JsonNode.Parse(value);

        CustomResourceDefinitions.TryRead(definition, out _, out IReadOnlyList<StatusCause> causes).ShouldBeFalse();
        causes.Select(found => $"{found.Field}|{found.Reason}|{found.Message}").ShouldContain(found => found.StartsWith(cause, StringComparison.Ordinal), string.Join('\n', causes));
    }

    [Fact]
    public void Definition_as_recorded_breaks_no_rule() // Positive control of the test above.
    {
        CustomResourceDefinitions.TryRead(Definition(), out _, out IReadOnlyList<StatusCause> causes).ShouldBeTrue();
        causes.ShouldBeEmpty();
    }

    [Fact]
    public void Definition_survives_the_pruning_of_its_own_kind()
    {
        JsonObject definition = Definition();
        ServedKind kind = BuiltInKinds.Core.Single(kind => kind.Kind == "CustomResourceDefinition");

        SchemaPruner.Prune(definition, kind.Schema).ShouldBeEmpty();
        definition["spec"]!["versions"]![0]!["schema"]!["openAPIV3Schema"]!["properties"]!["spec"]!["nonsense"] = 1;
        SchemaPruner.Prune(definition, kind.Schema).ShouldBe(["spec.versions[0].schema.openAPIV3Schema.properties.spec.nonsense"]);
    }

    private static ServedKind Widget()
    {
        CustomResourceDefinitions.TryRead(Definition(), out IReadOnlyList<ServedKind>? kinds, out _).ShouldBeTrue();
        return kinds!.Single(); // TryRead said that they are there.
    }

    private static JsonObject Definition() => (JsonObject)Exchange("crd.json", "create the CRD")["request"]!["body"]!.DeepClone();

    private static JsonObject Exchange(string file, string name) =>
        JsonNode.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Transcripts", file)))!.AsArray().OfType<JsonObject>().Single(exchange => exchange["name"]!.GetValue<string>() == name);
}
