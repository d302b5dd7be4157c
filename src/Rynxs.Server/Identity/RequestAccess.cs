using Rynxs.Resources.Identity;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Identity;

/// <summary>What a request may do. Roles are checked before anything is looked up, so that an answer tells nothing about what exists.</summary>
internal static class RequestAccess
{
    private static readonly object PrincipalKey = new();
    private static readonly object HiddenKey = new();

    /// <summary>Those who run programs and send messages.</summary>
    public static readonly Role[] Executors = [Role.Admin, Role.Operator, Role.Developer];

    /// <summary>Those who read what agents did.</summary>
    public static readonly Role[] Readers = [Role.Admin, Role.Operator, Role.Developer, Role.Approver, Role.Auditor];

    /// <summary>Those who read the evidence itself.</summary>
    public static readonly Role[] Auditors = [Role.Admin, Role.Auditor];

    /// <summary>The caller, as authentication found it.</summary>
    public static Principal Principal(this HttpContext context) =>
        context.Items[PrincipalKey] as Principal ?? throw new ProblemException(Unauthenticated);

    public static Problem Unauthenticated { get; } = new(
        StatusCodes.Status401Unauthorized, "unauthenticated", "A valid token is required: 'Authorization: Bearer TOKEN'.");

    public static void SetPrincipal(HttpContext context, Principal principal) => context.Items[PrincipalKey] = principal;

    /// <summary>The answer says "not found" because this caller may not see it: the audit has to know what the answer must not tell.</summary>
    public static void NoteHidden(HttpContext context) => context.Items[HiddenKey] = HiddenKey;

    public static bool IsHidden(HttpContext context) => context.Items.ContainsKey(HiddenKey);

    /// <summary>The caller, when it has one of the roles.</summary>
    public static Principal Require(HttpContext context, params ReadOnlySpan<Role> roles)
    {
        Principal principal = context.Principal();
        foreach (Role role in roles)
        {
            if (principal.Roles.Contains(role))
            {
                return principal;
            }
        }

        throw new ProblemException(new Problem(
            StatusCodes.Status403Forbidden, "forbidden", "The token's roles do not allow this."));
    }

    /// <summary>The caller, when it has one of the roles and the namespace exists for it; else 404, as for a namespace that does not exist.</summary>
    public static Principal RequireIn(HttpContext context, string resourceNamespace, string what, params ReadOnlySpan<Role> roles)
    {
        if (!context.Principal().CanSee(resourceNamespace))
        {
            NoteHidden(context);
            throw new ProblemException(Problem.NotFound(what));
        }

        return Require(context, roles);
    }
}
