using System.Text;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Tests.Kinds;

public sealed class BuiltInKindTests
{
    [Fact]
    public void Every_kind_has_its_own_place_and_a_schema_of_a_whole_object()
    {
        BuiltInKinds.All.Select(kind => kind.StoragePrefix).ShouldBeUnique();
        foreach (ServedKind kind in BuiltInKinds.All)
        {
            kind.Schema.Properties.Keys.ShouldContain("metadata", kind.Kind);
            kind.Strategic.ShouldBeTrue();
            kind.Schema.Definition.ShouldNotBeNull();
            foreach (PrinterColumn column in kind.Columns)
                Should.NotThrow(() => column.Read!(new JsonObject(), DateTimeOffset.UnixEpoch), $"{kind}: {column.Name}"); // Built-in columns are all delegates.
        }
    }

    [Fact]
    public void Secret_texts_become_bytes_and_win()
    {
        JsonObject secret = Json("""{"metadata":{"name":"s","namespace":"n"},"data":{"a":"b2xk","b":"Yg=="},"stringData":{"a":"new"}}""");

        Complete("Secret", secret).ShouldBeEmpty();

        JsonNode.DeepEquals(secret["data"], Json($$"""{"a":"{{Convert.ToBase64String("new"u8)}}","b":"Yg=="}""")).ShouldBeTrue();
        secret.ContainsKey("stringData").ShouldBeFalse();
        secret["type"]!.GetValue<string>().ShouldBe("Opaque");
    }

    [Fact]
    public void Secret_that_is_immutable_stays_as_it_is()
    {
        JsonObject old = Json("""{"metadata":{"name":"s","namespace":"n"},"data":{"a":"b2xk"},"immutable":true,"type":"Opaque"}""");
        JsonObject next = Json("""{"metadata":{"name":"s","namespace":"n"},"data":{"a":"bmV3"},"type":"other"}""");

        Complete("Secret", next, old).Select(cause => $"{cause.Field}|{cause.Message}").ShouldBe(
        [
            "type|Invalid value: \"other\": field is immutable",
            "immutable|Forbidden: field is immutable when `immutable` is set",
            "data|Forbidden: field is immutable when `immutable` is set",
        ]);
        Complete("Secret", (JsonObject)old.DeepClone(), old).ShouldBeEmpty();
    }

    [Theory]
    [InlineData("Secret", """{"data":{"a b":"YQ=="}}""", "data[a b]")]
    [InlineData("Secret", """{"data":{"a":"not base64"}}""", "data.a")]
    [InlineData("Secret", """{"type":"kubernetes.io/tls","data":{"tls.crt":"YQ=="}}""", "data[tls.key]")]
    [InlineData("ConfigMap", """{"data":{"a":"b"},"binaryData":{"a":"YQ=="}}""", "data[a]")]
    [InlineData("ConfigMap", """{"data":{"a":5}}""", "data.a")]
    [InlineData("Service", """{"spec":{"ports":[]}}""", "spec.ports")]
    [InlineData("Service", """{"spec":{"ports":[{"port":0}]}}""", "spec.ports[0].port")]
    [InlineData("Pod", """{"spec":{"containers":[]}}""", "spec.containers")]
    [InlineData("Pod", """{"spec":{"containers":[{"name":"a"}]}}""", "spec.containers[0].image")]
    [InlineData("Pod", """{"spec":{"containers":[{"name":"a","image":"x"},{"name":"a","image":"x"}]}}""", "spec.containers[1].name")]
    [InlineData("Pod", """{"spec":{"containers":[{"name":"a","image":"x","volumeMounts":[{"name":"v","mountPath":"/v"}]}]}}""", "spec.containers[0].volumeMounts[0].name")]
    [InlineData("Pod", """{"spec":{"restartPolicy":"Sometimes","containers":[{"name":"a","image":"x"}]}}""", "spec.restartPolicy")]
    [InlineData("Deployment", """{"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"c"}},"spec":{"containers":[{"name":"a","image":"x"}]}}}}""", "spec.template.metadata.labels")]
    [InlineData("Deployment", """{"spec":{"selector":{},"template":{"spec":{"containers":[{"name":"a","image":"x"}]}}}}""", "spec.selector")]
    [InlineData("Job", """{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"x"}]}}}}""", "spec.template.spec.restartPolicy")]
    [InlineData("Lease", """{"spec":{"leaseDurationSeconds":0}}""", "spec.leaseDurationSeconds")]
    [InlineData("RoleBinding", """{"roleRef":{"kind":"Rolle","name":"x"}}""", "roleRef.kind")]
    public void Object_that_breaks_a_rule_of_its_kind_is_refused(string kind, string body, string field)
    {
        JsonObject document = Json(body);
        document["metadata"] = new JsonObject { ["name"] = "x", ["namespace"] = "n" };

        Complete(kind, document).Select(cause => cause.Field).ShouldBe([field]);
    }

    [Fact]
    public void Deployment_gets_the_defaults_of_the_real_server()
    {
        JsonObject deployment = Json("""
            {"metadata":{"name":"x","namespace":"n"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},
             "spec":{"containers":[{"name":"c","image":"nginx","ports":[{"containerPort":80}],"livenessProbe":{"httpGet":{"port":80}}}],"volumes":[{"name":"v","configMap":{"name":"m"}}]}}}}
            """);

        Complete("Deployment", deployment).ShouldBeEmpty();

        JsonNode.DeepEquals(deployment["spec"], Json("""
            {"selector":{"matchLabels":{"a":"b"}},"replicas":1,"revisionHistoryLimit":10,"progressDeadlineSeconds":600,
             "strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"}},
             "template":{"metadata":{"labels":{"a":"b"}},"spec":{"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler",
              "securityContext":{},"terminationGracePeriodSeconds":30,
              "containers":[{"name":"c","image":"nginx","imagePullPolicy":"Always","resources":{},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File",
                "ports":[{"containerPort":80,"protocol":"TCP"}],
                "livenessProbe":{"httpGet":{"port":80,"scheme":"HTTP"},"failureThreshold":3,"periodSeconds":10,"successThreshold":1,"timeoutSeconds":1}}],
              "volumes":[{"name":"v","configMap":{"name":"m","defaultMode":420}}]}}}
            """)).ShouldBeTrue(deployment["spec"]!.ToJsonString());
    }

    [Fact]
    public void Selector_of_a_deployment_never_changes()
    {
        JsonObject old = Json("""{"metadata":{"name":"x","namespace":"n"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b","c":"d"}},"spec":{"containers":[{"name":"c","image":"x"}]}}}}""");
        JsonObject next = (JsonObject)old.DeepClone();
        next["spec"]!["selector"]!["matchLabels"] = Json("""{"c":"d"}""");

        Complete("Deployment", next, old).Select(cause => $"{cause.Field}|{cause.Message}").ShouldBe(["spec.selector|Invalid value: {\"matchLabels\":{\"c\":\"d\"}}: field is immutable"]);
    }

    [Fact]
    public void Unknown_fields_of_a_pod_are_told_and_known_ones_stay()
    {
        JsonObject pod = Json("""{"metadata":{"name":"x","labls":{}},"spec":{"containers":[{"name":"c","imag":"x","resources":{"limits":{"cpu":1,"memory":"1Gi"}},"env":[{"name":"A","valu":"b"}]}],"toleration":[]}}""");

        SchemaPruner.Prune(pod, Kind("Pod").Schema).ShouldBe(["metadata.labls", "spec.containers[0].env[0].valu", "spec.containers[0].imag", "spec.toleration"]);
    }

    [Theory]
    [InlineData(0, "0s")]
    [InlineData(119, "119s")]
    [InlineData(120, "2m")]
    [InlineData(332, "5m32s")]
    [InlineData(1500, "25m")]
    [InlineData(3 * 3600 + 120, "3h2m")]
    [InlineData(30 * 3600, "30h")]
    [InlineData(3 * 86400 + 7200, "3d2h")]
    [InlineData(100 * 86400, "100d")]
    [InlineData(800 * 86400, "2y70d")]
    public void Age_reads_as_kubectl_writes_it(int seconds, string text) => Ages.Text(TimeSpan.FromSeconds(seconds)).ShouldBe(text);

    [Fact]
    public void Columns_show_what_kubectl_shows()
    {
        JsonObject pod = Json("""
            {"metadata":{"name":"x","creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"nodeName":"n1","containers":[{"name":"a"},{"name":"b"}]},
             "status":{"phase":"Running","podIP":"10.0.0.1","containerStatuses":[{"name":"a","ready":true,"restartCount":2,"state":{"running":{}}},
              {"name":"b","ready":false,"restartCount":1,"state":{"waiting":{"reason":"CrashLoopBackOff"}}}]}}
            """);

        Kind("Pod").Columns.Select(column => column.Read!(pod, new DateTimeOffset(2026, 1, 1, 0, 5, 32, TimeSpan.Zero))!.ToString())
            .ShouldBe(["1/2", "CrashLoopBackOff", "3", "5m32s", "10.0.0.1", "n1", "<none>", "<none>"]);
    }

    private static ServedKind Kind(string kind) => BuiltInKinds.All.First(candidate => candidate.Kind == kind);

    private static IReadOnlyList<StatusCause> Complete(string name, JsonObject document, JsonObject? old = null)
    {
        ServedKind kind = Kind(name);
        SchemaDefaulter.Default(document, kind.Schema);
        kind.ExtraDefaulting?.Invoke(document);
        return [.. KindValidator.Validate(kind, document, old)];
    }

    private static JsonObject Json(string text) => (JsonObject)JsonNode.Parse(Encoding.UTF8.GetBytes(text))!; // Constants of this file.
}
