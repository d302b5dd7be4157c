using System.Text;
using Rynxs.Resources.Manifests;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;
using Rynxs.Resources.Validation;

namespace Rynxs.Resources.Tests;

public sealed class ValidationTests
{
    private static readonly string Hash = new('a', 64);

    [Theory]
    [InlineData("role: emperor", "spec.role")]
    [InlineData("team: Bad_Name", "spec.team")]
    [InlineData("manages: [a, a]", "spec.manages[1]")]
    [InlineData("universeRef: ''", "spec.universeRef")]
    [InlineData("workspace: {size: 0}", "spec.workspace.size")]
    [InlineData("workspace: {size: '0'}", "spec.workspace.size")]
    [InlineData("workspace: {size: 1Xi}", "spec.workspace.size")]
    [InlineData("workspace: {size: -1Gi}", "spec.workspace.size")]
    [InlineData("provider: {kind: anthropic}", "spec.provider.kind")]
    [InlineData("provider: {kind: openai}", "spec.provider.model")]
    [InlineData("provider: {baseUrl: 'ftp://x'}", "spec.provider.baseUrl")]
    [InlineData("provider: {baseUrl: 'http://user:hunter2@x/v1'}", "spec.provider.baseUrl")]
    [InlineData("provider: {baseUrl: '/v1'}", "spec.provider.baseUrl")]
    [InlineData("provider: {baseUrl: 'http://x/?q'}", "spec.provider.baseUrl")]
    [InlineData("provider: {timeoutSeconds: 0}", "spec.provider.timeoutSeconds")]
    [InlineData("provider: {timeoutSeconds: 601}", "spec.provider.timeoutSeconds")]
    [InlineData("provider: {maxRetries: 11}", "spec.provider.maxRetries")]
    [InlineData("provider: {apiKeySecretRef: {name: s, key: ../x}}", "spec.provider.apiKeySecretRef.key")]
    [InlineData("provider: {apiKeySecretRef: {name: s, key: ..}}", "spec.provider.apiKeySecretRef.key")]
    [InlineData("provider: {apiKeySecretRef: {name: s}}", "spec.provider.apiKeySecretRef.key")]
    [InlineData("tools: {allow: ['fs.**']}", "spec.tools.allow[0]")]
    [InlineData("tools: {allow: ['']}", "spec.tools.allow[0]")]
    [InlineData("tools: {deny: [net.*]}", "spec.tools.deny[0]")]
    [InlineData("tools: {requireApproval: [sandbox.shel]}", "spec.tools.requireApproval[0]")]
    [InlineData("tools: {maxConcurrentCalls: 65}", "spec.tools.maxConcurrentCalls")]
    [InlineData("tools: {maxConcurrentCalls: 0}", "spec.tools.maxConcurrentCalls")]
    [InlineData("tools: {rules: [{name: a, tools: [fs.*], effect: allow}, {name: a, tools: [fs.*], effect: deny}]}", "spec.tools.rules[1].name")]
    [InlineData("tools: {rules: [{name: a, tools: [], effect: allow}]}", "spec.tools.rules[0].tools")]
    [InlineData("tools: {rules: [{name: a, tools: [fs.*], effect: allow, priority: 1001}]}", "spec.tools.rules[0].priority")]
    [InlineData("tools: {rules: [{name: a, tools: [fs.*], effect: allow, arguments: [{name: x, operator: regex, value: '('}]}]}", "spec.tools.rules[0].arguments[0].value")]
    [InlineData("tools: {rules: [{name: a, tools: [fs.*], effect: allow, arguments: [{name: x, operator: regex, value: '(a)\\1'}]}]}", "spec.tools.rules[0].arguments[0].value")]
    [InlineData("tools: {rules: [{name: a, tools: [fs.*], effect: allow, arguments: [{name: x, operator: equals}]}]}", "spec.tools.rules[0].arguments[0].value")]
    [InlineData("tools: {rules: [{name: a, tools: [fs.*], effect: allow, arguments: [{name: x, operator: in}]}]}", "spec.tools.rules[0].arguments[0].values")]
    [InlineData("tools: {rules: [{name: a, tools: [fs.*], effect: allow, arguments: [{name: x, operator: maxLength, value: '-1'}]}]}", "spec.tools.rules[0].arguments[0].value")]
    [InlineData("tools: {rules: [{name: a, tools: [fs.*], effect: allow, arguments: [{name: x, operator: like, value: z}]}]}", "spec.tools.rules[0].arguments[0].operator")]
    [InlineData("tools: {rateLimits: [{tool: fs.*, perMinute: 0}]}", "spec.tools.rateLimits[0].perMinute")]
    [InlineData("tools: {rateLimits: [{tool: fs.*, perMinute: 1, burst: 60001}]}", "spec.tools.rateLimits[0].burst")]
    [InlineData("network: {allowEgressTo: ['a b']}", "spec.network.allowEgressTo[0]")]
    [InlineData("resources: {requests: {cpu: '2'}, limits: {cpu: '1'}}", "spec.resources.requests[cpu]")]
    [InlineData("resources: {requests: {memroy: 1Gi}}", "spec.resources.requests[memroy]")]
    [InlineData("resources: {limits: {memory: lots}}", "spec.resources.limits[memory]")]
    [InlineData("limits: {timeoutSeconds: 601}", "spec.limits.timeoutSeconds")]
    [InlineData("limits: {outputBytes: 1023}", "spec.limits.outputBytes")]
    [InlineData("limits: {outputBytes: 16777217}", "spec.limits.outputBytes")]
    [InlineData("limits: {pids: 1025}", "spec.limits.pids")]
    [InlineData("limits: {maxSteps: 201}", "spec.limits.maxSteps")]
    [InlineData("sandbox: {runtime: firecracker}", "spec.sandbox.runtime")]
    [InlineData("sandbox: {runtime: gvisro}", "spec.sandbox.runtime")]
    [InlineData("sandbox: {platform: kvm}", "spec.sandbox.platform")]
    public void An_agent_that_breaks_a_rule_is_refused_at_the_field(string spec, string field) => Single(Manifests.Agent(spec), field);

    [Theory]
    [InlineData("title: ''\n  description: x", "spec.title")]
    [InlineData("title: \"a\\nb\"\n  description: x", "spec.title")]
    [InlineData("title: a\n  description: ''", "spec.description")]
    [InlineData("title: a\n  description: x\n  assignee: A", "spec.assignee")]
    [InlineData("title: a\n  description: x\n  priority: hihg", "spec.priority")]
    [InlineData("title: a\n  description: x\n  deadline: tomorrow", "spec.deadline")]
    [InlineData("title: a\n  description: x\n  deadline: 2026-01-01T00:00:00", "spec.deadline")]
    [InlineData("title: a\n  description: x\n  requiredTools: [fs.*]", "spec.requiredTools[0]")]
    [InlineData("title: a\n  description: x\n  dependencies: [t]", "spec.dependencies[0]")]
    [InlineData("title: a\n  description: x\n  dependencies: [b, b]", "spec.dependencies[1]")]
    [InlineData("title: a\n  description: x\n  maxAttempts: 0", "spec.maxAttempts")]
    [InlineData("title: a\n  description: x\n  maxAttempts: 11", "spec.maxAttempts")]
    public void A_task_that_breaks_a_rule_is_refused_at_the_field(string spec, string field) => Single(Manifests.Task(spec), field);

    [Theory]
    [InlineData("identityBleedRate: 1.1", "spec.policies.identityBleedRate")]
    [InlineData("macroLuck: 3", "spec.policies.macroLuck")]
    [InlineData("denyTools: [fs.raed]", "spec.policies.denyTools[0]")]
    [InlineData("sleep: {deepSleepEverySeconds: 0}", "spec.policies.sleep.deepSleepEverySeconds")]
    [InlineData("sleep: {windows: [{start: '24:00', end: '06:00'}]}", "spec.policies.sleep.windows[0].start")]
    [InlineData("sleep: {windows: [{start: '23:00', end: '6:00'}]}", "spec.policies.sleep.windows[0].end")]
    [InlineData("sleep: {windows: [{start: '23:00', end: '06:00', days: [mo]}]}", "spec.policies.sleep.windows[0].days[0]")]
    [InlineData("sleep: {windows: [{start: '23:00', end: '06:00', timeZone: Mars/Base}]}", "spec.policies.sleep.windows[0].timeZone")]
    [InlineData("sleep: {windows: [{start: '23:00', end: '06:00', timeZone: ../../etc/passwd}]}", "spec.policies.sleep.windows[0].timeZone")]
    public void A_universe_that_breaks_a_rule_is_refused_at_the_field(string policies, string field) => Single(Manifests.Universe(policies), field);

    [Theory]
    [InlineData("kind: email", "spec.kind")]
    [InlineData("subjectHash: ABC", "spec.subjectHash")]
    [InlineData("requester: ''", "spec.requester")]
    [InlineData("expires: 2026", "spec.expires")]
    public void An_approval_that_breaks_a_rule_is_refused_at_the_field(string line, string field)
    {
        Dictionary<string, string> spec = new() { ["kind"] = "tool", ["subjectHash"] = Hash, ["requester"] = "user:a", ["expires"] = "2030-01-01T00:00:00Z" };
        string[] pair = line.Split(": ");
        spec[pair[0]] = pair[1];

        Single(Manifests.Approval(string.Join("\n  ", spec.Select(entry => $"{entry.Key}: {entry.Value}"))), field);
    }

    [Theory]
    [InlineData("metadata: {}", "metadata.name")]
    [InlineData("metadata: {name: A}", "metadata.name")]
    [InlineData("metadata: {name: a-}", "metadata.name")]
    [InlineData("metadata: {name: a, labels: {k: '!'}}", "metadata.labels[k]")]
    [InlineData("metadata: {name: a, labels: {'/k': v}}", "metadata.labels[/k]")]
    [InlineData("metadata: {name: a, annotations: {'a b': v}}", "metadata.annotations[a b]")]
    [InlineData("metadata: {name: a, finalizers: [x, x]}", "metadata.finalizers[1]")]
    [InlineData("metadata: {name: a, nmaespace: x}", "metadata.nmaespace")]
    public void Metadata_that_breaks_a_rule_is_refused_at_the_field(string metadata, string field) =>
        Single($"apiVersion: universe.ai/v1alpha1\nkind: Agent\n{metadata}\n", field);

    [Fact]
    public void A_universe_has_no_namespace() =>
        Single("apiVersion: universe.ai/v1alpha1\nkind: Universe\nmetadata: {name: a, namespace: x}\n", "metadata.namespace");

    [Fact]
    public void A_password_in_a_url_is_not_repeated() =>
        ManifestReader.Read(Encoding.UTF8.GetBytes(Manifests.Agent("provider: {baseUrl: 'http://user:hunter2@x/v1'}")))
            .Errors.ShouldAllBe(error => !error.ToString().Contains("hunter2"));

    [Fact]
    public void Every_record_that_a_kind_reaches_has_a_prototype_and_round_trips()
    {
        foreach (ResourceType type in ResourceTypes.All)
            Visit(type.ClrType, []);

        static void Visit(Type type, HashSet<Type> seen)
        {
            type = Nullable.GetUnderlyingType(type) ?? type;
            if (type.IsGenericType)
            {
                Visit(type.GetGenericArguments()[^1], seen);
                return;
            }

            if (type.Assembly != typeof(Resource).Assembly || !seen.Add(type))
                return;
            Prototypes.Has(type).ShouldBeTrue(type.Name);
            foreach (System.Reflection.PropertyInfo property in type.GetProperties().Where(property => property.Name != "Id"))
                Visit(property.PropertyType, seen);
        }
    }

    [Fact]
    public void Cancel_cannot_be_taken_back()
    {
        Tasks.TaskResource before = Manifests.Parse<Tasks.TaskResource>(Manifests.Task("title: a\n  description: x\n  cancel: true"));

        ResourceValidation.ValidateTransition(before, before with { Spec = before.Spec with { Cancel = false } })
            .ShouldHaveSingleItem().Field.ShouldBe("spec.cancel");
    }

    private static void Single(string text, string field)
    {
        ManifestResult result = ManifestReader.Read(Encoding.UTF8.GetBytes(text));
        result.Errors.Select(error => error.Error.Field).ShouldBe([field], string.Join("\n", result.Errors));
        result.Errors[0].Error.Message.ShouldNotBeNullOrWhiteSpace();
        result.Errors[0].Line.ShouldBeGreaterThan(0);
    }
}
