using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Server.Problems;
using Rynxs.Server.State;

namespace Rynxs.Server.Execution.Sessions;

/// <summary>Reads the bodies of sessions with the rules of the execute API.</summary>
internal static class SessionRequestReader
{
    private static readonly string[] Own = ["ttl_seconds", "idle_seconds", "template", "labels"];
    private const int MaxLabels = 16;
    private static readonly string[] BoundAtCreation = ["agent_id", "memory_limit_mb", "cpu_limit"];

    /// <exception cref="ProblemException">400 and 422, each naming the field.</exception>
    public static SessionRequest Read(byte[] body)
    {
        JsonObject fields = Parse(body);
        int ttl = TakeSeconds(fields, Own[0], 3600);
        int idle = TakeSeconds(fields, Own[1], 600);
        string template = TakeTemplate(fields);
        Dictionary<string, string> labels = TakeLabels(fields);
        foreach (string field in fields.Select(pair => pair.Key).Where(name => !BoundAtCreation.Contains(name, StringComparer.Ordinal)))
        {
            throw Invalid(field, "unknown_field", $"known are {string.Join(", ", [.. BoundAtCreation, .. Own])}.");
        }

        fields["code"] = "pass"; // so that the execute API's own rules read the rest
        ExecuteRequest rest = ExecuteRequestReader.Read(Bytes(fields));
        return new SessionRequest(rest.AgentId, rest.MemoryLimitMb, rest.CpuLimit, ttl, idle, template, labels);
    }

    /// <exception cref="ProblemException">400 and 422, each naming the field.</exception>
    public static (ExecuteRequest Request, bool KeepsState) ReadProgram(byte[] body, string agentId)
    {
        JsonObject fields = Parse(body);
        if (BoundAtCreation.FirstOrDefault(fields.ContainsKey) is { } bound)
        {
            throw Invalid(bound, "invalid_value", "belongs to the session, not to one of its programs.");
        }

        fields.Remove("keep_state", out JsonNode? keep);
        bool keepsState = keep is not null && (keep.GetValueKind() is JsonValueKind.True or JsonValueKind.False ? keep.GetValue<bool>() : throw Invalid("keep_state", "invalid_type", "true or false."));
        fields["agent_id"] = agentId;
        ExecuteRequest request = ExecuteRequestReader.Read(Bytes(fields));
        return keepsState && (request.Language != CodeLanguage.Python || request.Stdin.Length > 0 || request.Environment.Count > 0)
            ? throw Invalid("keep_state", "invalid_value", "is for Python without stdin and environment: the interpreter has its own.")
            : (request, keepsState);
    }

    /// <exception cref="ProblemException">422.</exception>
    public static void Check(ProcessRequest request)
    {
        const int maxSeconds = 86400;
        Require(request.Argv.Count is >= 1 and <= 4096 && request.Argv[0].Length > 0, "argv", "1 to 4096 texts, the first not empty.");
        Require(request.Cwd.StartsWith('/') && request.Cwd.Length <= 4096, "cwd", "an absolute path of at most 4096 characters.");
        Require(request.TimeoutSeconds is >= 1 and <= maxSeconds, "timeout_seconds", $"a whole number from 1 to {maxSeconds}.");
        Require(request.Stdin is not { Length: > 64 * 1024 }, "stdin", "at most 65536 characters; send more with /stdin.");
        if (request.Terminal is { } terminal)
        {
            Check(terminal);
        }

        // Names, sizes and reserved variables are those of the execute API.
        var environment = new JsonObject();
        foreach ((string name, string value) in request.Env ?? new Dictionary<string, string>())
        {
            environment[name] = value;
        }

        ExecuteRequestReader.Read(Bytes(new JsonObject { ["agent_id"] = "a", ["code"] = "pass", ["environment"] = environment }));
        static void Require(bool holds, string field, string what)
        {
            if (!holds)
            {
                throw Invalid(field, "invalid_value", what);
            }
        }
    }

    /// <exception cref="ProblemException">422.</exception>
    public static void Check(TerminalRequest terminal)
    {
        if (terminal.Rows is < 1 or > 1000 || terminal.Columns is < 1 or > 1000)
        {
            throw Invalid("terminal", "out_of_range", "rows and columns are 1 to 1000.");
        }
    }

    private static string TakeTemplate(JsonObject fields)
    {
        fields.Remove("template", out JsonNode? value);
        return value is null ? SessionRequest.Workspace
            : value is JsonValue text && text.TryGetValue(out string? name) && name is SessionRequest.Workspace or SessionRequest.Memory ? value.GetValue<string>()
            : throw Invalid("template", "unsupported_value", "workspace or memory.");
    }

    private static Dictionary<string, string> TakeLabels(JsonObject fields)
    {
        fields.Remove("labels", out JsonNode? value);
        var labels = new Dictionary<string, string>(StringComparer.Ordinal);
        if (value is null)
        {
            return labels;
        }

        if (value is not JsonObject given || given.Count > MaxLabels)
        {
            throw Invalid("labels", "invalid_type", $"an object of at most {MaxLabels} names and texts.");
        }

        foreach ((string name, JsonNode? text) in given)
        {
            labels[name] = Labels.IsLabelValue(name) && text is JsonValue content && content.TryGetValue(out string? label) && (label.Length == 0 || Labels.IsLabelValue(label))
                ? label
                : throw Invalid($"labels.{name[..Math.Min(name.Length, 63)]}", "invalid_value", "names and values are Kubernetes labels without a prefix.");
        }

        return labels;
    }

    private static byte[] Bytes(JsonObject fields) => JsonSerializer.SerializeToUtf8Bytes(fields, ServerJson.Default.JsonObject);

    private static JsonObject Parse(byte[] body)
    {
        try
        {
            return JsonNode.Parse(body, null, new JsonDocumentOptions { MaxDepth = 8, AllowDuplicateProperties = false }) as JsonObject
                ?? throw new ProblemException(new Problem(StatusCodes.Status400BadRequest, "invalid_json", "The body must be a JSON object."));
        }
        catch (JsonException broken)
        {
            throw new ProblemException(new Problem(StatusCodes.Status400BadRequest, "invalid_json", $"The body is not valid JSON (line {broken.LineNumber + 1}, byte {broken.BytePositionInLine})."));
        }
    }

    private static int TakeSeconds(JsonObject fields, string name, int otherwise)
    {
        const int least = 10, most = 86400;
        fields.Remove(name, out JsonNode? value);
        return value is null ? otherwise
            : value is JsonValue number && number.TryGetValue(out int seconds) && seconds is >= least and <= most ? seconds
            : throw Invalid(name, "out_of_range", $"A whole number from {least} to {most}.");
    }

    private static ProblemException Invalid(string field, string code, string message) => new(Problem.Fields([new ProblemField(field, code, $"'{field}': {message}")]));
}
