using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Policy;
using Rynxs.Policy.Egress;
using Rynxs.Policy.Rules;
using Rynxs.Resources.Client;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Egress;
using Rynxs.Resources.Manifests;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.Server.Egress;

/// <summary>One case of a table: what was expected and what the compiled policies say.</summary>
/// <param name="Name">As the table names it.</param>
/// <param name="Request">What was asked.</param>
/// <param name="Expected"><c>allow</c>, <c>deny</c> or <c>ask</c>.</param>
/// <param name="Verdict">The same words.</param>
/// <param name="Rule">Deciding rule; null when none matched.</param>
public sealed record EgressCaseResult(string Name, string Request, string Expected, string Verdict, string? Rule)
{
    /// <summary>Whether it came out as expected.</summary>
    public bool Passed => Expected == Verdict;
}

/// <summary>Policies and a table of cases in one file, decided by the code that the gateway decides by. Needs no server.</summary>
public static class EgressPolicyTests
{
    private const int MaxCases = 10_000;

    /// <summary>Names of the packs that ship, in order.</summary>
    public static IReadOnlyList<string> Packs { get; } = ["baseline", "research", "coding", "locked-down", "sre"];

    /// <summary>A pack's file: the policy to apply, and its table.</summary>
    /// <exception cref="ArgumentException">There is no such pack.</exception>
    public static string Pack(string name)
    {
        using Stream stream = typeof(EgressPolicyTests).Assembly.GetManifestResourceStream($"packs/{name}.yaml") ?? throw new ArgumentException($"There is no pack '{name}'; packs: {string.Join(", ", Packs)}.", nameof(name));
        using StreamReader reader = new(stream);
        return reader.ReadToEnd();
    }

    /// <summary>The policy of a pack alone, as YAML that can be applied.</summary>
    public static string PolicyOf(string name) => Pack(name).Split("\n---\n")[0] + "\n";

    /// <summary>Runs every case of the files. Policies of all of them can be named by each.</summary>
    /// <param name="files">UTF-8 YAML or JSON, at most 16 MiB each.</param>
    /// <exception cref="FormatException">A file is not what it should be; the message names the field.</exception>
    public static IReadOnlyList<EgressCaseResult> Run(IEnumerable<ReadOnlyMemory<byte>> files)
    {
        ArgumentNullException.ThrowIfNull(files);
        Dictionary<string, EgressLayer> layers = new(StringComparer.Ordinal);
        List<JsonObject> cases = [];
        foreach (JsonObject document in files.SelectMany(file => ManifestDocuments.Read(file, new ManifestLimits())))
        {
            switch (Text(document, "kind"))
            {
                case "EgressPolicy":
                    EgressLayer layer = Layer(document);
                    layers[layer.Name] = layer;
                    break;
                case "PolicyTest":
                    JsonArray table = document["cases"] as JsonArray ?? throw new FormatException("PolicyTest: cases must be a list");
                    cases.AddRange(table.Select((one, i) => one as JsonObject ?? throw new FormatException($"cases[{i}] must be an object")));
                    break;
                case var other:
                    throw new FormatException($"kind '{other}': EgressPolicy and PolicyTest can be tested");
            }
        }

        return cases.Count is 0 or > MaxCases
            ? throw new FormatException($"1 to {MaxCases} cases are due, not {cases.Count}")
            : [.. cases.Select((one, i) => Decide(one, i, layers))];
    }

    private static EgressLayer Layer(JsonObject document)
    {
        if (document["metadata"] is JsonObject metadata)
        {
            metadata["namespace"] ??= "test";
        }

        IReadOnlyList<FieldError> errors = DocumentRules.Validate(document, null, ResourceTypes.EgressPolicy);
        if (errors.Count > 0)
        {
            throw new FormatException(string.Join("; ", errors.Select(error => $"{error.Field}: {error.Message}")));
        }

        return EgressCompiler.Layer((EgressPolicyResource)ResourceJson.Deserialize(
            JsonSerializer.SerializeToUtf8Bytes(document, ServerJson.Default.JsonObject), ResourceTypes.EgressPolicy));
    }

    private static EgressCaseResult Decide(JsonObject one, int index, Dictionary<string, EgressLayer> layers)
    {
        string[] known = ["name", "policies", "host", "port", "protocol", "method", "path", "grants", "expect"];
        foreach ((string field, _) in one)
        {
            if (!known.Contains(field))
            {
                throw new FormatException($"cases[{index}].{field}: no such field; there are {string.Join(", ", known)}");
            }
        }

        EgressLayer[] chosen = [.. Texts(one, "policies", index).Select(name => layers.TryGetValue(name, out EgressLayer? layer) ? layer : throw new FormatException($"cases[{index}].policies: there is no policy '{name}'"))];
        if (!HostName.TryParse(Text(one, "host"), out HostName? host))
        {
            throw new FormatException($"cases[{index}].host: '{Text(one, "host")}' is no host name");
        }

        string protocolName = Text(one, "protocol") is { Length: > 0 } given ? given : "tls";
        EgressProtocol protocol = EgressCompiler.Protocol(protocolName) ?? throw new FormatException($"cases[{index}].protocol: tls, http or tcp");
        int port = one["port"] is JsonValue number && number.TryGetValue(out int value) ? value : protocol == EgressProtocol.Http ? 80 : 443;
        bool isHttp = protocol == EgressProtocol.Http;
        EgressRequest request = new(
            host, port, protocol, isHttp ? Text(one, "method") is { Length: > 0 } method ? method : "GET" : null, isHttp ? Text(one, "path") is { Length: > 0 } path ? path : "/" : null);
        EgressRule[] grants =
        [
            .. Texts(one, "grants", index).Select(text => HostPattern.TryParse(text, out HostPattern? pattern)
                ? new EgressRule { Name = "approval/" + text, Hosts = [pattern], Ports = null, Protocols = [EgressProtocol.Tls, EgressProtocol.Http, EgressProtocol.Tcp], Effect = RuleEffect.Allow }
                : throw new FormatException($"cases[{index}].grants: '{text}' is no host")),
        ];
        string expected = Text(one, "expect");
        if (expected is not ("allow" or "deny" or "ask"))
        {
            throw new FormatException($"cases[{index}].expect: allow, deny or ask");
        }

        Verdict verdict = EgressPolicy.Decide(new EgressPolicyModel { Layers = chosen, Grants = grants }, request, DateTimeOffset.UnixEpoch);
        return new EgressCaseResult(
            Text(one, "name") is { Length: > 0 } name ? name : $"cases[{index}]", $"{protocolName} {host.Text}:{port}{(isHttp ? $" {request.Method} {request.Path}" : "")}", expected, Word(verdict), verdict.Rule);
    }

    internal static string Word(Verdict verdict) => verdict.Match(_ => "allow", _ => "deny", _ => "ask");

    private static string[] Texts(JsonObject one, string field, int index) => one[field] switch
    {
        null => [],
        JsonArray list => [.. list.Select(item => item is JsonValue text && text.TryGetValue(out string? found) ? found : throw new FormatException($"cases[{index}].{field}: a list of texts is due"))],
        _ => throw new FormatException($"cases[{index}].{field}: a list of texts is due"),
    };

    private static string Text(JsonObject document, string field) => document[field] is JsonValue value && value.TryGetValue(out string? text) ? text : "";
}
