using System.Globalization;
using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference.Wire;
using Rynxs.Policy.Inference;

namespace Rynxs.Gateway.Inference;

/// <summary>Ends a call before its answer began. The message is for the caller: no credential, no address of an upstream.</summary>
internal sealed class CallFailure(int status, string code, string message) : Exception(message)
{
    /// <summary>HTTP status.</summary>
    public int Status { get; } = status;

    /// <summary>Stable code; also in the header <c>x-rynxs-code</c>.</summary>
    public string Code { get; } = code;

    /// <summary>When trying again can help; null when it cannot.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>A refusal by policy or budget, which goes on the record as one.</summary>
    public bool IsDenial { get; init; }

    /// <summary>How it goes on the record when something had gone out.</summary>
    public string Outcome { get; init; } = "upstream_failed";

    public static CallFailure Denied(InferenceDenial reason, string detail) => reason switch
    {
        InferenceDenial.NoPolicy => new CallFailure(403, "no_inference_policy", detail) { IsDenial = true },
        InferenceDenial.AmbiguousPolicy => new CallFailure(403, "ambiguous_inference_policy", detail) { IsDenial = true },
        InferenceDenial.Model => new CallFailure(404, "model_not_allowed", detail) { IsDenial = true },
        InferenceDenial.Endpoint => new CallFailure(403, "endpoint_not_allowed", detail) { IsDenial = true },
        InferenceDenial.Parameter => new CallFailure(400, "parameter_not_allowed", detail) { IsDenial = true },
        InferenceDenial.Tool => new CallFailure(403, "tool_not_allowed", detail) { IsDenial = true },
        InferenceDenial.Image => new CallFailure(403, "images_not_allowed", detail) { IsDenial = true },
        InferenceDenial.RequestBudget => new CallFailure(403, "request_too_expensive", detail) { IsDenial = true },
        _ => new CallFailure(403, "denied", detail) { IsDenial = true },
    };

    /// <summary>The body of the answer, in the form that clients of the endpoint's API understand.</summary>
    public byte[] Body(InferenceEndpoint? endpoint) => Body(endpoint, Status, Code, Message);

    public static byte[] Body(InferenceEndpoint? endpoint, int status, string code, string message)
    {
        string type = status switch
        {
            400 or 413 or 422 => "invalid_request_error",
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            429 => "rate_limit_error",
            _ => "api_error",
        };
        return JsonFields.Utf8(endpoint == InferenceEndpoint.Messages
            ? new JsonObject { ["type"] = "error", ["error"] = new JsonObject { ["type"] = type, ["message"] = message, ["code"] = code } }
            : new JsonObject { ["error"] = new JsonObject { ["message"] = message, ["type"] = type, ["param"] = null, ["code"] = code } });
    }

    /// <summary>Headers of the answer.</summary>
    public IReadOnlyList<KeyValuePair<string, string>> Headers() => RetryAfter is { } wait
        ? [new("x-rynxs-code", Code), new("Retry-After", Math.Ceiling(Math.Max(1, wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture))]
        : [new("x-rynxs-code", Code)];
}
