using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Rynxs.Kubernetes.Requests;

/// <summary>A <c>Status</c> object (meta/v1), the form of every refusal.</summary>
internal sealed record StatusBody(string? Kind, string? Message, string? Reason, int? Code, StatusDetails? Details);

internal sealed record StatusDetails(int? RetryAfterSeconds, IReadOnlyList<StatusDetailsCause>? Causes);

internal sealed record StatusDetailsCause(string? Field, string? Reason, string? Message);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, MaxDepth = 16)]
[JsonSerializable(typeof(StatusBody))]
internal sealed partial class StatusJson : JsonSerializerContext;

/// <summary>The one place where an answer becomes a <see cref="KubernetesException"/>.</summary>
internal static class Failures
{
    private const int MaxMessage = 2048;

    /// <summary>Of an HTTP answer that is no success.</summary>
    public static KubernetesException Of(HttpStatusCode code, ReadOnlySpan<byte> body, TimeSpan? retryAfter, string what)
    {
        StatusBody? status = TryRead(body);
        return Make((int)code, status, retryAfter, what);
    }

    /// <summary>Of the object of a watch's ERROR event.</summary>
    public static KubernetesException Of(JsonElement status, string what)
    {
        StatusBody? read = TryRead(status);
        return Make(read?.Code ?? 500, read, retryAfter: null, what);
    }

    private static KubernetesException Make(int code, StatusBody? status, TimeSpan? retryAfter, string what)
    {
        string message = status?.Message is { Length: > 0 } text ? text : $"the API server answered {code}";
        if (message.Length > MaxMessage)
            message = message[..MaxMessage];
        if (status?.Details?.RetryAfterSeconds is > 0 and <= 3600 and { } seconds)
            retryAfter ??= TimeSpan.FromSeconds(seconds);
        return new KubernetesException(Classify(code, status?.Reason), $"{what}: {message}")
        {
            Code = code,
            Reason = status?.Reason,
            RetryAfter = retryAfter,
            Causes = [.. (status?.Details?.Causes ?? []).Take(256).Select(cause => new KubernetesCause(cause.Field ?? "", cause.Reason ?? "", cause.Message ?? ""))],
        };
    }

    // The reason first: 409 and 404 mean different things with different reasons. The code where there is none, as proxies answer.
    private static KubernetesFailure Classify(int code, string? reason) => reason switch
    {
        "AlreadyExists" => KubernetesFailure.AlreadyExists,
        "Conflict" => KubernetesFailure.Conflict,
        "NotFound" => KubernetesFailure.NotFound,
        "Forbidden" => KubernetesFailure.Forbidden,
        "Unauthorized" => KubernetesFailure.Unauthorized,
        "Expired" or "Gone" => KubernetesFailure.Gone,
        "Invalid" => KubernetesFailure.Invalid,
        "BadRequest" => KubernetesFailure.BadRequest,
        "TooManyRequests" => KubernetesFailure.TooManyRequests,
        "RequestEntityTooLarge" => KubernetesFailure.TooLarge,
        "MethodNotAllowed" => KubernetesFailure.MethodNotAllowed,
        "UnsupportedMediaType" => KubernetesFailure.UnsupportedMediaType,
        "ServerTimeout" or "Timeout" => KubernetesFailure.Timeout,
        "ServiceUnavailable" => KubernetesFailure.ServiceUnavailable,
        "InternalError" => KubernetesFailure.InternalError,
        _ => code switch
        {
            400 => KubernetesFailure.BadRequest,
            401 => KubernetesFailure.Unauthorized,
            403 => KubernetesFailure.Forbidden,
            404 => KubernetesFailure.NotFound,
            405 => KubernetesFailure.MethodNotAllowed,
            409 => KubernetesFailure.Conflict,
            410 => KubernetesFailure.Gone,
            413 => KubernetesFailure.TooLarge,
            415 => KubernetesFailure.UnsupportedMediaType,
            422 => KubernetesFailure.Invalid,
            429 => KubernetesFailure.TooManyRequests,
            500 => KubernetesFailure.InternalError,
            502 or 503 => KubernetesFailure.ServiceUnavailable,
            504 => KubernetesFailure.Timeout,
            _ => KubernetesFailure.Other,
        },
    };

    private static StatusBody? TryRead(ReadOnlySpan<byte> body)
    {
        try
        {
            return body.Length > 0 && JsonSerializer.Deserialize(body, StatusJson.Default.StatusBody) is { Kind: "Status" } status ? status : null;
        }
        catch (JsonException)
        {
            return null; // A proxy's page: the code alone has to do.
        }
    }

    private static StatusBody? TryRead(JsonElement element)
    {
        try
        {
            return element.Deserialize(StatusJson.Default.StatusBody);
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
