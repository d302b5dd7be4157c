using System.Net;
using System.Text.Json;

namespace Rynxs.Cli.Client;

/// <summary>The server refused a request. The message comes from the server's problem or Status body and is untrusted text.</summary>
internal sealed class ApiException(HttpStatusCode status, string code, string message, IReadOnlyList<string> details) : Exception(message)
{
    public HttpStatusCode Status { get; } = status;

    /// <summary>Stable code of the problem, or the Status reason.</summary>
    public string Code { get; } = code;

    /// <summary>Each wrong field with its path.</summary>
    public IReadOnlyList<string> Details { get; } = details;

    /// <summary>Reads application/problem+json {title, detail, code, field?, errors?} or a Kubernetes Status {message, reason, details.causes}.</summary>
    public static ApiException Read(HttpStatusCode status, ReadOnlyMemory<byte> body)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(body);
            JsonElement root = document.RootElement;
            if (root.ValueKind == JsonValueKind.Object)
            {
                string message = Text(root, "message") ?? Text(root, "detail") ?? Text(root, "title") ?? status.ToString();
                string code = Text(root, "reason") ?? Text(root, "code") ?? "";
                if (Text(root, "field") is { } field && !message.Contains(field, StringComparison.Ordinal))
                {
                    message = $"{field}: {message}";
                }

                // A single cause stands in the message already.
                return new ApiException(status, code, message, Causes(root) is { Count: > 1 } causes ? causes : []);
            }
        }
        catch (JsonException)
        {
            // Not one of our bodies: something else answers at that address.
        }

        return new ApiException(status, "", $"the server answered {(int)status} {status}", []);
    }

    private static string? Text(JsonElement element, string name) =>
        element.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    private static List<string> Causes(JsonElement root)
    {
        bool given = root.TryGetProperty("details", out JsonElement details) && details.ValueKind == JsonValueKind.Object
            ? details.TryGetProperty("causes", out JsonElement causes)
            : root.TryGetProperty("errors", out causes);
        if (!given || causes.ValueKind != JsonValueKind.Array)
        {
            return [];
        }

        return [.. causes.EnumerateArray()
            .Where(cause => cause.ValueKind == JsonValueKind.Object)
            .Select(cause => $"{Text(cause, "field")}: {Text(cause, "message")}")];
    }
}
