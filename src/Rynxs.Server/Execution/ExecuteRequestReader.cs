using System.Globalization;
using System.Text;
using System.Text.Json;
using Rynxs.Sandbox;
using Rynxs.Server.Problems;
using Rynxs.Server.State;

namespace Rynxs.Server.Execution;

/// <summary>Reads an execute request: strict JSON, every wrong field reported at once, unknown fields refused.</summary>
internal sealed class ExecuteRequestReader
{
    internal const int MaxCodeBytes = 1024 * 1024;
    internal const int MaxStdinBytes = 1024 * 1024;
    internal const int MaxPaths = 64;
    internal const int MaxVariables = 64;
    internal const int MaxVariableBytes = 8 * 1024;
    internal const int MaxEnvironmentBytes = 32 * 1024;

    private static readonly string[] Fields =
    [
        "agent_id", "code", "runtime", "timeout_seconds", "memory_limit_mb", "cpu_limit", "network_policy", "filesystem_access", "environment",
        "language", "stdin", "constitutional_hash", "async",
    ];

    private readonly List<ProblemField> _errors = [];
    private Problem? _unavailable;

    private ExecuteRequestReader()
    {
    }

    /// <summary>The request.</summary>
    /// <exception cref="ProblemException">400 for what is no JSON object, 422 for wrong fields, 501 for a runtime that this host does not have.</exception>
    public static ExecuteRequest Read(ReadOnlyMemory<byte> body)
    {
        try
        {
            using var document = JsonDocument.Parse(body, new JsonDocumentOptions { MaxDepth = 8, AllowDuplicateProperties = false });
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new ProblemException(new Problem(StatusCodes.Status400BadRequest, "invalid_json", "The body must be a JSON object."));
            }

            var reader = new ExecuteRequestReader();
            ExecuteRequest request = reader.ReadObject(document.RootElement);
            if (reader._errors.Count > 0)
            {
                throw new ProblemException(Problem.Fields(reader._errors));
            }

            return reader._unavailable is { } unavailable ? throw new ProblemException(unavailable) : request;
        }
        catch (JsonException exception)
        {
            throw new ProblemException(new Problem(
                StatusCodes.Status400BadRequest, "invalid_json",
                exception.LineNumber is { } line
                    ? string.Create(CultureInfo.InvariantCulture, $"The body is not valid JSON (line {line + 1}, byte {exception.BytePositionInLine}).")
                    : "The body is not valid JSON: a field stands in it twice."));
        }
        catch (InvalidOperationException)
        {
            // A string with a lone surrogate or invalid UTF-8 has no text form.
            throw new ProblemException(new Problem(StatusCodes.Status400BadRequest, "invalid_json", "The body holds a string that is not valid Unicode."));
        }
    }

    private ExecuteRequest ReadObject(JsonElement root)
    {
        foreach (JsonProperty property in root.EnumerateObject().Where(property => !Fields.Contains(property.Name, StringComparer.Ordinal)))
        {
            Error(Shorten(property.Name), "unknown_field", $"'{Shorten(property.Name)}' is not a field; known are {string.Join(", ", Fields)}.");
        }

        string runtime = ReadRuntime(root);
        Egress.EgressMode network = ReadNetworkPolicy(root);
        if (runtime == "namespaces" && network != Egress.EgressMode.None)
        {
            Error("network_policy", "network_policy_unavailable", "The runtime namespaces has no way out: use none, or gvisor.");
        }

        return new ExecuteRequest
        {
            AgentId = ReadAgentId(root),
            Runtime = runtime,
            Code = ReadCode(root),
            Language = ReadLanguage(root),
            TimeoutSeconds = ReadInteger(root, "timeout_seconds", 1, 600, 300),
            MemoryLimitMb = ReadInteger(root, "memory_limit_mb", 16, 2048, 512),
            CpuLimit = ReadCpu(root),
            FilesystemAccess = ReadFilesystemAccess(root),
            IsAsynchronous = ReadFlag(root, "async"),
            Environment = ReadEnvironment(root),
            Network = network,
            Stdin = ReadText(root, "stdin", 0, MaxStdinBytes) ?? "",
            ConstitutionalHash = ReadText(root, "constitutional_hash", 1, 128),
        };
    }

    private string ReadAgentId(JsonElement root)
    {
        string? value = ReadRequired(root, "agent_id", 63);
        if (value is not null && !Labels.IsLabelValue(value))
        {
            Error("agent_id", "invalid_value", "1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends.");
        }

        return value ?? "";
    }

    private string ReadCode(JsonElement root)
    {
        string? value = ReadRequired(root, "code", MaxCodeBytes);
        if (value is not null && value.Contains('\0', StringComparison.Ordinal))
        {
            Error("code", "invalid_value", "The code contains a NUL character.");
        }

        return value ?? "";
    }

    private CodeLanguage ReadLanguage(JsonElement root)
    {
        string language = ReadText(root, "language", 1, 16) ?? "python";
        if (language is not ("python" or "bash"))
        {
            Error("language", "unsupported_value", $"'{Shorten(language)}' is not supported; use python or bash.");
        }

        return language == "bash" ? CodeLanguage.Bash : CodeLanguage.Python;
    }

    private string ReadRuntime(JsonElement root)
    {
        string runtime = ReadText(root, "runtime", 1, 32) ?? "gvisor";
        if (runtime == "firecracker")
        {
            _unavailable = new Problem(
                StatusCodes.Status501NotImplemented, "runtime_unavailable", $"The runtime '{runtime}' is not available on this server; available are gvisor and namespaces.", "runtime");
        }
        else if (runtime is not ("gvisor" or "namespaces"))
        {
            Error("runtime", "unsupported_value", $"'{Shorten(runtime)}' is not a runtime; known are gvisor, firecracker and namespaces, available are gvisor and namespaces.");
        }

        return runtime;
    }

    private Egress.EgressMode ReadNetworkPolicy(JsonElement root)
    {
        string policy = ReadText(root, "network_policy", 1, 32) ?? "none";
        switch (policy)
        {
            case "none":
                return Egress.EgressMode.None;
            case "restricted":
                return Egress.EgressMode.Restricted;
            case "full":
                return Egress.EgressMode.Full;
            default:
                Error("network_policy", "unsupported_value", $"'{Shorten(policy)}' is not a network policy; known are none, restricted and full.");
                return Egress.EgressMode.None;
        }
    }

    private List<string> ReadFilesystemAccess(JsonElement root)
    {
        if (!root.TryGetProperty("filesystem_access", out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            return [];
        }

        if (value.ValueKind != JsonValueKind.Array || value.GetArrayLength() > MaxPaths)
        {
            Error("filesystem_access", "invalid_value", $"An array of at most {MaxPaths} paths.");
            return [];
        }

        List<string> paths = [];
        int index = 0;
        foreach (JsonElement item in value.EnumerateArray())
        {
            string field = string.Create(CultureInfo.InvariantCulture, $"filesystem_access[{index++}]");
            string? path = item.ValueKind == JsonValueKind.String ? item.GetString() : null;
            string plain = path is { Length: > 1 } && path.EndsWith('/') ? path[..^1] : path ?? "";
            if (SandboxSpec.IsWritablePath(plain))
            {
                paths.Add(plain);
            }
            else
            {
                Error(field, "filesystem_access_unavailable", "A sandbox has its own /tmp and /workspace/files; no other path can be given to it.");
            }
        }

        return paths;
    }

    private bool ReadFlag(JsonElement root, string field)
    {
        if (!root.TryGetProperty(field, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            return false;
        }

        if (value.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
        {
            Error(field, "invalid_type", $"'{field}' must be true or false.");
            return false;
        }

        return value.GetBoolean();
    }

    private double ReadCpu(JsonElement root)
    {
        if (!root.TryGetProperty("cpu_limit", out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            return 0.5;
        }

        if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out double cpus) || !(cpus is >= 0.01 and <= 2.0))
        {
            Error("cpu_limit", "out_of_range", "A number from 0.01 to 2.0.");
            return 0.5;
        }

        return cpus;
    }

    private Dictionary<string, string> ReadEnvironment(JsonElement root)
    {
        var result = new Dictionary<string, string>(StringComparer.Ordinal);
        if (!root.TryGetProperty("environment", out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            return result;
        }

        if (value.ValueKind != JsonValueKind.Object)
        {
            Error("environment", "invalid_type", "An object of names and texts.");
            return result;
        }

        int bytes = 0;
        foreach (JsonProperty variable in value.EnumerateObject())
        {
            string field = $"environment.{Shorten(variable.Name)}";
            string? text = variable.Value.ValueKind == JsonValueKind.String ? variable.Value.GetString() : null;
            if (!IsVariableName(variable.Name))
            {
                Error(field, "invalid_value", "A name has 1 to 128 letters, digits and '_' and does not start with a digit.");
            }
            else if (IsReserved(variable.Name))
            {
                Error(field, "reserved_name", "This name is reserved for the sandbox.");
            }
            else if (text is null || Encoding.UTF8.GetByteCount(text) > MaxVariableBytes || text.Contains('\0', StringComparison.Ordinal))
            {
                Error(field, "invalid_value", $"A text of at most {MaxVariableBytes} bytes without NUL.");
            }
            else
            {
                bytes += variable.Name.Length + Encoding.UTF8.GetByteCount(text);
                result[variable.Name] = text;
            }

            if (result.Count > MaxVariables || bytes > MaxEnvironmentBytes)
            {
                Error("environment", "too_large", $"At most {MaxVariables} variables of {MaxEnvironmentBytes} bytes in all.");
                break;
            }
        }

        return result;
    }

    private int ReadInteger(JsonElement root, string field, int least, int most, int otherwise)
    {
        if (!root.TryGetProperty(field, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            return otherwise;
        }

        if (value.ValueKind != JsonValueKind.Number || !value.TryGetInt32(out int number) || number < least || number > most)
        {
            Error(field, "out_of_range", string.Create(CultureInfo.InvariantCulture, $"A whole number from {least} to {most}."));
            return otherwise;
        }

        return number;
    }

    private string? ReadRequired(JsonElement root, string field, int maxBytes)
    {
        if (!root.TryGetProperty(field, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            Error(field, "required", $"'{field}' is required.");
            return null;
        }

        return ReadText(root, field, 1, maxBytes);
    }

    private string? ReadText(JsonElement root, string field, int minBytes, int maxBytes)
    {
        if (!root.TryGetProperty(field, out JsonElement value) || value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (value.ValueKind != JsonValueKind.String)
        {
            Error(field, "invalid_type", $"'{field}' must be a text.");
            return null;
        }

        string text = value.GetString() ?? "";
        int bytes = Encoding.UTF8.GetByteCount(text);
        if (bytes < minBytes || bytes > maxBytes)
        {
            Error(field, bytes > maxBytes ? "too_long" : "required", string.Create(CultureInfo.InvariantCulture, $"{minBytes} to {maxBytes} bytes of UTF-8, not {bytes}."));
            return null;
        }

        return text;
    }

    private void Error(string field, string code, string message)
    {
        if (_errors.Count < 32)
        {
            _errors.Add(new ProblemField(field, code, message));
        }
    }

    private static bool IsVariableName(string name) =>
        name.Length is > 0 and <= 128 && !char.IsAsciiDigit(name[0]) && name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_');

    private static bool IsReserved(string name) =>
        name.StartsWith("RYNXS_", StringComparison.OrdinalIgnoreCase) || name is "EXECUTION_ID" or "AGENT_ID" or "CONSTITUTIONAL_HASH";

    private static string Shorten(string text)
    {
        string clean = string.Concat(text.Take(64).Select(c => char.IsControl(c) || char.IsSurrogate(c) ? '?' : c));
        return text.Length > 64 ? clean + "…" : clean;
    }
}
