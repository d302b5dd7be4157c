using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Tests.Kit;
using static Rynxs.ResourceServer.Tests.Kit.ApiServer;

namespace Rynxs.ResourceServer.Tests.Hostile;

/// <summary>
/// Bodies and queries that are damaged at random (G3): every answer is one of ours, a Status where it refuses, none is a failure of the server's, and afterwards
/// the object can be read, listed and deleted. The same requests undamaged are the control: most of them are taken.
/// </summary>
public sealed class RequestFuzzTests
{
    private const string Maps = "/api/v1/namespaces/default/configmaps";
    private const string Deployments = "/apis/apps/v1/namespaces/default/deployments";
    private const string Agents = "/apis/universe.ai/v1alpha1/namespaces/default/agents";

    private const string Deployment = """
        {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"f","labels":{"a":"b"},"annotations":{"n":"v"}},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},
        "template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],"env":[{"name":"X","value":"1"}]}]}}}}
        """;

    private static readonly (string Method, string Path, string Type, string Body)[] Requests =
    [
        ("POST", Maps, "application/json", """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"generateName":"f-","finalizers":[],"ownerReferences":[]},"data":{"a":"1"},"binaryData":{"b":"AAE="}}"""),
        ("POST", Maps, "application/yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: f-}\ndata:\n  a: \"1\"\n  b: |\n    two\n    lines\n"),
        ("PUT", $"{Deployments}/f", "application/json", Deployment),
        ("PATCH", $"{Deployments}/f", "application/merge-patch+json", """{"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"c","image":"j"}]}}}}"""),
        ("PATCH", $"{Deployments}/f", "application/strategic-merge-patch+json", """{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"c"}],"containers":[{"name":"c","$patch":"replace","image":"k"}]}}}}"""),
        ("PATCH", $"{Deployments}/f", "application/json-patch+json", """[{"op":"test","path":"/spec/replicas","value":2},{"op":"add","path":"/metadata/labels/x~1y","value":"z"},{"op":"move","from":"/metadata/annotations/n","path":"/metadata/labels/n"}]"""),
        ("PATCH", $"{Deployments}/f?fieldManager=fuzz&force=true", "application/apply-patch+yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: f, labels: {from: fuzz}}\nspec: {replicas: 4}\n"),
        ("PATCH", $"{Deployments}/f/scale", "application/merge-patch+json", """{"spec":{"replicas":5}}"""),
        ("PATCH", $"{Deployments}/f/status", "application/merge-patch+json", """{"status":{"replicas":1,"conditions":[{"type":"Available","status":"True"}]}}"""),
        ("POST", Agents, "application/json", """{"apiVersion":"universe.ai/v1alpha1","kind":"Agent","metadata":{"generateName":"f-"},"spec":{"role":"sandbox","image":"python:3.11-slim","resources":{"requests":{"memory":"256Mi","cpu":"100m"}}}}"""),
        ("DELETE", $"{Maps}/none", "application/json", """{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background","preconditions":{"uid":"x"},"dryRun":["All"]}"""),
        ("GET", $"{Maps}?labelSelector=a%20in%20(b,c),!d&fieldSelector=metadata.name!%3Dx&limit=3&resourceVersion=0&resourceVersionMatch=NotOlderThan", "", ""),
        ("GET", $"{Maps}?watch=1&timeoutSeconds=1&resourceVersion=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "", ""),
    ];

    private static readonly string[] Pieces =
    [
        "null", "{}", "[]", "\"\"", "-1", "1e400", "9223372036854775808", "0.1", "true", "\"\\u0000\"", "\"\\ud800\"", "metadata", "$patch", "$retainKeys", "$deleteFromPrimitiveList/x",
        "/-", "/~", "~2", "*", "&a", "!!binary", "---\n", "\t", "\u2028", "kind", "managedFields", "f:", ":", ",", "}", "]", "\"", "\\", "%00", "%zz", "(", ")", "!", "==", "=",
    ];

    /// <summary>Refusals that kube-apiserver 1.36.2 gives as failures of its own, and we with it: seen there for the same requests.</summary>
    private static readonly (int Code, string Text)[] FailuresOfTheRealServer =
    [
        (500, "strconv.ParseUint"), // the version of a watch is no number
        (500, "failed to create typed patch object"), // an applied field that the schema lacks
        (500, "unable to find api field in struct"), // a directive of a strategic merge patch for such a field
        (500, "unknown patch type"), // a directive of another name
        (504, "Too large resource version"), // a version that is not reached yet
    ];

    [Fact]
    public async Task G3_no_damaged_request_makes_the_server_fail_and_undamaged_ones_are_taken()
    {
        await using ApiServer server = await StartAsync();
        await server.JsonAsync("POST", Deployments, Deployment, 201);
        await server.JsonAsync("POST", $"/api/v1/namespaces", """{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"control"}}""", 201);
        int taken = 0;
        foreach ((string method, string path, string type, string body) in Requests)
            taken += (int)(await SendAsync(server, method, path, type, Encoding.UTF8.GetBytes(body))).Code < 300 ? 1 : 0;
        taken.ShouldBeGreaterThanOrEqualTo(Requests.Length - 3, "positive control: but for the deletion of what is not there and what came too late, they are taken");

        int seed = Soak.Wanted ? Environment.TickCount : 20261122;
        Random random = new(seed);
        for (int i = 0; i < Soak.Count(700); i++)
        {
            (string method, string path, string type, string body) = Requests[random.Next(Requests.Length)];
            byte[] damaged = body.Length == 0 ? [] : Damage(random, body);
            string address = body.Length == 0 || random.Next(10) == 0 ? DamageQuery(random, path) : path;
            (HttpStatusCode code, string answer) = await SendAsync(server, method, address, type, damaged);

            string what = $"seed {seed}, request {i}: {method} {address} {Encoding.UTF8.GetString(damaged)}: {(int)code} {answer}";
            bool asTheRealOne = FailuresOfTheRealServer.Any(one => (int)code == one.Code && answer.Contains(one.Text, StringComparison.Ordinal));
            if (!asTheRealOne)
                ((int)code).ShouldBeLessThan(500, what);
            if ((int)code >= 400 && JsonNode.Parse(answer) is var status)
                ((string?)status!["kind"]).ShouldBe("Status", what);
        }

        await server.JsonAsync("GET", $"{Deployments}/f");
        foreach (string collection in (string[])[Maps, Agents, Deployments])
        {
            await server.JsonAsync("GET", collection);
            await server.JsonAsync("GET", collection, accept: "application/json;as=Table;v=v1;g=meta.k8s.io");
            await server.JsonAsync("DELETE", collection);
        }
    }

    /// <summary>408 and answers of a malformed address come from the listener and not from us: they count as refusals with a Status.</summary>
    private static async Task<(HttpStatusCode Code, string Answer)> SendAsync(ApiServer server, string method, string path, string type, byte[] body)
    {
        using HttpRequestMessage request = new(new HttpMethod(method), path);
        if (body.Length > 0)
        {
            request.Content = new ByteArrayContent(body);
            request.Content.Headers.TryAddWithoutValidation("Content-Type", type);
        }

        using HttpResponseMessage response = await server.Client.SendAsync(request, Ct);
        return (response.StatusCode, await response.Content.ReadAsStringAsync(Ct));
    }

    private static byte[] Damage(Random random, string body)
    {
        List<byte> bytes = [.. Encoding.UTF8.GetBytes(body)];
        for (int i = random.Next(1, 4); i > 0 && bytes.Count > 0; i--)
        {
            int at = random.Next(bytes.Count);
            int length = Math.Min(random.Next(1, 12), bytes.Count - at);
            switch (random.Next(6))
            {
                case 0:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1:
                    bytes.RemoveRange(at, length);
                    break;
                case 2:
                    bytes.InsertRange(at, bytes.GetRange(at, length));
                    break;
                case 3:
                    bytes.RemoveRange(at, bytes.Count - at);
                    break;
                default:
                    // A value for a value: from one colon to the next mark.
                    byte[] piece = Encoding.UTF8.GetBytes(Pieces[random.Next(Pieces.Length)]);
                    int colon = bytes.IndexOf((byte)':', at);
                    int end = colon < 0 ? -1 : bytes.FindIndex(colon + 1, one => one is (byte)',' or (byte)'}' or (byte)']' or (byte)'\n');
                    if (end > 0)
                        bytes.RemoveRange(colon + 1, end - colon - 1);
                    bytes.InsertRange(end > 0 ? colon + 1 : at, piece);
                    break;
            }
        }

        return [.. bytes];
    }

    private static string DamageQuery(Random random, string path)
    {
        int query = path.IndexOf('?', StringComparison.Ordinal);
        string place = query < 0 ? path : path[..query];
        string[] given = query < 0 ? ["dryRun=All", "fieldValidation=Strict", "fieldManager=m", "pretty=true"] : path[(query + 1)..].Split('&');
        IEnumerable<string> parts = given.Where(_ => random.Next(4) > 0).Select(part => random.Next(3) switch
        {
            0 => part.Split('=')[0] + "=" + Uri.EscapeDataString(Pieces[random.Next(Pieces.Length)]),
            1 => part + Uri.EscapeDataString(Pieces[random.Next(Pieces.Length)]),
            _ => part,
        });
        // A watch that lost its end would be waited for.
        string text = string.Join('&', parts.Where(part => !part.StartsWith("timeoutSeconds", StringComparison.Ordinal)));
        return $"{place}?{text}{(text.Contains("watch", StringComparison.Ordinal) ? "&timeoutSeconds=1" : "")}";
    }
}
