using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.ResourceServer.Protobuf;

namespace Rynxs.ResourceServer.Tests.Protobuf;

/// <summary>
/// TestData/Protobuf/objects.json: objects of a real Kubernetes 1.36 API server, each in the two forms in which that server gave it. What JSON leaves out or
/// writes although it says nothing (null, {}) is no difference.
/// </summary>
public sealed class ProtobufDocumentTests
{
    private static readonly JsonArray Objects =
        (JsonArray)JsonNode.Parse(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "TestData", "Protobuf", "objects.json"))).ShouldNotBeNull();

    public static TheoryData<int> All => [.. Enumerable.Range(0, Objects.Count)];

    [Theory]
    [MemberData(nameof(All))]
    public void The_two_forms_of_a_real_object_are_the_same_object(int index)
    {
        JsonNode expected = Objects[index].ShouldNotBeNull()["json"].ShouldNotBeNull();

        JsonObject read = ProtobufDocument.Read(Bytes(index));

        Tidy(read).ShouldNotBeNull().ToJsonString().ShouldBe(Tidy(expected).ShouldNotBeNull().ToJsonString());
    }

    [Fact]
    public void G3_changed_and_cut_bytes_are_refused_or_read_and_nothing_else_happens()
    {
        Gen<byte[]> damaged =
            from index in Gen.Choose(0, Objects.Count - 1)
            from changes in Gen.Choose(1, 8)
            from positions in Gen.Choose(0, int.MaxValue).ListOf(changes)
            from values in Gen.Choose(0, 255).ListOf(changes)
            from cut in Gen.Choose(0, 100)
            select Damage(Bytes(index), positions, values, cut);
        Prop.ForAll(damaged.ToArbitrary(), bytes =>
        {
            try
            {
                ProtobufDocument.Read(bytes);
            }
            catch (FormatException)
            {
                // Refused: fine.
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void G3_lengths_beyond_the_end_depth_without_end_and_other_kinds_are_refused()
    {
        byte[] start = [.. "k8s\0"u8];
        Should.Throw<FormatException>(() => ProtobufDocument.Read([.. start, 0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]));
        Should.Throw<FormatException>(() => ProtobufDocument.Read("{}"u8.ToArray()));
        Should.Throw<FormatException>(() => ProtobufDocument.Read(Envelope("universe.ai/v1alpha1", "Agent", []))).Message.ShouldContain("send JSON");

        // A JSON schema inside a schema … has no end in the table; ownerReferences do, so depth is reached through managedFields' raw JSON alone.
        byte[] deep = [.. Enumerable.Repeat((byte)'[', 200)];
        byte[] raw = Field(1, Field(17, Field(6, Field(1, deep))));
        Should.Throw<FormatException>(() => ProtobufDocument.Read(Envelope("v1", "ConfigMap", raw)));
        ProtobufDocument.Read(Envelope("v1", "ConfigMap", Field(1, Field(1, "name"u8.ToArray()))))["metadata"]?["name"]?.GetValue<string>().ShouldBe("name", "positive control");
    }

    private static byte[] Bytes(int index) => Convert.FromBase64String(Objects[index].ShouldNotBeNull()["protobuf"].ShouldNotBeNull().GetValue<string>());

    private static byte[] Damage(byte[] bytes, IEnumerable<int> positions, IEnumerable<int> values, int cut)
    {
        foreach ((int position, int value) in positions.Zip(values))
            bytes[4 + (position % (bytes.Length - 4))] = (byte)value;
        return bytes[..Math.Max(4, bytes.Length - cut)];
    }

    private static byte[] Envelope(string apiVersion, string kind, byte[] raw) =>
        [.. "k8s\0"u8, .. Field(1, [.. Field(1, System.Text.Encoding.ASCII.GetBytes(apiVersion)), .. Field(2, System.Text.Encoding.ASCII.GetBytes(kind))]), .. Field(2, raw)];

    private static byte[] Field(int number, byte[] content) => [.. Varint((number << 3) | 2), .. Varint(content.Length), .. content];

    private static IEnumerable<byte> Varint(int value)
    {
        for (; value > 0x7f; value >>= 7)
            yield return (byte)(value | 0x80);
        yield return (byte)value;
    }

    /// <summary>Without what says nothing, and in one order.</summary>
    private static JsonNode? Tidy(JsonNode? node) => node switch
    {
        JsonObject given => new JsonObject(given
            .Select(member => KeyValuePair.Create(member.Key, Tidy(member.Value)))
            .Where(member => member.Value is not (null or JsonObject { Count: 0 } or JsonArray { Count: 0 }))
            .OrderBy(member => member.Key, StringComparer.Ordinal)),
        JsonArray list => new JsonArray([.. list.Select(Tidy)]),
        null => null,
        _ => node.DeepClone(),
    };
}
