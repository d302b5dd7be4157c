using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;

namespace Rynxs.ResourceServer.Tests.Patching;

/// <summary>Small documents and patches whose names meet.</summary>
internal static class RandomJson
{
    private static readonly string[] Names = ["a", "b", "c", "x/y", "m~n", "", "$patch", "name"];

    public static Arbitrary<JsonObject> Objects { get; } = Arb.From(Gen.Choose(1, int.MaxValue).Select(seed => Map(new Random(seed), 3)));

    public static Arbitrary<JsonArray> Patches { get; } = Arb.From(Gen.Choose(1, int.MaxValue).Select(seed =>
    {
        Random random = new(seed);
        return new JsonArray([.. Enumerable.Range(0, random.Next(1, 12)).Select(_ => Operation(random))]);
    }));

    public static JsonObject Map(Random random, int depth) =>
        new([.. Names.Where(_ => random.Next(3) == 0).Select(name => KeyValuePair.Create(name, Value(random, depth - 1)))]);

    private static JsonNode? Value(Random random, int depth) => random.Next(depth > 0 ? 7 : 5) switch
    {
        0 => null,
        1 => random.Next(3),
        2 => "t",
        3 => true,
        4 => 1.5,
        5 => new JsonArray([.. Enumerable.Range(0, random.Next(4)).Select(_ => Value(random, depth - 1))]),
        _ => Map(random, depth),
    };

    private static JsonNode? Operation(Random random)
    {
        if (random.Next(30) == 0)
            return Value(random, 2);
        string Path() => string.Concat(Enumerable.Range(0, random.Next(4)).Select(_ => "/" + (random.Next(3) switch
        {
            0 => new[] { "0", "1", "-", "-1", "01", "9999999999", "x" }[random.Next(7)],
            _ => Names[random.Next(Names.Length)].Replace("~", "~0", StringComparison.Ordinal).Replace("/", "~1", StringComparison.Ordinal),
        })));
        JsonObject operation = new() { ["op"] = new[] { "add", "remove", "replace", "move", "copy", "test", "?" }[random.Next(7)], ["path"] = Path() };
        if (random.Next(2) == 0)
            operation["from"] = Path();
        if (random.Next(4) > 0)
            operation["value"] = Value(random, 3);
        return operation;
    }
}
