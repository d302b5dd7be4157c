using System.Diagnostics;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Manifests;
using Rynxs.Resources.Serialization;
using Rynxs.Resources.Universes;

namespace Rynxs.Resources.Tests;

public sealed class ManifestReaderTests
{
    [Fact]
    public void The_manifest_of_the_readme_reads_unchanged()
    {
        byte[] text = File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Golden", "readme-agent.yaml"));

        ManifestResult result = ManifestReader.Read(text);

        result.Errors.ShouldBeEmpty();
        AgentResource agent = result.Resources.ShouldHaveSingleItem().ShouldBeOfType<AgentResource>();
        agent.Id.ToString().ShouldBe("rynxs/my-agent");
        agent.Spec.Role.ShouldBe("sandbox");
        agent.Spec.Image.ShouldBe(new ImageReference { Repository = "python", Tag = "3.11-slim" });
        agent.Spec.Resources.Requests.ShouldBe(new Dictionary<string, string> { ["memory"] = "256Mi", ["cpu"] = "100m" }, ignoreOrder: true);
        agent.Spec.Tools.Allow.ShouldBe(["sandbox.*", "fs.*", "task.complete"]);
        agent.Spec.Provider.Kind.ShouldBe("scripted");
        agent.Spec.Limits.ShouldBe(new ExecutionLimits());
        agent.Spec.Workspace.Size.ShouldBe("1Gi");
    }

    [Fact]
    public void Every_default_of_the_records_survives_an_empty_manifest()
    {
        AgentResource agent = Read<AgentResource>(Manifests.Agent(""));

        AgentResource expected = new() { Metadata = agent.Metadata, Spec = new AgentSpec { Tools = new ToolsSpec { Allow = [] } } };
        Encoding.UTF8.GetString(ResourceJson.Serialize(agent)).ShouldBe(Encoding.UTF8.GetString(ResourceJson.Serialize(expected)));
    }

    [Theory]
    [InlineData("python:3.11-slim", "python", "3.11-slim")]
    [InlineData("python", "python", "latest")]
    [InlineData("registry:5000/x", "registry:5000/x", "latest")]
    [InlineData("registry:5000/team/x:v1", "registry:5000/team/x", "v1")]
    public void An_image_is_a_string_or_an_object(string text, string repository, string tag)
    {
        ImageReference expected = new() { Repository = repository, Tag = tag };

        Read<AgentResource>(Manifests.Agent($"image: {text}")).Spec.Image.ShouldBe(expected);
        Read<AgentResource>(Manifests.Agent($"image: {{repository: '{repository}', tag: '{tag}'}}")).Spec.Image.ShouldBe(expected);
    }

    [Theory]
    [InlineData("image: 'python@sha256:abc'", "spec.image", "by digest")]
    [InlineData("image: 'UPPER'", "spec.image", "lower case")]
    [InlineData("image: ''", "spec.image", "repository")]
    [InlineData("image: 'a:b:c'", "spec.image", "repository")]
    [InlineData("image: 5", "spec.image", "a string or an object is due")]
    [InlineData("image: {tag: x}", "spec.image.repository", "Required")]
    public void A_bad_image_is_refused(string spec, string field, string message) =>
        Errors(Manifests.Agent(spec)).ShouldContain(error => error.Error.Field == field && error.Error.Message.Contains(message));

    [Fact]
    public void Every_error_comes_in_one_answer_with_its_place()
    {
        const string text = """
            apiVersion: universe.ai/v1alpha1
            kind: Agent
            metadata: {name: a}
            spec:
              rol: worker
              role: wroker
              limits: {pids: 0, maxSteps: "x"}
              tools:
                allow: [fs.raed]
                rules:
                - {name: r, effect: alow}
            """;

        ManifestError[] errors = [.. Errors(text)];

        errors.Select(error => error.Error.Field).ShouldBe(
            ["spec.rol", "spec.role", "spec.limits.pids", "spec.limits.maxSteps", "spec.tools.allow[0]", "spec.tools.rules[0].tools", "spec.tools.rules[0].effect"],
            ignoreOrder: true);
        Of("spec.rol").Error.Message.ShouldContain("did you mean \"role\"");
        Of("spec.role").Error.Message.ShouldContain("did you mean \"worker\"");
        Of("spec.tools.allow[0]").Error.Message.ShouldContain("did you mean \"fs.read\"");
        Of("spec.tools.rules[0].effect").Error.Message.ShouldContain("did you mean \"allow\"");
        Of("spec.role").ShouldSatisfyAllConditions(error => error.Line.ShouldBe(6), error => error.Column.ShouldBe(9), error => error.Document.ShouldBe(0));

        ManifestError Of(string field) => errors.Single(error => error.Error.Field == field);
    }

    [Theory]
    [InlineData("kind: Agnet", "did you mean \"Agent\"")]
    [InlineData("kind: Pod", "supported values: Agent, Approval, EgressApproval, EgressPolicy, InferencePolicy, Task, Universe")]
    [InlineData("kind: 3", "Required value")]
    public void An_unknown_kind_is_named(string kind, string message) =>
        Errors($"apiVersion: universe.ai/v1alpha1\n{kind}\nmetadata: {{name: a}}").ShouldHaveSingleItem().Error.Message.ShouldContain(message);

    [Fact]
    public void A_foreign_api_version_is_refused() =>
        Errors("apiVersion: v1\nkind: Agent\nmetadata: {name: a}").ShouldHaveSingleItem().Error.Field.ShouldBe("apiVersion");

    [Fact]
    public void A_stream_is_read_whole_and_errors_name_their_document()
    {
        string good = Manifests.Agent("");
        ManifestReader.Read(Encoding.UTF8.GetBytes($"---\n{good}\n---\n\n---\n{good}")).Resources.Count.ShouldBe(2);

        ManifestResult result = ManifestReader.Read(Encoding.UTF8.GetBytes($"{good}\n---\n{Manifests.Agent("role: king")}"));
        result.Resources.ShouldBeEmpty();
        result.Errors.ShouldHaveSingleItem().Document.ShouldBe(1);
    }

    [Fact]
    public void A_list_is_read_item_by_item()
    {
        const string text = """
            {"apiVersion":"v1","kind":"List","items":[
              {"apiVersion":"universe.ai/v1alpha1","kind":"Agent","metadata":{"name":"a"}},
              {"apiVersion":"universe.ai/v1alpha1","kind":"Agent","metadata":{"name":"B"}}]}
            """;

        Errors(text).ShouldHaveSingleItem().Error.Field.ShouldBe("items[1].metadata.name");
    }

    [Theory]
    [InlineData("role: yes", "spec.role")]
    [InlineData("role: on", "spec.role")]
    [InlineData("team: y", "spec.team")]
    [InlineData("role: 12", "spec.role")]
    [InlineData("role: 1e3", "spec.role")]
    [InlineData("manages: [a, no]", "spec.manages[1]")]
    public void What_yaml_reads_as_no_string_is_no_string(string spec, string field)
    {
        ManifestError error = Errors(Manifests.Agent(spec)).ShouldHaveSingleItem();
        error.Error.Field.ShouldBe(field);
        error.Error.Code.ShouldBe(FieldErrorCodes.TypeInvalid);
        error.Error.Message.ShouldContain("quotation marks");
    }

    [Theory]
    [InlineData("limits: {pids: 010}")]
    [InlineData("limits: {pids: 0x10}")]
    [InlineData("limits: {pids: 1_0}")]
    [InlineData("limits: {pids: .nan}")]
    [InlineData("limits: {pids: .inf}")]
    [InlineData("limits: {pids: 10.0}")]
    [InlineData("limits: {pids: 99999999999999999999}")]
    [InlineData("limits: {pids: true}")]
    [InlineData("limits: []")]
    [InlineData("manages: {}")]
    [InlineData("suspended: 1")]
    public void A_number_that_is_no_plain_integer_is_refused(string spec) => Errors(Manifests.Agent(spec)).ShouldNotBeEmpty();

    [Fact]
    public void Quantities_may_be_numbers_as_in_kubernetes() =>
        Read<AgentResource>(Manifests.Agent("resources: {requests: {cpu: 1, memory: 0.5}}")).Spec.Resources.Requests["cpu"].ShouldBe("1");

    [Fact]
    public void Null_means_absent()
    {
        AgentResource agent = Read<AgentResource>(Manifests.Agent("role: null\n  tools: ~\n  image:\n  limits: {pids: null}"));

        agent.Spec.Role.ShouldBe("worker");
        agent.Spec.Image.ShouldBeNull();
        agent.Spec.Limits.Pids.ShouldBe(64);
    }

    [Fact]
    public void A_required_null_is_missing() =>
        Errors(Manifests.Task("title: null\n  description: x")).ShouldHaveSingleItem().Error.ShouldBe(new FieldError("spec.title", FieldErrorCodes.Required, "Required value"));

    [Theory]
    [InlineData("spec: &a {role: worker}", "anchors")]
    [InlineData("spec: *a", "aliases")]
    [InlineData("spec: !!map {role: worker}", "tags")]
    [InlineData("spec: !secret x", "tags")]
    [InlineData("spec: {<<: {role: worker}}", "merge keys")]
    [InlineData("spec: {role: worker, role: worker}", "duplicate field")]
    [InlineData("spec: {1: x}", "not a string")]
    [InlineData("spec: {? [a] : x}", "a key must be a string")]
    [InlineData("spec: {role: \"a\\u0000b\"}", "U+0000")]
    [InlineData("spec: {role: \"a\\u001b[31mb\"}", "U+001B")]
    [InlineData("spec: [", "not valid YAML")]
    [InlineData("\tspec: x", "not valid YAML")]
    public void Dangerous_yaml_is_refused_with_its_reason(string line, string message)
    {
        string text = $"apiVersion: universe.ai/v1alpha1\nkind: Agent\nmetadata: {{name: a}}\n{line}\n";

        Errors(text).ShouldContain(error => error.Error.Message.Contains(message));
    }

    [Theory]
    [InlineData("{\"a\":1,\"a\":2}", "duplicate field")]
    [InlineData("{\"a\":NaN}", "not valid JSON")]
    [InlineData("{\"a\":1} x", "not valid JSON")]
    [InlineData("{\"a\":", "not valid JSON")]
    [InlineData("{\"a\":\"\\ud800\"}", "surrogate")]
    [InlineData("", "no objects")]
    [InlineData("just text", "an object with apiVersion and kind is due")]
    [InlineData("[1]", "an object with apiVersion and kind is due")]
    public void Text_that_is_no_manifest_is_refused(string text, string message) =>
        Errors(text).ShouldContain(error => error.Error.Message.Contains(message));

    [Fact]
    public void Billion_laughs_is_refused_at_its_first_anchor()
    {
        StringBuilder bomb = new("a: &a [x,x,x,x,x,x,x,x,x]\n");
        for (char c = 'b'; c <= 'k'; c++)
            bomb.Append(c).Append(": &").Append(c).Append(" [").Append(string.Join(',', Enumerable.Repeat($"*{(char)(c - 1)}", 9))).Append("]\n");

        Quick(() => Errors(bomb.ToString()).ShouldHaveSingleItem().Error.Message.ShouldContain("anchors"));
    }

    [Theory]
    [InlineData('[')]
    [InlineData('{')]
    public void Deep_nesting_is_refused(char open)
    {
        Quick(() => Errors("x: " + new string(open, 500_000)).ShouldHaveSingleItem().Error.Message.ShouldContain("nested deeper than 64"));
        Quick(() => Errors("{\"x\":" + new string('[', 500_000)).ShouldHaveSingleItem());
    }

    [Fact]
    public void Documents_over_a_bound_are_refused()
    {
        Quick(() => Errors(new string('a', 10 * 1024 * 1024)).ShouldHaveSingleItem().Error.Code.ShouldBe(FieldErrorCodes.TooLong));
        Quick(() => Errors("{\"a\":\"" + new string('a', 3 * 1024 * 1024) + "\"}").ShouldHaveSingleItem().Error.Code.ShouldBe(FieldErrorCodes.TooLong));
        Quick(() => Errors("a: " + new string('ä', 1600 * 1024)).ShouldHaveSingleItem().Error.Message.ShouldContain("larger than 3145728 bytes"));
        Quick(() => Errors("a: [" + string.Join(',', Enumerable.Repeat('1', 60_000)) + "]").ShouldHaveSingleItem().Error.Message.ShouldContain("more than 50000 values"));
        Quick(() => Errors("{\"a\":[" + string.Join(',', Enumerable.Repeat('1', 60_000)) + "]}").ShouldHaveSingleItem().Error.Message.ShouldContain("more than 50000 values"));
    }

    [Fact]
    public void Bytes_that_are_not_utf8_are_refused_with_their_offset()
    {
        ManifestResult result = ManifestReader.Read(new byte[] { (byte)'a', (byte)':', (byte)' ', 0xff, 0xfe });

        result.Errors.ShouldHaveSingleItem().Error.Message.ShouldContain("not UTF-8 (byte 3)");
    }

    [Fact]
    public void A_bad_value_is_bounded_and_escaped_in_the_message()
    {
        string message = Errors(Manifests.Agent($"role: \"{new string('x', 5000)}\"")).ShouldHaveSingleItem().Error.Message;

        message.Length.ShouldBeLessThan(300);
        Errors("{\"apiVersion\":\"universe.ai/v1alpha1\",\"kind\":\"Agent\",\"metadata\":{\"name\":\"a\"},\"\\u001b[31m\":1}")
            .ShouldAllBe(error => !error.ToString().Contains('\u001b'));
    }

    [Fact]
    public void Random_text_never_does_anything_but_succeed_or_list_errors()
    {
        Gen<string> pieces = Gen.Elements(
            "apiVersion: universe.ai/v1alpha1\n", "kind: Agent\n", "metadata:\n", "  name: a\n", "spec:\n", "  role: ", "- ", "? ", ": ", "{", "}", "[", "]",
            "&a ", "*a", "!t ", "|\n", ">\n", "\"", "'", "#", "---\n", "...\n", "%YAML 1.1\n", "\t", "\n", ",", "\u0085", "\ufeff", "\0", "0x1", "~", "é", "{\"a\":");
        Prop.ForAll(Arb.From(pieces.ListOf().Select(list => string.Concat(list))), text =>
        {
            ManifestResult result = ManifestReader.Read(Encoding.UTF8.GetBytes(text));
            return (result.Resources.Count > 0) ^ (result.Errors.Count > 0);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Soak.Count(3000)).WithEndSize(200));
    }

    [Fact]
    public void A_universe_with_sleep_windows_reads()
    {
        const string text = """
            apiVersion: universe.ai/v1alpha1
            kind: Universe
            metadata: {name: u}
            spec:
              policies:
                identityBleedRate: 0.0005
                macroLuck: {min: 0.01, max: 0.10}
                sleep: {instantBackupEverySeconds: 30, windows: [{start: 22:00, end: "06:00", days: [mon], timeZone: UTC}]}
                denyTools: [sandbox.*]
            """;

        UniverseResource universe = Read<UniverseResource>(text);
        universe.Spec.Policies.Sleep.Windows.ShouldHaveSingleItem().Start.ShouldBe("22:00");
        universe.Spec.Policies.MacroLuck?.GetProperty("min").GetDouble().ShouldBe(0.01);
        universe.Metadata.Namespace.ShouldBe("");
    }

    [Fact]
    public void A_local_provider_reads_as_openai()
    {
        ProviderSpec provider = Read<AgentResource>(Manifests.Agent("provider: {kind: local, baseUrl: 'http://127.0.0.1:9'}")).Spec.Provider;

        provider.ShouldBe(new ProviderSpec { Kind = "openai", BaseUrl = "http://127.0.0.1:9/v1", Model = "gpt-oss" });
    }

    private static T Read<T>(string text)
    {
        ManifestResult result = ManifestReader.Read(Encoding.UTF8.GetBytes(text));
        result.Errors.ShouldBeEmpty();
        return result.Resources.ShouldHaveSingleItem().ShouldBeOfType<T>();
    }

    private static IReadOnlyList<ManifestError> Errors(string text) => ManifestReader.Read(Encoding.UTF8.GetBytes(text)).Errors;

    /// <summary>A bomb that is defused takes milliseconds; one that is not takes for ever.</summary>
    private static void Quick(Action action)
    {
        long start = Stopwatch.GetTimestamp();
        action();
        Stopwatch.GetElapsedTime(start).ShouldBeLessThan(TimeSpan.FromSeconds(5));
    }
}
