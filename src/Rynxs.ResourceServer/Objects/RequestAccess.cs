using Rynxs.Resources.Identity;

namespace Rynxs.ResourceServer.Objects;

/// <summary>Asks the rules of access and says no in the words of the real server. Every request passes here, in process or not.</summary>
internal static class RequestAccess
{
    public static Access Decide(ObjectRequest request, ResourceVerb verb) => AccessRules.Decide(
        request.Principal, verb, request.Kind.Kind.Group, request.Kind.Kind.Plural, request.Subresource, request.Kind.Kind.Namespaced, Where(request));

    /// <summary>One object, or a new one.</summary>
    /// <exception cref="ApiException">403, or 404 for what the principal may not see.</exception>
    public static void Authorise(ObjectRequest request, ResourceVerb verb, string name)
    {
        switch (Decide(request, verb))
        {
            case Access.Allowed:
                return;
            case Access.Invisible:
                throw new ApiException(ApiErrors.NotFound(request.Kind.Kind, request.Name).Status) { Hides = true };
            default:
                throw ApiErrors.Forbidden(request.Kind.Kind, request.Subresource, verb == ResourceVerb.Create ? "" : request.Name, request.Principal.Name, name, request.Namespace);
        }
    }

    /// <summary>A list, a watch or a deletion of many.</summary>
    /// <exception cref="ApiException">403, or 404 for a namespace that the principal may not see.</exception>
    public static void AuthoriseMany(ObjectRequest request, ResourceVerb verb, string name, bool everywhere)
    {
        Access access = everywhere && verb != ResourceVerb.DeleteCollection
            ? AccessRules.DecideEverywhere(request.Principal, request.Kind.Kind.Group, request.Kind.Kind.Plural, request.Kind.Kind.Namespaced)
            : AccessRules.Decide(request.Principal, verb, request.Kind.Kind.Group, request.Kind.Kind.Plural, null, request.Kind.Kind.Namespaced, Where(request));
        if (access == Access.Invisible)
            throw new ApiException(ApiErrors.NotFound(request.Kind.Kind, "").Status) { Hides = true };
        if (access == Access.Forbidden)
            throw ApiErrors.Forbidden(request.Kind.Kind, null, "", request.Principal.Name, name, request.Namespace);
    }

    /// <summary>The kind Namespace is asked about by the object's own name.</summary>
    private static string Where(ObjectRequest request) =>
        request.Kind.Kind is { Group: "", Plural: "namespaces" } ? request.Name : request.Kind.Kind.Namespaced ? request.Namespace : "";
}
