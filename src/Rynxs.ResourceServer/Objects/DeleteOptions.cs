using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Objects;

/// <summary>How to delete.</summary>
internal sealed record DeleteOptions
{
    /// <summary>Only the object with this uid.</summary>
    public string? Uid { get; init; }

    /// <summary>Only this version.</summary>
    public string? ResourceVersion { get; init; }

    /// <summary>What becomes of the objects that name this one as their owner. Null: <see cref="Propagation.Background"/>, unless finalizers say otherwise.</summary>
    public Propagation? Propagation { get; init; }

    /// <summary>Seconds for pods that run somewhere.</summary>
    public long? GracePeriodSeconds { get; init; }
    public bool DryRun { get; init; }

    /// <summary>Reads a DeleteOptions object; unknown fields are let be, as in Kubernetes.</summary>
    /// <exception cref="ApiException">A value is wrong.</exception>
    public static DeleteOptions Read(JsonObject body)
    {
        if (ObjectPipeline.Text(body, "kind") is { Length: > 0 } kind and not "DeleteOptions")
            throw ApiErrors.BadRequest($"the kind of the body of a DELETE is DeleteOptions, not {ApiErrors.Quote(kind)}");
        JsonObject? preconditions = body["preconditions"] as JsonObject;
        return new DeleteOptions
        {
            Uid = preconditions?["uid"] is { } uid ? (string?)uid : null,
            ResourceVersion = preconditions?["resourceVersion"] is { } version ? (string?)version : null,
            Propagation = Policy(body["propagationPolicy"] is JsonValue policy && policy.TryGetValue(out string? text) ? text : null)
                ?? (body["orphanDependents"] is JsonValue orphan && orphan.TryGetValue(out bool flag) ? flag ? Objects.Propagation.Orphan : Objects.Propagation.Background : null),
            GracePeriodSeconds = body["gracePeriodSeconds"] is JsonValue grace && grace.TryGetValue(out long seconds) ? seconds : null,
            DryRun = body["dryRun"] is JsonArray { Count: > 0 } dryRun && DryRunIsAll([.. dryRun.Select(value => (string?)value ?? "")]),
        };
    }

    /// <exception cref="ApiException">422 for another policy than the three.</exception>
    public static Propagation? Policy(string? text) => text switch
    {
        null or "" => null,
        "Orphan" => Objects.Propagation.Orphan,
        "Background" => Objects.Propagation.Background,
        "Foreground" => Objects.Propagation.Foreground,
        _ => throw ApiErrors.Invalid("meta.k8s.io", "DeleteOptions", "",
            [new Schemas.StatusCause("FieldValueNotSupported", $"Unsupported value: {ApiErrors.Quote(text)}: supported values: \"Background\", \"Foreground\", \"Orphan\", \"nil\"", "propagationPolicy")]),
    };

    private static bool DryRunIsAll(IReadOnlyList<string> values) => values.All(value => value == "All")
        ? true
        : throw ApiErrors.Invalid("meta.k8s.io", "DeleteOptions", "",
            [new Schemas.StatusCause("FieldValueNotSupported", $"Unsupported value: {ApiErrors.Quote(values.First(value => value != "All"))}: supported values: \"All\"", "dryRun")]);
}

/// <summary>What becomes of dependents.</summary>
internal enum Propagation
{
    /// <summary>They are deleted after their owner.</summary>
    Background,

    /// <summary>They are deleted before their owner.</summary>
    Foreground,

    /// <summary>They stay and lose their owner.</summary>
    Orphan,
}
