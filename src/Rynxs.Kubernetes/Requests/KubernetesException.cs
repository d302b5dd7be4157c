namespace Rynxs.Kubernetes.Requests;

/// <summary>Why a request to an API server failed: the <c>reason</c> of its Status, or what kept the answer from coming. Never read from message text.</summary>
public enum KubernetesFailure
{
    /// <summary>400.</summary>
    BadRequest,

    /// <summary>401: the credential is not, or no longer, accepted.</summary>
    Unauthorized,

    /// <summary>403.</summary>
    Forbidden,

    /// <summary>404: the object, or the kind.</summary>
    NotFound,

    /// <summary>405.</summary>
    MethodNotAllowed,

    /// <summary>409: the name is taken.</summary>
    AlreadyExists,

    /// <summary>409: the version is not current, or another manager owns a field.</summary>
    Conflict,

    /// <summary>410: the version or the continue token is older than the kept history.</summary>
    Gone,

    /// <summary>413.</summary>
    TooLarge,

    /// <summary>415.</summary>
    UnsupportedMediaType,

    /// <summary>422: one or more fields are wrong.</summary>
    Invalid,

    /// <summary>429, after the retries that were allowed.</summary>
    TooManyRequests,

    /// <summary>500.</summary>
    InternalError,

    /// <summary>503.</summary>
    ServiceUnavailable,

    /// <summary>504 of the server, or the client's own deadline: whether a write took effect is not known.</summary>
    Timeout,

    /// <summary>No answer came: no connection, or one that was cut. Whether a write took effect is not known.</summary>
    Unreachable,

    /// <summary>The answer is not what the API promises: not JSON, not the kind, over a bound.</summary>
    Malformed,

    /// <summary>Writing was given up before anything was sent, because this process may not act any more.</summary>
    Refused,

    /// <summary>A status that has no name here; <see cref="KubernetesException.Code"/> says which.</summary>
    Other,
}

/// <summary>One cause of a refusal.</summary>
/// <param name="Field">JSON path; empty when it is about none.</param>
/// <param name="Reason">Such as <c>FieldValueRequired</c>.</param>
/// <param name="Message">For people.</param>
public sealed record KubernetesCause(string Field, string Reason, string Message);

/// <summary>A request that an API server refused or did not answer. The message holds no credential.</summary>
public sealed class KubernetesException : Exception
{
    /// <summary>Makes the exception.</summary>
    public KubernetesException(KubernetesFailure failure, string message, Exception? innerException = null)
        : base(message, innerException) => Failure = failure;

    /// <summary>Why.</summary>
    public KubernetesFailure Failure { get; }

    /// <summary>HTTP status; 0 when no answer came.</summary>
    public int Code { get; init; }

    /// <summary>The reason word as the server gave it; null when it gave none.</summary>
    public string? Reason { get; init; }

    /// <summary>Every cause that the server named.</summary>
    public IReadOnlyList<KubernetesCause> Causes { get; init; } = [];

    /// <summary>What the server asks to wait; null when it does not say.</summary>
    public TimeSpan? RetryAfter { get; init; }

    /// <summary>A later attempt may succeed without anything being changed.</summary>
    public bool IsTransient => Failure is KubernetesFailure.TooManyRequests or KubernetesFailure.InternalError or KubernetesFailure.ServiceUnavailable
        or KubernetesFailure.Timeout or KubernetesFailure.Unreachable;

    /// <summary>A write may have taken effect although it is reported as failed.</summary>
    public bool IsOutcomeUnknown => Failure is KubernetesFailure.Timeout or KubernetesFailure.Unreachable or KubernetesFailure.InternalError;
}
