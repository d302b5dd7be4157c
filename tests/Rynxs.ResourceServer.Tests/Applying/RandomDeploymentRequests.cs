using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Tests.Applying;

/// <summary>
/// Random requests to a Deployment: strategic merge patches with their directives beside the kinds of request that all objects have. None sets a
/// field to its zero (false, an empty list): a real server leaves most of those out of built-in kinds, and we keep them (ADR 0016).
/// </summary>
internal sealed class RandomDeploymentRequests(int seed)
{
    private readonly Random _random = new(seed);

    public DocumentRequest Next(JsonObject? live, string name)
    {
        if (live is null)
            return One(2)
                ? new DocumentRequest("POST", "application/json", Deployment(name), Updater())
                : new DocumentRequest("PATCH", DocumentRequests.ApplyType, Deployment(name), Applier(), Force: One(2));
        return _random.Next(6) switch
        {
            0 => new DocumentRequest("PATCH", DocumentRequests.ApplyType, Partial(name), Applier(), Force: One(2)),
            1 => new DocumentRequest("PATCH", DocumentRequests.MergeType, new JsonObject { ["spec"] = new JsonObject { ["replicas"] = _random.Next(4), ["paused"] = One(2) ? null : true } }, Updater()),
            2 => Put(live),
            _ => new DocumentRequest("PATCH", DocumentRequests.StrategicType, Strategic(), Updater()),
        };
    }

    private JsonObject Deployment(string name)
    {
        JsonObject deployment = Partial(name);
        deployment["spec"]!["selector"] = new JsonObject { ["matchLabels"] = new JsonObject { ["a"] = "b" } };
        JsonObject template = deployment["spec"]!["template"]!.AsObject();
        template["metadata"] = new JsonObject { ["labels"] = new JsonObject { ["a"] = "b" } };
        if (template["spec"]!["containers"] is not JsonArray { Count: > 0 })
            template["spec"]!["containers"] = new JsonArray(Container("c1"));
        return deployment;
    }

    private JsonObject Partial(string name)
    {
        JsonObject pod = [];
        if (One(2))
            pod["containers"] = Containers();
        if (One(4))
            pod["tolerations"] = new JsonArray(new JsonObject { ["key"] = Pick("k", "l"), ["operator"] = "Exists" });
        if (One(4))
            pod["nodeSelector"] = new JsonObject { [Pick("k", "l")] = "v" };
        JsonObject metadata = new() { ["name"] = name };
        if (One(3))
            metadata["labels"] = new JsonObject { [Pick("x", "y")] = Pick("1", "2") };
        JsonObject spec = new() { ["template"] = new JsonObject { ["spec"] = pod } };
        if (One(3))
            spec["replicas"] = _random.Next(4);
        if (One(5))
            spec["strategy"] = new JsonObject { ["type"] = "RollingUpdate", ["rollingUpdate"] = new JsonObject { ["maxSurge"] = 1 } };
        return new JsonObject { ["apiVersion"] = "apps/v1", ["kind"] = "Deployment", ["metadata"] = metadata, ["spec"] = spec };
    }

    private JsonArray Containers() => new([.. Some("c1", "c2", "c3").Select(name => (JsonNode)Container(name))]);

    private JsonObject Container(string name)
    {
        JsonObject container = new() { ["name"] = name, ["image"] = Pick("i:1", "i:2") };
        if (One(3))
            container["env"] = new JsonArray([.. Any("A", "B", "C").Select(variable => (JsonNode)new JsonObject { ["name"] = variable, ["value"] = Pick("1", "2") })]);
        if (One(3))
            container["ports"] = new JsonArray([.. Any("80", "81").Select(port => (JsonNode)new JsonObject { ["containerPort"] = int.Parse(port, System.Globalization.CultureInfo.InvariantCulture) })]);
        if (One(4))
            container["args"] = new JsonArray([.. Any("p", "q").Select(argument => (JsonNode)argument)]);
        return container;
    }

    private JsonObject Strategic()
    {
        JsonObject patch = [];
        JsonObject spec = [];
        JsonObject pod = [];
        switch (_random.Next(12))
        {
            case 0:
                pod["containers"] = new JsonArray(new JsonObject { ["$patch"] = "delete", ["name"] = Pick("c1", "c2", "c3") });
                break;
            case 1:
                pod["containers"] = new JsonArray(new JsonObject { ["$patch"] = "replace" }, Container(Pick("c1", "c2")));
                break;
            case 2:
                pod["$setElementOrder/containers"] = new JsonArray([.. Some("c1", "c2", "c3").Select(name => (JsonNode)new JsonObject { ["name"] = name })]);
                pod["containers"] = Containers();
                break;
            case 3:
                patch["metadata"] = new JsonObject { ["$deleteFromPrimitiveList/finalizers"] = new JsonArray("test.universe.ai/f"), ["finalizers"] = new JsonArray("test.universe.ai/" + Pick("g", "h")) };
                break;
            case 4:
                patch["metadata"] = new JsonObject { ["finalizers"] = new JsonArray([.. Some("f", "g", "h").Select(name => (JsonNode)("test.universe.ai/" + name))]) };
                break;
            case 5:
                spec["strategy"] = One(2)
                    ? new JsonObject { ["$retainKeys"] = new JsonArray("type"), ["type"] = "Recreate" }
                    : new JsonObject { ["$retainKeys"] = new JsonArray("type", "rollingUpdate"), ["type"] = "RollingUpdate", ["rollingUpdate"] = new JsonObject { ["maxSurge"] = 2 } };
                break;
            case 6:
                pod["nodeSelector"] = new JsonObject { ["$patch"] = "replace", ["k"] = "w" };
                break;
            case 7:
                pod["containers"] = One(2) ? new JsonArray(new JsonObject { ["image"] = "i" }) : new JsonArray(new JsonObject { ["$patch"] = Pick("merge", "odd"), ["name"] = "c1" });
                break;
            case 8:
                patch[Pick("$retainKeys", "$patch")] = One(2) ? new JsonArray("metadata") : "odd";
                break;
            case 9:
                pod["tolerations"] = new JsonArray(new JsonObject { ["key"] = "m", ["operator"] = "Exists" });
                pod["nodeSelector"] = new JsonObject { ["k"] = null, ["m"] = "n" };
                break;
            default:
                pod["containers"] = Containers();
                break;
        }

        if (pod.Count > 0)
            spec["template"] = new JsonObject { ["spec"] = pod };
        if (One(4))
            spec["replicas"] = One(3) ? null : _random.Next(4);
        if (spec.Count > 0)
            patch["spec"] = spec;
        return patch;
    }

    private DocumentRequest Put(JsonObject live)
    {
        JsonObject next = live.DeepClone().AsObject();
        next["spec"]!["replicas"] = _random.Next(4);
        if (One(2))
            next["spec"]!["template"]!["spec"]!["containers"] = new JsonArray(Container(Pick("c1", "c2")));
        if (One(3))
            next["metadata"]!["labels"] = new JsonObject { [Pick("x", "y")] = "3" };
        return new DocumentRequest("PUT", "application/json", next, Updater());
    }

    private string Updater() => Pick("upd", "edit");

    private string Applier() => Pick("one", "two");

    private bool One(int of) => _random.Next(of) == 0;

    private T Pick<T>(params T[] from) => from[_random.Next(from.Length)];

    private string[] Any(params string[] from) => Some(from) is { Length: > 0 } some ? some : from;

    private string[] Some(params string[] from)
    {
        string[] some = [.. from.Where(_ => _random.Next(2) == 0)];
        if (One(2))
            Array.Reverse(some);
        return some;
    }
}
