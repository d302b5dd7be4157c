using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.OpenApi;
using Rynxs.ResourceServer.Tests.Applying;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Meta;

namespace Rynxs.ResourceServer.Tests.Kinds;

/// <summary>A real API server judges the manifests in crds/ and the tables of the built-in kinds.</summary>
public sealed class RealServerKindTests
{
    private static readonly string[] Extensions =
        ["x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type", "x-kubernetes-patch-strategy", "x-kubernetes-patch-merge-key"];

    /// <summary>What we leave out or say otherwise, and why.</summary>
    private static readonly HashSet<string> Deviations =
    [
        "ListMeta: missing shardInfo", // A feature gate's, of no use to one server.
        "core.v1.Event: required metadata", "events.v1.Event: required eventTime", "batch.v1.CronJob: required spec", // Said by our pipeline or by nobody: old clients leave them out.
        "CustomResourceSubresources.status: reference", "JSONSchemaProps.additionalItems: reference", "JSONSchemaProps.default: reference",
        "JSONSchemaProps.example: reference", "JSONSchemaProps.enum: items", "JSONSchemaProps.dependencies: values", // Any JSON, written in place.
        "JSONSchemaPropsOrArray: unknown", "JSONSchemaPropsOrBool: unknown", // The real document says nothing of these two.
        "PersistentVolumeClaimStatus.allocatedResourceStatuses: x-kubernetes-map-type", // "granular" is what leaving it out means.
    ];

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Manifests_are_accepted_and_tables_agree()
    {
        Assert.SkipWhen(KubeApiServer.Binaries is null, "There is no kube-apiserver: set KUBEBUILDER_ASSETS.");
        await using KubeApiServer server = await KubeApiServer.StartAsync(Ct);

        foreach (ResourceType type in ResourceTypes.All)
        {
            (int status, JsonObject body) = await server.SendAsync(
                "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions?fieldValidation=Strict", CrdManifests.Of(type), "application/json", Ct);
            status.ShouldBe(201, $"{type.Kind}: {body["message"]}");
        }

        OpenApiDocuments documents = new(BuiltInKinds.All);
        SortedSet<string> differences = new(StringComparer.Ordinal);
        foreach (string path in BuiltInKinds.All.Select(kind => kind.Group.Length == 0 ? "api/v1" : $"apis/{kind.Group}/{kind.Version}").Distinct())
        {
            (_, JsonObject real) = await server.SendAsync("GET", $"/openapi/v3/{path}", null, "", Ct);
            JsonObject ours = (JsonObject)JsonNode.Parse(documents.V3(path)!.Json.Span)!; // The path is one of its kinds'.
            Compare(ours["components"]!["schemas"]!.AsObject(), real["components"]!["schemas"]!.AsObject(), differences);
        }

        differences.Except(Deviations).ShouldBeEmpty();
        Deviations.Except(differences).ShouldBeEmpty("a deviation that is none any more");
    }

    private static void Compare(JsonObject ours, JsonObject real, SortedSet<string> differences)
    {
        foreach ((string name, JsonNode? schema) in ours)
        {
            // Lists and the operations' own types are the server's machinery, not the kinds' fields.
            if (name.EndsWith("List", StringComparison.Ordinal) || name.EndsWith("DeleteOptions", StringComparison.Ordinal) || name.EndsWith(".Status", StringComparison.Ordinal) || name.EndsWith(".Patch", StringComparison.Ordinal))
                continue;
            string word = Short(name);
            if (real[name] is not JsonObject due)
            {
                differences.Add($"{word}: is not there");
                continue;
            }

            foreach (string field in Texts(due["required"]).Except(Texts(schema!["required"])))
                differences.Add($"{word}: required {field}");
            foreach (string field in Texts(schema["required"]).Except(Texts(due["required"])))
                differences.Add($"{word}: not required {field}");
            if (Text(schema["x-kubernetes-map-type"]) != Text(due["x-kubernetes-map-type"]))
                differences.Add($"{word}: x-kubernetes-map-type");
            JsonObject properties = schema["properties"] as JsonObject ?? [];
            JsonObject dueProperties = due["properties"] as JsonObject ?? [];
            foreach ((string field, _) in dueProperties)
            {
                if (!properties.ContainsKey(field))
                    differences.Add($"{word}: missing {field}");
            }

            foreach ((string field, JsonNode? property) in properties)
            {
                if (dueProperties[field] is JsonObject dueProperty)
                    CompareField($"{word}.{field}", (JsonObject)property!, dueProperty, ours, real, differences);
                else
                    differences.Add($"{word}: unknown");
            }
        }
    }

    private static void CompareField(string place, JsonObject ours, JsonObject real, JsonObject ourDefinitions, JsonObject realDefinitions, SortedSet<string> differences)
    {
        if (Reference(ours) != Reference(real))
        {
            differences.Add($"{place}: reference");
            return;
        }

        JsonObject a = Resolve(ours, ourDefinitions);
        JsonObject b = Resolve(real, realDefinitions);
        foreach (string member in new[] { "type", "format" })
        {
            if (Text(a[member]) != Text(b[member]))
                differences.Add($"{place}: {member}");
        }

        foreach (string extension in Extensions)
        {
            string left = (ours[extension] ?? a[extension])?.ToJsonString() ?? (extension == "x-kubernetes-list-type" ? "\"atomic\"" : "");
            string right = (real[extension] ?? b[extension])?.ToJsonString() ?? (extension == "x-kubernetes-list-type" ? "\"atomic\"" : "");
            if (left != right)
                differences.Add($"{place}: {extension}");
        }

        if (a["items"] is JsonObject item && b["items"] is JsonObject dueItem && (Reference(item) != Reference(dueItem) || Text(item["type"]) != Text(dueItem["type"])))
            differences.Add($"{place}: items");
        JsonObject values = a["additionalProperties"] as JsonObject ?? [];
        JsonObject dueValues = b["additionalProperties"] as JsonObject ?? [];
        if (Reference(values) != Reference(dueValues) || Text(values["type"]) != Text(dueValues["type"]))
            differences.Add($"{place}: values");

        // Where both name the allowed values they name the same; we leave out some enums and no real server told them before 1.24.
        if (ours["enum"] is JsonArray words && !Texts(words).Order().SequenceEqual(Texts(real["enum"]).Order()))
            differences.Add($"{place}: enum");
        if (Text(real["default"]) is { Length: > 0 } value && Text(ours["default"]) != value)
            differences.Add($"{place}: default");
    }

    private static string Short(string definition)
    {
        string[] parts = definition.Split('.');
        return parts[^1] is "Event" or "CronJob" ? string.Join('.', parts[^3..]) : parts[^1];
    }

    private static string? Reference(JsonObject schema) => Text(schema["$ref"]) ?? (schema["allOf"] is JsonArray { Count: 1 } one ? Text(one[0]?["$ref"]) : null);

    private static JsonObject Resolve(JsonObject schema, JsonObject definitions) =>
        Reference(schema) is { } reference && definitions[reference[(reference.LastIndexOf('/') + 1)..]] is JsonObject target ? target : schema;

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue(out string? text) ? text : null;

    private static IEnumerable<string> Texts(JsonNode? list) => (list as JsonArray)?.Select(item => Text(item) ?? "") ?? [];
}
