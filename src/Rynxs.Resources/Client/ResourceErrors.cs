using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Client;

/// <summary>The messages of refusals, in Kubernetes wording.</summary>
public static class ResourceErrors
{
    private const string Group = "universe.ai";

    /// <summary>422 with every cause.</summary>
    public static ResourceException Invalid(ResourceType type, string name, IReadOnlyList<FieldError> causes)
    {
        string details = string.Join(", ", causes.Take(10).Select(cause => $"{cause.Field}: {cause.Message}"));
        if (causes.Count > 10)
            details += $", and {causes.Count - 10} more";
        if (causes.Count > 1)
            details = $"[{details}]";
        return new ResourceException(ResourceErrorReason.Invalid, $"{type.Kind}.{Group} {BadValue.Quote(name)} is invalid: {details}", causes);
    }

    /// <summary>404.</summary>
    public static ResourceException NotFound(ResourceType type, string name) =>
        new(ResourceErrorReason.NotFound, $"{type.Plural}.{Group} {BadValue.Quote(name)} not found");

    /// <summary>409: the name is taken.</summary>
    public static ResourceException AlreadyExists(ResourceType type, string name) =>
        new(ResourceErrorReason.AlreadyExists, $"{type.Plural}.{Group} {BadValue.Quote(name)} already exists");

    /// <summary>409: the version is not current.</summary>
    public static ResourceException Conflict(ResourceType type, string name, string why) =>
        new(ResourceErrorReason.Conflict, $"Operation cannot be fulfilled on {type.Plural}.{Group} {BadValue.Quote(name)}: {why}");

    /// <summary>403.</summary>
    public static ResourceException Forbidden(ResourceType type, string name, string user, string verb, string inNamespace) =>
        new(ResourceErrorReason.Forbidden,
            $"{type.Plural}.{Group}{(name.Length > 0 ? $" {BadValue.Quote(name)}" : "")} is forbidden: User {BadValue.Quote(user)} cannot {verb} resource \"{type.Plural}\" in API group \"{Group}\""
            + (inNamespace.Length > 0 ? $" in the namespace {BadValue.Quote(inNamespace)}" : ""));
}
