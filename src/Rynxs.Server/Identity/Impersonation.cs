using Rynxs.Resources.Identity;

namespace Rynxs.Server.Identity;

/// <summary>
/// <c>kubectl --as</c>. An administrator of everything may look at the resource API as somebody else: read, and ask what they may do. Writing as somebody
/// else is refused to everybody: every record names who acted, and whoever requested never approves.
/// </summary>
internal sealed class Impersonation(PrincipalDirectory directory)
{
    private const string Prefix = "Impersonate-";
    private const string UserHeader = Prefix + "User";
    private const string GroupHeader = Prefix + "Group";

    /// <summary>The identity to use; a refusal when the request asks for one that it may not have.</summary>
    public async ValueTask<(Principal? Principal, KubernetesStatus? Refusal)> ApplyAsync(HttpContext context, Principal actual)
    {
        if (!context.Request.Headers.Keys.Any(name => name.StartsWith(Prefix, StringComparison.OrdinalIgnoreCase)))
        {
            return (actual, null);
        }

        if (!actual.Roles.Contains(Role.Admin) || actual.Namespaces is not null)
        {
            return (null, Forbidden($"{actual.Name} may not act as somebody else: only an administrator may use Impersonate headers"));
        }

        string user = context.Request.Headers[UserHeader].ToString();
        if (user.Length is 0 or > 253)
        {
            return (null, new KubernetesStatus("Impersonate-User: a name of 1 to 253 characters is required", "BadRequest", StatusCodes.Status400BadRequest));
        }

        bool reads = HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method);
        if (!KubernetesEndpoint.Serves(context) || (!reads && !IsOwnQuestion(context.Request.Path)))
        {
            return (null, Forbidden("impersonated requests may read and ask what is allowed, and not write: records name who acted"));
        }

        Principal found = await directory.FindAsync(user, [.. context.Request.Headers[GroupHeader].OfType<string>()], context.RequestAborted);
        return (found, null);
    }

    private static bool IsOwnQuestion(PathString path) =>
        path.StartsWithSegments("/apis/authorization.k8s.io/v1", out PathString rest)
            ? rest == "/selfsubjectaccessreviews" || rest == "/selfsubjectrulesreviews"
            : path == "/apis/authentication.k8s.io/v1/selfsubjectreviews";

    private static KubernetesStatus Forbidden(string message) => new(message, "Forbidden", StatusCodes.Status403Forbidden);
}
