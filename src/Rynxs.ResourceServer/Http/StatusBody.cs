using System.Text.Json.Serialization;
using Rynxs.Resources.Client;

namespace Rynxs.ResourceServer.Http;

/// <summary>Kubernetes <c>Status</c>: how the resource API says that something went wrong, or was deleted.</summary>
internal sealed record StatusBody
{
    public string Kind { get; } = "Status";

    public string ApiVersion { get; } = "v1";

    public StatusMetadata Metadata { get; } = new();

    /// <summary><c>Success</c> or <c>Failure</c>.</summary>
    public required string Status { get; init; }

    public string? Message { get; init; }

    public string? Reason { get; init; }

    public StatusDetails? Details { get; init; }

    public int? Code { get; init; }

    /// <summary>The one mapping of refusals to HTTP.</summary>
    public static StatusBody Of(ResourceException e, string? plural, string? name)
    {
        (int code, string reason) = e.Reason switch
        {
            ResourceErrorReason.BadRequest => (400, "BadRequest"),
            ResourceErrorReason.Forbidden => (403, "Forbidden"),
            ResourceErrorReason.NotFound => (404, "NotFound"),
            ResourceErrorReason.AlreadyExists => (409, "AlreadyExists"),
            ResourceErrorReason.Conflict => (409, "Conflict"),
            ResourceErrorReason.Gone => (410, "Expired"),
            ResourceErrorReason.TooLarge => (413, "RequestEntityTooLarge"),
            ResourceErrorReason.Invalid => (422, "Invalid"),
            ResourceErrorReason.StoreUnavailable => (507, "InsufficientStorage"),
            _ => (500, "InternalError"),
        };
        return Failure(code, reason, e.Message) with
        {
            Details = plural is null ? null : new StatusDetails
            {
                Name = name,
                Group = "universe.ai",
                Kind = plural,
                Causes = e.Causes.Count == 0 ? null : [.. e.Causes.Select(cause => new StatusCause(cause.Code, cause.Message, cause.Field))],
            },
        };
    }

    public static StatusBody Failure(int code, string reason, string message) =>
        new() { Status = "Failure", Code = code, Reason = reason, Message = message };
}

/// <summary>Always empty here, and always there.</summary>
internal sealed record StatusMetadata;

internal sealed record StatusDetails
{
    public string? Name { get; init; }

    public string? Group { get; init; }

    public string? Kind { get; init; }

    public string? Uid { get; init; }

    public IReadOnlyList<StatusCause>? Causes { get; init; }
}

internal sealed record StatusCause(string Reason, string Message, string Field);

/// <summary>Body of DELETE, the part that is understood.</summary>
internal sealed record DeleteOptionsBody
{
    public string? Kind { get; init; }

    public string? ApiVersion { get; init; }

    public DeletePreconditions? Preconditions { get; init; }

    /// <summary>There are no dependents to propagate to: every policy means the same.</summary>
    public string? PropagationPolicy { get; init; }

    public long? GracePeriodSeconds { get; init; }

    public bool? OrphanDependents { get; init; }

    public IReadOnlyList<string>? DryRun { get; init; }
}

internal sealed record DeletePreconditions
{
    public string? Uid { get; init; }

    public string? ResourceVersion { get; init; }
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(StatusBody))]
[JsonSerializable(typeof(DeleteOptionsBody))]
internal sealed partial class StatusJsonContext : JsonSerializerContext;
