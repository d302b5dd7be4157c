namespace Rynxs.Resources.Client;

/// <summary>A refusal by the control plane; it maps to a Kubernetes <c>Status</c> in one place. Messages hold no secrets.</summary>
public sealed class ResourceException : Exception
{
    /// <summary>A refusal with its causes.</summary>
    public ResourceException(ResourceErrorReason reason, string message, IReadOnlyList<FieldError>? causes = null)
        : base(message)
    {
        Reason = reason;
        Causes = causes ?? [];
    }

    /// <summary>Why.</summary>
    public ResourceErrorReason Reason { get; }

    /// <summary>Every field error of an invalid object, not only the first.</summary>
    public IReadOnlyList<FieldError> Causes { get; }
}

/// <summary>Reasons, with the HTTP status of each.</summary>
public enum ResourceErrorReason
{
    /// <summary>400: the body cannot be read at all.</summary>
    BadRequest,

    /// <summary>403.</summary>
    Forbidden,

    /// <summary>404.</summary>
    NotFound,

    /// <summary>409: the name is taken.</summary>
    AlreadyExists,

    /// <summary>409: the version is not current.</summary>
    Conflict,

    /// <summary>410: the watch history no longer reaches back so far.</summary>
    Gone,

    /// <summary>413.</summary>
    TooLarge,

    /// <summary>422: one or more fields are wrong.</summary>
    Invalid,

    /// <summary>507: the store cannot be written.</summary>
    StoreUnavailable,
}

/// <summary>One wrong field.</summary>
/// <param name="Field">JSON path such as <c>spec.tools.allow[0]</c>.</param>
/// <param name="Code">Kubernetes cause: <c>FieldValueInvalid</c>, <c>FieldValueRequired</c>, <c>FieldValueNotSupported</c>, <c>FieldValueDuplicate</c>, <c>FieldValueTypeInvalid</c>, <c>FieldValueForbidden</c>, <c>FieldValueTooLong</c>.</param>
/// <param name="Message">The bad value, what is allowed, and a suggestion where one is near.</param>
public sealed record FieldError(string Field, string Code, string Message);
