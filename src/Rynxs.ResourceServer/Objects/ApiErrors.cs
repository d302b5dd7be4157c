using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Schemas;
using Rynxs.Resources.Client;

namespace Rynxs.ResourceServer.Objects;

/// <summary>Refusals in the words of the real server. All mapping between refusals, HTTP and the typed client is here.</summary>
internal static class ApiErrors
{
    public static ApiException BadRequest(string message) => Plain(400, "BadRequest", message);

    public static ApiException Plain(int code, string? reason, string message) => new(new ApiStatus { Code = code, Reason = reason, Message = message });

    public static ApiException NotFound(string group, string plural, string name) => About(404, "NotFound", group, plural, name, $"{Qualified(group, plural)} {Quote(name)} not found");

    public static ApiException NotFound(ServedKind kind, string name) => NotFound(kind.Group, kind.Plural, name);

    public static ApiException AlreadyExists(ServedKind kind, string name) =>
        About(409, "AlreadyExists", kind.Group, kind.Plural, name, $"{Qualified(kind.Group, kind.Plural)} {Quote(name)} already exists");

    /// <summary>A name that was to be generated was taken each time.</summary>
    public static ApiException GeneratedNameTaken(ServedKind kind, string generateName) =>
        new(new ApiStatus
        {
            Code = 409,
            Reason = "AlreadyExists",
            Message = $"{Qualified(kind.Group, kind.Plural)} {Quote(generateName)} already exists, the server was not able to generate a unique name for the object",
            Details = new ApiStatusDetails { Name = generateName, Group = kind.Group, Kind = kind.Plural, RetryAfterSeconds = 1 },
        });

    public static ApiException Conflict(ServedKind kind, string name, string why) =>
        About(409, "Conflict", kind.Group, kind.Plural, name, $"Operation cannot be fulfilled on {Qualified(kind.Group, kind.Plural)} {Quote(name)}: {why}");

    public static ApiException Modified(ServedKind kind, string name) =>
        Conflict(kind, name, "the object has been modified; please apply your changes to the latest version and try again");

    /// <summary>A precondition of a deletion, which names the Kind and not the plural.</summary>
    public static ApiException DeletePrecondition(ServedKind kind, string name, string why) =>
        About(409, "Conflict", kind.Group, kind.Kind, name, $"Operation cannot be fulfilled on {Qualified(kind.Group, kind.Kind)} {Quote(name)}: {why}");

    public static ApiException Forbidden(ServedKind kind, string? subresource, string name, string user, string verb, string inNamespace)
    {
        string resource = subresource is null ? kind.Plural : $"{kind.Plural}/{subresource}";
        string message = $"{Qualified(kind.Group, kind.Plural)}{(name.Length > 0 ? $" {Quote(name)}" : "")} is forbidden: User {Quote(user)} cannot {verb} resource {Quote(resource)} in API group {Quote(kind.Group)}"
            + (inNamespace.Length > 0 && kind.Namespaced ? $" in the namespace {Quote(inNamespace)}" : " at the cluster scope");
        return About(403, "Forbidden", kind.Group, kind.Plural, name, message);
    }

    /// <summary>403 for another reason than roles.</summary>
    public static ApiException Forbidden(ServedKind kind, string name, string why, params IReadOnlyList<StatusCause> causes) =>
        new(new ApiStatus
        {
            Code = 403,
            Reason = "Forbidden",
            Message = $"{Qualified(kind.Group, kind.Plural)} {Quote(name)} is forbidden: {why}",
            Details = new ApiStatusDetails { Name = name, Group = kind.Group, Kind = kind.Plural, Causes = causes },
        });

    public static ApiException Invalid(ServedKind kind, string name, IReadOnlyList<StatusCause> causes) => Invalid(kind.Group, kind.Kind, name, causes);

    public static ApiException Invalid(string group, string kind, string name, IReadOnlyList<StatusCause> causes)
    {
        // The real server says each message once, and still lists every cause.
        string[] parts = [.. causes.Select(cause => $"{cause.Field}: {cause.Message}").Distinct()];
        string text = parts.Length == 1 ? parts[0] : $"[{string.Join(", ", parts)}]";
        return new ApiException(new ApiStatus
        {
            Code = 422,
            Reason = "Invalid",
            Message = $"{Qualified(group, kind)} {Quote(name)} is invalid: {text}",
            Details = new ApiStatusDetails { Name = name, Group = group, Kind = kind, Causes = causes },
        });
    }

    public static ApiException TooLargeVersion(long asked, long current) => new(new ApiStatus
    {
        Code = 504,
        Reason = "Timeout",
        Message = $"Timeout: Too large resource version: {asked}, current: {current}",
        Details = new ApiStatusDetails { Causes = [new StatusCause("ResourceVersionTooLarge", "Too large resource version", "")], RetryAfterSeconds = 1 },
    });

    public static ApiException Expired(string message, string? resume = null) =>
        new(new ApiStatus { Code = 410, Reason = "Expired", Message = message, Continue = resume });

    /// <summary>For those who speak to the store in process.</summary>
    public static ResourceException ToTyped(ApiStatus status)
    {
        ResourceErrorReason reason = (status.Code, status.Reason) switch
        {
            (400 or 415, _) => ResourceErrorReason.BadRequest,
            (403, _) => ResourceErrorReason.Forbidden,
            (404, _) => ResourceErrorReason.NotFound,
            (409, "AlreadyExists") => ResourceErrorReason.AlreadyExists,
            (409, _) => ResourceErrorReason.Conflict,
            (410, _) => ResourceErrorReason.Gone,
            (413, _) => ResourceErrorReason.TooLarge,
            (422, _) => ResourceErrorReason.Invalid,
            _ => ResourceErrorReason.StoreUnavailable,
        };
        return new ResourceException(reason, status.Message ?? "", [.. (status.Details?.Causes ?? []).Select(cause => new FieldError(cause.Field, cause.Reason, cause.Message))]);
    }

    /// <summary>What the store itself refuses.</summary>
    public static ApiStatus Of(ResourceException e) => e.Reason switch
    {
        ResourceErrorReason.BadRequest => new ApiStatus { Code = 400, Reason = "BadRequest", Message = e.Message },
        ResourceErrorReason.Forbidden => new ApiStatus { Code = 403, Reason = "Forbidden", Message = e.Message },
        ResourceErrorReason.NotFound => new ApiStatus { Code = 404, Reason = "NotFound", Message = e.Message },
        ResourceErrorReason.AlreadyExists => new ApiStatus { Code = 409, Reason = "AlreadyExists", Message = e.Message },
        ResourceErrorReason.Conflict => new ApiStatus { Code = 409, Reason = "Conflict", Message = e.Message },
        ResourceErrorReason.Gone => new ApiStatus { Code = 410, Reason = "Expired", Message = e.Message },
        ResourceErrorReason.TooLarge => new ApiStatus { Code = 413, Reason = "RequestEntityTooLarge", Message = e.Message },
        ResourceErrorReason.Invalid => new ApiStatus { Code = 422, Reason = "Invalid", Message = e.Message },
        ResourceErrorReason.StoreUnavailable => new ApiStatus { Code = 507, Reason = "InsufficientStorage", Message = e.Message },
        _ => new ApiStatus { Code = 500, Reason = "InternalError", Message = e.Message },
    };

    /// <summary><c>NAME.GROUP</c>, or <c>NAME</c> in the core group.</summary>
    public static string Qualified(string group, string name) => group.Length == 0 ? name : $"{name}.{group}";

    /// <summary>As Go's %q for the texts that occur here, and bounded.</summary>
    public static string Quote(string text)
    {
        System.Text.StringBuilder result = new(text.Length + 2);
        result.Append('"');
        foreach (char c in text.Length > 1024 ? text[..1024] : text)
        {
            _ = c switch
            {
                '"' => result.Append("\\\""),
                '\\' => result.Append("\\\\"),
                '\n' => result.Append("\\n"),
                '\r' => result.Append("\\r"),
                '\t' => result.Append("\\t"),
                < ' ' or '\x7f' => result.Append(System.Globalization.CultureInfo.InvariantCulture, $"\\x{(int)c:x2}"),
                _ => result.Append(c),
            };
        }

        return result.Append('"').ToString();
    }

    private static ApiException About(int code, string reason, string group, string kind, string name, string message) =>
        new(new ApiStatus { Code = code, Reason = reason, Message = message, Details = new ApiStatusDetails { Name = name, Group = group, Kind = kind } });
}
