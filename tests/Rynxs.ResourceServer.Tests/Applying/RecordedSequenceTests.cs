using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Applying;
using Rynxs.ResourceServer.Schemas;
using Rynxs.ResourceServer.Tests.Transcripts;

namespace Rynxs.ResourceServer.Tests.Applying;

/// <summary>Exchanges that a real API server (1.36.2) answered, replayed against our functions: objects, owners, order, times and messages are equal.</summary>
public sealed class RecordedSequenceTests
{
    public static IEnumerable<TheoryDataRow<string>> Sequences =>
        Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "TestData", "sequences"), "*.json").Order().Select(file => new TheoryDataRow<string>(Path.GetFileName(file)));

    [Theory]
    [MemberData(nameof(Sequences))]
    public void A_recorded_sequence_of_writes_ends_the_same(string file)
    {
        JsonArray exchanges = JsonNode.Parse(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "TestData", "sequences", file)))!.AsArray();
        exchanges.ShouldNotBeEmpty();
        DocumentRequests ours = Things.Requests();
        foreach (JsonObject exchange in exchanges.Select(exchange => exchange!.AsObject()))
            SequenceExchange.Compare(ours, SequenceExchange.Request(exchange), (int)exchange["status"]!, exchange["answer"]!.AsObject()).ShouldBeNull();
    }

    /// <summary>Of the transcripts, what is decided by patching and applying: the rest needs a server, and is replayed by its tests.</summary>
    [Theory]
    [InlineData("apply", 10)]
    [InlineData("patch", 5)]
    public void The_transcripts_of_patch_and_apply_are_answered_as_recorded(string file, int expected)
    {
        StructuralSchema schema = Things.SchemaOf(TranscriptExchange.Read("crd")[0].Body!.AsObject());
        DocumentRequests ours = new(schema, "example.universe.ai/v1alpha1", "Widget");
        if (file == "patch")
            ours.Live = ScaledWidget();

        int replayed = 0;
        foreach (TranscriptExchange exchange in TranscriptExchange.Read(file).Where(IsOurs))
        {
            string? difference = SequenceExchange.Compare(ours, Request(exchange), exchange.Status, exchange.Answer!.AsObject());
            difference.ShouldBeNull(exchange.ToString());
            replayed++;
        }

        replayed.ShouldBe(expected);
    }

    [Fact]
    public void A_conflict_has_the_causes_of_the_real_server()
    {
        StructuralSchema schema = Things.SchemaOf(TranscriptExchange.Read("crd")[0].Body!.AsObject());
        IReadOnlyList<TranscriptExchange> exchanges = TranscriptExchange.Read("apply");
        TranscriptExchange conflict = exchanges.Single(exchange => exchange.Name == "apply after that update conflicts");
        JsonObject live = exchanges.Single(exchange => exchange.Name == "another manager updates").Answer!.AsObject();

        ApplyConflictException e = Should.Throw<ApplyConflictException>(() => ServerSideApply.Apply(live, conflict.Body!.AsObject(), schema, new ApplyRequest
        {
            Manager = "two",
            ApiVersion = "example.universe.ai/v1alpha1",
            Now = DateTimeOffset.UnixEpoch,
        }));

        JsonObject answer = conflict.Answer!.AsObject();
        e.Message.ShouldBe((string?)answer["message"]);
        JsonNode? cause = answer["details"]!["causes"]!.AsArray().ShouldHaveSingleItem();
        StatusCause ours = e.Causes.ShouldHaveSingleItem();
        (ours.Reason, ours.Message, ours.Field).ShouldBe(((string)cause!["reason"]!, (string)cause["message"]!, (string)cause["field"]!));
    }

    /// <summary>The object of crud.json after its scale was patched, which is the request before the first one of patch.json.</summary>
    private static JsonObject ScaledWidget()
    {
        JsonObject live = TranscriptExchange.Read("crud").Single(exchange => exchange.Name == "spec write ignores status").Answer!.AsObject();
        JsonObject scale = Things.Json("""{"apiVersion":"autoscaling/v1","kind":"Scale","metadata":{"name":"a","uid":"u"},"spec":{"replicas":2},"status":{"replicas":4}}""");
        scale["metadata"]!["managedFields"] = ScaleManagers.ToScale(live, _ => ".spec.replicas");
        scale["metadata"]!["managedFields"].ShouldNotBeNull();
        JsonObject scaled = scale.DeepClone().AsObject();
        scaled["spec"]!["replicas"] = 3;
        ManagedFields.Track(scale, scaled, StructuralSchema.Anything, new UpdateRequest
        {
            Manager = "unknown",
            ApiVersion = ScaleManagers.ScaleVersion,
            Subresource = "scale",
            Now = DateTimeOffset.UnixEpoch,
        });

        JsonArray? managers = ScaleManagers.ToParent(live, scaled["metadata"]!["managedFields"], "example.universe.ai/v1alpha1", _ => ".spec.replicas");
        live["metadata"]!["managedFields"] = managers;
        live["spec"]!["replicas"] = 3;
        return live;
    }

    private static bool IsOurs(TranscriptExchange exchange) =>
        exchange.Path.Contains("/widgets/", StringComparison.Ordinal)
        && !exchange.Path.Contains("/widgets/zz", StringComparison.Ordinal)
        && !exchange.Path.Contains("dryRun", StringComparison.Ordinal)
        && exchange.Name is not ("without field manager" or "strategic merge on a custom resource" or "merge patch with a stale version" or "merge patch that breaks the schema")
        && exchange.Method is "PATCH" or "PUT";

    private static DocumentRequest Request(TranscriptExchange exchange)
    {
        string manager = exchange.Path.Split("fieldManager=") is [_, string rest] ? rest.Split('&')[0] : "unknown";
        string path = exchange.Path.Split('?')[0];
        return new DocumentRequest(exchange.Method, exchange.ContentType!, exchange.Body?.DeepClone(), manager,
            path.EndsWith("/status", StringComparison.Ordinal) ? "status" : "", exchange.Path.Contains("force=true", StringComparison.Ordinal));
    }
}
