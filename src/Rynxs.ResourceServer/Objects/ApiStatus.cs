using System.Buffers;
using System.Text.Encodings.Web;
using System.Text.Json;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Objects;

/// <summary>Kubernetes <c>Status</c>: how the resource API says that something went wrong, or was deleted.</summary>
internal sealed record ApiStatus
{
    /// <summary>HTTP status.</summary>
    public required int Code { get; init; }

    /// <summary>Machine-readable; null where the real server gives none.</summary>
    public string? Reason { get; init; }
    public string? Message { get; init; }
    public ApiStatusDetails? Details { get; init; }

    /// <summary>With an expired page: from where the list can be resumed, inconsistently.</summary>
    public string? Continue { get; init; }

    /// <summary>The object as UTF-8 JSON, members in the order of the real server.</summary>
    public byte[] ToJson()
    {
        ArrayBufferWriter<byte> output = new(512);
        using Utf8JsonWriter writer = new(output, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
        bool failed = Code >= 400;
        writer.WriteStartObject();
        writer.WriteString("kind", "Status");
        writer.WriteString("apiVersion", "v1");
        writer.WriteStartObject("metadata");
        Text("continue", Continue);
        writer.WriteEndObject();
        writer.WriteString("status", failed ? "Failure" : "Success");
        Text("message", Message);
        Text("reason", Reason);
        if (Details is { } details)
        {
            writer.WriteStartObject("details");
            Text("name", details.Name);
            Text("group", details.Group);
            Text("kind", details.Kind);
            Text("uid", details.Uid);
            if (details.Causes.Count > 0)
            {
                writer.WriteStartArray("causes");
                foreach (StatusCause cause in details.Causes)
                {
                    writer.WriteStartObject();
                    writer.WriteString("reason", cause.Reason);
                    writer.WriteString("message", cause.Message);
                    Text("field", cause.Field);
                    writer.WriteEndObject();
                }

                writer.WriteEndArray();
            }

            if (details.RetryAfterSeconds > 0)
                writer.WriteNumber("retryAfterSeconds", details.RetryAfterSeconds);
            writer.WriteEndObject();
        }

        if (failed)
            writer.WriteNumber("code", Code);
        writer.WriteEndObject();
        writer.Flush();
        return output.WrittenSpan.ToArray();

        void Text(string name, string? value)
        {
            if (value is { Length: > 0 })
                writer.WriteString(name, value);
        }
    }
}

internal sealed record ApiStatusDetails
{
    public string? Name { get; init; }
    public string? Group { get; init; }
    public string? Kind { get; init; }
    public string? Uid { get; init; }
    public IReadOnlyList<StatusCause> Causes { get; init; } = [];
    public int RetryAfterSeconds { get; init; }
}

/// <summary>A refusal of the resource API. Its message may leave the process: it holds no secrets.</summary>
internal sealed class ApiException(ApiStatus status) : Exception(status.Message)
{
    public ApiStatus Status { get; } = status;

    /// <summary>It says that something does not exist because the caller may not see it, whether it exists or not.</summary>
    public bool Hides { get; init; }
}
