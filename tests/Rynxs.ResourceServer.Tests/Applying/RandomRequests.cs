using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Tests.Applying;

/// <summary>
/// Random requests to a Thing, the kind in <c>TestData/thing.json</c> that has every shape ownership distinguishes. The names and values are few, so
/// that managers meet.
/// </summary>
internal sealed class RandomRequests(int seed)
{
    private readonly Random _random = new(seed);

    /// <summary>The next request, given the object as it is.</summary>
    public DocumentRequest Next(JsonObject? live, string name)
    {
        if (live is null)
            return One(3) ? Create(name) : Apply(name);
        return _random.Next(10) switch
        {
            < 5 when !HasManyUpdaters(seed) || One(3) => Apply(name),
            5 => ApplyStatus(name),
            6 or 7 => Merge(),
            8 => JsonPatch(),
            _ => Put(live),
        };
    }

    /// <summary>A configuration without oddities, of some fields; none given: of all.</summary>
    public JsonObject Config(string name, IReadOnlyCollection<string> fields)
    {
        JsonObject spec = Spec();
        foreach (string field in Fields.Where(field => fields.Count > 0 && !fields.Contains(field)))
            spec.Remove(field);
        return new JsonObject { ["apiVersion"] = Things.ApiVersion, ["kind"] = "Thing", ["metadata"] = new JsonObject { ["name"] = name }, ["spec"] = spec };
    }

    private DocumentRequest Create(string name) => new("POST", "application/json", Thing(name, Spec(), withStatus: One(4)), Updater());

    private DocumentRequest Apply(string name)
    {
        JsonObject config = Thing(name, One(8) ? null : Spec(), withStatus: One(10));
        if (One(15))
            config["spec"] = One(2) ? new JsonObject() : null;
        string manager = Pick("one", "two", "three", "kubectl");
        if (One(6))
            MakeOdd(config);
        else if (One(6) && config["spec"] is JsonObject spec)
            spec[Pick("map", "ports", "set", "nest", "deepMap", "text", "replicas", "atomicMap", "free", "nul")] = null;
        if (manager == "kubectl" && One(3))
            config["metadata"]!["annotations"] = new JsonObject { ["n"] = Text() };
        return new DocumentRequest("PATCH", DocumentRequests.ApplyType, config, manager, Force: One(3));
    }

    /// <summary>One thing that the server refuses, at most: of several, real ones name any.</summary>
    private void MakeOdd(JsonObject config)
    {
        string oddity = Pick(
            """{"bogus":1}""", """{"text":5}""", """{"text":[1]}""", """{"text":{"a":"b"}}""", """{"number":"x"}""", """{"number":1.5}""", """{"flag":"x"}""", """{"flag":3}""",
            """{"set":["a","a"]}""", """{"set":[null]}""", """{"set":[{"a":1}]}""", """{"set":[["a"]]}""", """{"set":"a"}""", """{"map":"a"}""", """{"map":["a"]}""",
            """{"ports":[{"name":"x"}]}""", """{"ports":[{}]}""", """{"ports":[null]}""", """{"ports":["x"]}""", """{"ports":[{"port":80},{"port":80,"protocol":"TCP"}]}""",
            """{"ports":[{"port":80,"bogus":1}]}""", """{"ports":{"port":80}}""", """{"nest":{"a":{"q":1}}}""", """{"nest":{"a":"x"}}""", """{"deepMap":{"k":{"z":1}}}""",
            """{"atomicList":[{"z":1}]}""", """{"atomicMap":{"a":1}}""", """{"either":{"a":1}}""", """{"half":{"known":{"b":1}}}""");
        switch (_random.Next(8))
        {
            case 0:
                config["apiVersion"] = Pick("v1", "test.universe.ai/v2");
                break;
            case 1:
                config["kind"] = "Gadget";
                break;
            case 2:
                config["metadata"]!["managedFields"] = new JsonArray();
                break;
            case 3:
                config["extra"] = Text();
                break;
            default:
                config["spec"] = JsonNode.Parse(oddity);
                break;
        }
    }

    /// <summary>What kubectl's client-side apply leaves behind.</summary>
    private JsonObject LastApplied()
    {
        JsonObject last = new()
        {
            ["apiVersion"] = One(8) ? "test.universe.ai/v2" : "test.universe.ai/v1",
            ["kind"] = "Thing",
            ["metadata"] = new JsonObject { ["name"] = "x" },
            ["spec"] = Spec(),
        };
        return new JsonObject { ["kubectl.kubernetes.io/last-applied-configuration"] = One(10) ? "{" : last.ToJsonString() };
    }

    private DocumentRequest ApplyStatus(string name)
    {
        JsonObject config = Thing(name, One(5) ? Spec() : null, withStatus: true);
        return One(3)
            ? new DocumentRequest("PATCH", DocumentRequests.MergeType, new JsonObject { ["status"] = Status() }, Updater(), "status")
            : new DocumentRequest("PATCH", DocumentRequests.ApplyType, config, Pick("ctl", "one"), "status", One(3));
    }

    private DocumentRequest Merge()
    {
        JsonObject spec = Spec();
        foreach (string field in Fields)
        {
            if (One(8))
                spec[field] = null;
        }

        JsonObject body = new() { ["spec"] = spec };
        if (One(4))
            body["metadata"] = new JsonObject { ["labels"] = new JsonObject { [Pick("a", "b")] = One(3) ? null : Pick("x", "y") } };
        if (One(8))
        {
            JsonObject annotations = LastApplied();
            if (One(2) && JsonNode.Parse((string)annotations.First().Value! is "{" ? "{}" : (string)annotations.First().Value!)!["spec"] is { } applied)
                body["spec"] = applied.DeepClone();
            body["metadata"] = new JsonObject { ["annotations"] = annotations };
        }

        if (One(25))
            body["metadata"] = new JsonObject { ["managedFields"] = One(2) ? new JsonArray() : new JsonArray(new JsonObject()) };
        return new DocumentRequest("PATCH", DocumentRequests.MergeType, body, Updater());
    }

    private DocumentRequest JsonPatch()
    {
        JsonArray operations = [];
        for (int i = _random.Next(1, 4); i > 0; i--)
        {
            string path = Pick("/spec/text", "/spec/number", "/spec/map/a", "/spec/free/a", "/spec/set/0", "/spec/set/-", "/spec/ports/0", "/spec/nest/a", "/spec/deepMap");
            JsonObject operation = new() { ["op"] = Pick("add", "replace", "remove"), ["path"] = path };
            operation["value"] = path switch
            {
                "/spec/number" => _random.Next(3),
                "/spec/ports/0" => Port(),
                "/spec/nest/a" => new JsonObject { ["b"] = Text() },
                "/spec/deepMap" => DeepMap(),
                _ => Text(),
            };
            operations.Add((JsonNode)operation);
        }

        return new DocumentRequest("PATCH", DocumentRequests.JsonPatchType, operations, Updater());
    }

    private DocumentRequest Put(JsonObject live)
    {
        JsonObject next = live.DeepClone().AsObject();
        JsonObject fresh = Spec();
        JsonObject spec = next["spec"] as JsonObject ?? [];
        if (One(3))
        {
            next["spec"] = fresh;
        }
        else
        {
            foreach (string field in Fields)
            {
                if (fresh[field] is { } value && One(2))
                    spec[field] = value.DeepClone();
                else if (One(4))
                    spec.Remove(field);
            }

            next["spec"] = spec.DeepClone();
        }

        if (One(6))
            next["metadata"]!["labels"] = Labels();
        if (One(4))
            next["status"] = Status();
        if (One(10))
            next["metadata"]!.AsObject().Remove("managedFields");
        return new DocumentRequest("PUT", "application/json", next, Updater());
    }

    private JsonObject Thing(string name, JsonObject? spec, bool withStatus)
    {
        JsonObject metadata = new() { ["name"] = name };
        if (One(4))
            metadata["labels"] = Labels();
        if (One(8))
            metadata["annotations"] = new JsonObject { [Pick("n", "m")] = Text() };
        if (One(10))
            metadata["finalizers"] = new JsonArray("test.universe.ai/" + Pick("f", "g"));
        JsonObject thing = new() { ["apiVersion"] = "test.universe.ai/v1", ["kind"] = "Thing", ["metadata"] = metadata };
        if (spec is not null)
            thing["spec"] = spec;
        if (withStatus)
            thing["status"] = Status();
        return thing;
    }

    private JsonObject Status()
    {
        JsonObject status = new() { ["phase"] = Pick("Up", "Down") };
        if (One(2))
        {
            status["conditions"] = new JsonArray([.. Some("Ready", "Good", "Bad").Select(type =>
                (JsonNode)(One(4) ? new JsonObject { ["type"] = type } : new JsonObject { ["type"] = type, ["status"] = Pick("True", "False") }))]);
        }

        return status;
    }

    private JsonObject Spec()
    {
        JsonObject spec = [];
        foreach (string field in Fields)
        {
            if (One(3))
                spec[field] = Value(field);
        }

        return spec;
    }

    private JsonNode? Value(string field) => field switch
    {
        "text" => Text(),
        "number" or "replicas" => _random.Next(1, 4),
        "float" => _random.Next(4) / 2.0,
        "flag" => One(2),
        "nul" => One(2) ? null : Text(),
        "either" => One(2) ? 5 : "50%",
        "set" => new JsonArray([.. Some("a", "b", "c", "d").Select(item => (JsonNode)item)]),
        "numbers" => new JsonArray([.. Some("1", "2", "10").Select(item => (JsonNode)int.Parse(item, System.Globalization.CultureInfo.InvariantCulture))]),
        "ports" => Ports(),
        "atomicList" => new JsonArray([.. Some("a", "b").Select(item => (JsonNode)new JsonObject { ["a"] = item })]),
        "atomicMap" or "map" => Map(),
        "deepMap" => DeepMap(),
        "free" => FreeMap(1),
        "half" => new JsonObject { ["known"] = new JsonObject { ["a"] = _random.Next(3) }, ["other"] = Free(1) },
        _ => One(5) ? new JsonObject { ["a"] = new JsonObject() } : new JsonObject { ["a"] = new JsonObject { [Pick("b", "b", "b")] = Text() } },
    };

    private JsonArray Ports()
    {
        JsonArray ports = [];
        foreach (string port in Some("80", "81", "82"))
        {
            JsonObject item = Port();
            item["port"] = int.Parse(port, System.Globalization.CultureInfo.InvariantCulture);
            ports.Add((JsonNode)item);
        }

        return ports;
    }

    private JsonObject Port()
    {
        JsonObject port = new() { ["port"] = _random.Next(80, 83) };
        if (One(3))
            port["protocol"] = Pick("TCP", "UDP");
        if (One(2))
            port["name"] = Text();
        if (One(4))
            port["opts"] = Map();
        if (One(4))
            port["nested"] = new JsonArray([.. Some("p", "q").Select(id => (JsonNode)new JsonObject { ["id"] = id, ["v"] = _random.Next(3) })]);
        return port;
    }

    private JsonObject Map() => new([.. Some("a", "b", "<c>").Select(key => KeyValuePair.Create(key, (JsonNode?)Text()))]);

    private JsonObject DeepMap() => new([.. Some("k", "l").Select(key => KeyValuePair.Create(key, (JsonNode?)(One(4)
        ? new JsonObject()
        : new JsonObject { ["x"] = _random.Next(2), ["y"] = new JsonArray([.. Some("m", "n").Select(item => (JsonNode)item)]) })))]);

    private JsonNode? Free(int depth) => depth == 0 || One(4)
        ? Pick<JsonNode?>(Text(), 1, true, null, new JsonArray(1, "x"))
        : FreeMap(depth - 1);

    private JsonObject FreeMap(int depth) => new([.. Some("a", "b", "c").Select(key => KeyValuePair.Create(key, Free(depth)))]);

    private JsonObject Labels() => new([.. Some("a", "b").Select(key => KeyValuePair.Create(key, (JsonNode?)Pick("x", "y")))]);

    private string Text() => Pick("red", "blue", "");

    /// <summary>Some sequences have more updaters than an object keeps.</summary>
    public static bool HasManyUpdaters(int seed) => seed % 5 == 0;

    private string Updater() => HasManyUpdaters(seed) ? $"u{_random.Next(14)}" : Pick("upd", "edit", "patch");

    private bool One(int of) => _random.Next(of) == 0;

    private T Pick<T>(params T[] from) => from[_random.Next(from.Length)];

    private string[] Some(params string[] from)
    {
        string[] some = [.. from.Where(_ => _random.Next(2) == 0)];
        if (One(2))
            Array.Reverse(some);
        return some;
    }

    private static readonly string[] Fields =
        ["text", "number", "float", "flag", "nul", "replicas", "either", "set", "numbers", "ports", "atomicList", "atomicMap", "map", "deepMap", "free", "half", "nest"];
}
