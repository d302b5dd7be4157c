using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Ledger.Events;

namespace Rynxs.Ledger.Tests.Events;

/// <summary>Payload schemas: golden files of every type, tolerance towards later versions, and names for what is not known.</summary>
public sealed class PayloadReadingTests
{
    private static readonly string Golden = Path.Combine(AppContext.BaseDirectory, "Vectors", "payloads.jsonl");

    /// <summary>Lines <c>{"payload":…,"type":…}</c>: one with every field of the type, one with the required fields alone.</summary>
    public static TheoryData<int> Lines => [.. Enumerable.Range(0, File.ReadLines(Golden).Count())];

    [Theory]
    [MemberData(nameof(Lines))]
    public void A_golden_payload_is_read_and_written_back_byte_for_byte(int line)
    {
        JsonElement golden = JsonElement.Parse(File.ReadLines(Golden).ElementAt(line));
        string type = golden.GetProperty("type").GetString() ?? "";

        PayloadReading.Known known = PayloadReading.Of(type, golden.GetProperty("payload")).ShouldBeOfType<PayloadReading.Known>();

        known.Payload.EventType.ShouldBe(type);
        Rynxs.Ledger.Canonical.CanonicalJson.Serialize(known.Payload.ToJson())
            .ShouldBe(Rynxs.Ledger.Canonical.CanonicalJson.Serialize(golden.GetProperty("payload")));
    }

    [Fact]
    public void Every_type_has_golden_payloads()
    {
        string[] golden = [.. File.ReadLines(Golden).Select(line => JsonElement.Parse(line).GetProperty("type").GetString() ?? "").Distinct().Order(StringComparer.Ordinal)];

        golden.ShouldBe(PayloadReading.KnownTypes);
    }

    [Fact]
    public void Payloads_of_the_original_are_read()
    {
        foreach (string line in Logs.DemoV1)
        {
            JsonElement content = JsonElement.Parse(line).GetProperty("event");
            PayloadReading.Of(content.GetProperty("type").GetString() ?? "", content.GetProperty("payload")).ShouldBeOfType<PayloadReading.Known>();
        }
    }

    [Theory]
    [MemberData(nameof(Lines))]
    public void A_field_of_a_later_version_is_ignored_and_a_missing_or_retyped_one_is_named(int line)
    {
        JsonElement golden = JsonElement.Parse(File.ReadLines(Golden).ElementAt(line));
        string type = golden.GetProperty("type").GetString() ?? "";
        JsonObject payload = JsonNode.Parse(golden.GetProperty("payload").GetRawText())?.AsObject() ?? [];
        payload["of_a_later_version"] = new JsonObject { ["deep"] = new JsonArray(1, 2) };
        PayloadReading.Of(type, Element(payload)).ShouldBeOfType<PayloadReading.Known>();

        foreach (string field in payload.Select(pair => pair.Key).Where(field => field != "of_a_later_version").ToArray())
        {
            JsonObject retyped = payload.DeepClone().AsObject();
            retyped[field] = new JsonArray(new JsonArray());
            if (field is not ("spec" or "params"))
            {
                PayloadReading.Of(type, Element(retyped)).ShouldBeOfType<PayloadReading.Malformed>().Reason.ShouldContain(field);
            }
        }
    }

    [Fact]
    public void An_unknown_type_keeps_its_name()
    {
        PayloadReading.Of("FromTheFuture", JsonElement.Parse("{}")).ShouldBe(new PayloadReading.Unknown("FromTheFuture"));
    }

    [Theory]
    [InlineData("{}", "task")]
    [InlineData("{\"task\":null,\"attempt\":1}", "task")]
    [InlineData("{\"task\":\"t\",\"attempt\":\"1\"}", "attempt")]
    [InlineData("[]", "")]
    [InlineData("null", "")]
    public void A_payload_that_does_not_fit_names_the_field_and_quotes_nothing(string payload, string field)
    {
        PayloadReading.Malformed malformed = PayloadReading.Of("TaskStarted", JsonElement.Parse(payload)).ShouldBeOfType<PayloadReading.Malformed>();

        malformed.Reason.ShouldContain(field);
    }

    private static JsonElement Element(JsonNode node) => JsonElement.Parse(node.ToJsonString());
}
