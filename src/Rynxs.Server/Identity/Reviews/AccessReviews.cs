using System.Text.Json.Nodes;
using Rynxs.Resources.Identity;

namespace Rynxs.Server.Identity.Reviews;

/// <summary>Tells whether a kind lives in namespaces; null when no such kind is served.</summary>
internal delegate bool? KindScope(string group, string plural);

/// <summary>
/// <c>kubectl auth can-i</c> and <c>kubectl auth whoami</c>: what may I do, who am I, and for administrators, what may others do. The answers come from
/// <see cref="AccessRules"/>, which also decides the requests themselves.
/// </summary>
internal sealed class AccessReviews(PrincipalDirectory directory, KindScope scope)
{
    private const string Authorization = "authorization.k8s.io/v1";
    private const string Authentication = "authentication.k8s.io/v1";

    public void Map(IEndpointRouteBuilder endpoints)
    {
        RouteGroupBuilder authorization = endpoints.MapGroup("/apis/" + Authorization);
        authorization.WithMetadata(KubernetesEndpoint.Marker);
        authorization.MapPost("/selfsubjectaccessreviews", SelfAccessAsync);
        authorization.MapPost("/selfsubjectrulesreviews", SelfRulesAsync);
        authorization.MapPost("/subjectaccessreviews", context => SubjectAccessAsync(context, resourceNamespace: null));
        authorization.MapPost("/namespaces/{namespace}/localsubjectaccessreviews",
            context => SubjectAccessAsync(context, context.Request.RouteValues["namespace"] as string));
        endpoints.MapPost("/apis/" + Authentication + "/selfsubjectreviews", WhoAmIAsync).WithMetadata(KubernetesEndpoint.Marker);
    }

    /// <summary>Whether a review's attributes are allowed, and a sentence when they are not.</summary>
    internal (bool Allowed, string Reason) Decide(Principal principal, JsonObject spec)
    {
        if (spec["nonResourceAttributes"] is JsonObject path)
        {
            bool open = ReviewRequest.Text(path["verb"]) is "get" && ReviewRequest.Text(path["path"]) is { } text && IsReadablePath(principal, text);
            return (open, open ? "" : "no role allows this path");
        }

        if (spec["resourceAttributes"] is not JsonObject attributes)
        {
            return (false, "neither resourceAttributes nor nonResourceAttributes");
        }

        string group = ReviewRequest.Text(attributes["group"]) ?? "", plural = ReviewRequest.Text(attributes["resource"]) ?? "";
        string where = ReviewRequest.Text(attributes["namespace"]) ?? "", name = ReviewRequest.Text(attributes["name"]) ?? "";
        string? subresource = ReviewRequest.Text(attributes["subresource"]) is { Length: > 0 } given ? given : null;
        string verb = ReviewRequest.Text(attributes["verb"]) ?? "";
        if (group == "*" || plural == "*" || verb == "*")
        {
            // "May I do anything": an administrator may, where it may anything at all.
            bool all = principal.Roles.Contains(Role.Admin) && (where.Length == 0 ? principal.Namespaces is null : principal.CanSee(where));
            return (all, all ? "" : "only an administrator may do everything");
        }

        if (ParseVerb(verb) is not { } known)
        {
            return (false, $"the verb '{verb}' is not known here");
        }

        bool isNamespace = group.Length == 0 && plural == "namespaces";
        bool namespaced = scope(group, plural) ?? AccessRules.LivesInNamespaces(group, plural);
        Access access = namespaced && where.Length == 0
            ? Everywhere(principal, known, group, plural, subresource)
            : AccessRules.Decide(principal, known, group, plural, subresource, namespaced, isNamespace ? name : namespaced ? where : "");
        return access switch
        {
            Access.Allowed => (true, ""),
            Access.Invisible => (false, "it does not exist for this principal"),
            _ => (false, $"no role of this principal allows {verb} of {plural}"),
        };
    }

    /// <summary>Over all namespaces a list is cut to what may be seen; everything else must hold in each namespace.</summary>
    private static Access Everywhere(Principal principal, ResourceVerb verb, string group, string plural, string? subresource) =>
        verb is ResourceVerb.List or ResourceVerb.Watch && subresource is null ? AccessRules.DecideEverywhere(principal, group, plural, namespaced: true)
        : principal.Namespaces is not null ? Access.Forbidden
        : AccessRules.Decide(principal, verb, group, plural, subresource, namespaced: true, "");

    private async Task SelfAccessAsync(HttpContext context)
    {
        if (await ReviewRequest.ReadAsync(context, Authorization, "SelfSubjectAccessReview") is { } review)
        {
            await AnswerAsync(context, review, context.Principal());
        }
    }

    private async Task SubjectAccessAsync(HttpContext context, string? resourceNamespace)
    {
        if (!IsAdministrator(context.Principal(), resourceNamespace))
        {
            await Forbidden(context, "subjectaccessreviews.authorization.k8s.io");
            return;
        }

        string kind = resourceNamespace is null ? "SubjectAccessReview" : "LocalSubjectAccessReview";
        if (await ReviewRequest.ReadAsync(context, Authorization, kind) is not { } review)
        {
            return;
        }

        if (review["spec"] is not JsonObject spec || (ReviewRequest.Text(spec["user"]) ?? "").Length == 0 && ReviewRequest.Texts(spec["groups"]).Count == 0)
        {
            await ReviewRequest.Invalid(context, kind, "spec.user", "Invalid value: \"\": at least one of user or group must be specified");
            return;
        }

        if (resourceNamespace is not null && ReviewRequest.Text(spec["resourceAttributes"]?["namespace"]) != resourceNamespace)
        {
            await ReviewRequest.Invalid(context, kind, "spec.resourceAttributes.namespace", "Invalid value: must match metadata.namespace");
            return;
        }

        Principal subject = await directory.FindAsync(ReviewRequest.Text(spec["user"]) ?? "", ReviewRequest.Texts(spec["groups"]), context.RequestAborted);
        await AnswerAsync(context, review, subject);
    }

    private async Task AnswerAsync(HttpContext context, JsonObject review, Principal subject)
    {
        (bool allowed, string reason) = review["spec"] is JsonObject spec ? Decide(subject, spec) : (false, "spec is missing");
        var status = new JsonObject { ["allowed"] = allowed };
        if (reason.Length > 0)
        {
            status["reason"] = reason;
        }

        await ReviewRequest.AnswerAsync(context, review, status);
    }

    private static async Task SelfRulesAsync(HttpContext context)
    {
        if (await ReviewRequest.ReadAsync(context, Authorization, "SelfSubjectRulesReview") is not { } review)
        {
            return;
        }

        string resourceNamespace = ReviewRequest.Text(review["spec"]?["namespace"]) ?? "";
        if (resourceNamespace.Length == 0)
        {
            await ReviewRequest.BadRequest(context, "no namespace on request");
            return;
        }

        var rules = new JsonArray();
        foreach (AccessRule rule in AccessRules.Rules(context.Principal(), resourceNamespace))
        {
            rules.Add(new JsonObject
            {
                ["verbs"] = new JsonArray([.. rule.Verbs.Select(verb => JsonValue.Create(verb.ToString().ToLowerInvariant()))]),
                ["apiGroups"] = new JsonArray(rule.Group),
                ["resources"] = new JsonArray(rule.Plural),
            });
        }

        var paths = new JsonArray(new JsonObject
        {
            ["verbs"] = new JsonArray("get"),
            ["nonResourceURLs"] = new JsonArray("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/health", "/livez", "/readyz"),
        });
        // Kinds of applied definitions are not listed one by one, so the list says of itself that it is not whole.
        await ReviewRequest.AnswerAsync(context, review, new JsonObject { ["resourceRules"] = rules, ["nonResourceRules"] = paths, ["incomplete"] = true });
    }

    private static async Task WhoAmIAsync(HttpContext context)
    {
        if (await ReviewRequest.ReadAsync(context, Authentication, "SelfSubjectReview") is { } review)
        {
            DateTimeOffset now = context.RequestServices.GetRequiredService<TimeProvider>().GetUtcNow();
            review["metadata"] = new JsonObject { ["creationTimestamp"] = now.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture) };
            await ReviewRequest.AnswerAsync(context, review, new JsonObject { ["userInfo"] = UserInfo(context.Principal()) });
        }
    }

    /// <summary>A principal as Kubernetes tells users; roles and namespaces are in <c>extra</c>.</summary>
    internal static JsonObject UserInfo(Principal principal)
    {
        var info = new JsonObject { ["username"] = principal.Name };
        if (principal.Uid is not null)
        {
            info["uid"] = principal.Uid;
        }

        info["groups"] = new JsonArray([.. principal.Groups.Select(group => JsonValue.Create(group))]);
        var extra = new JsonObject
        {
            ["universe.ai/roles"] = new JsonArray([.. principal.Roles.Order().Select(role => JsonValue.Create(role.ToString().ToLowerInvariant()))]),
        };
        if (principal.Namespaces is not null)
        {
            extra["universe.ai/namespaces"] = new JsonArray([.. principal.Namespaces.Order(StringComparer.Ordinal).Select(name => JsonValue.Create(name))]);
        }

        info["extra"] = extra;
        return info;
    }

    internal static bool IsAdministrator(Principal principal, string? resourceNamespace) =>
        principal.Roles.Contains(Role.Admin) && (principal.Namespaces is null || (resourceNamespace is not null && principal.CanSee(resourceNamespace)));

    internal static Task Forbidden(HttpContext context, string what) =>
        new KubernetesStatus($"{what} is forbidden: User \"{context.Principal().Name}\" cannot create it", "Forbidden", StatusCodes.Status403Forbidden).WriteAsync(context);

    private static bool IsReadablePath(Principal principal, string path) => path switch
    {
        "/api" or "/apis" or "/version" or "/health" or "/livez" or "/readyz" or "/openapi/v2" or "/openapi/v3" => true,
        "/metrics" => principal.Roles.Overlaps(RequestAccess.Readers),
        _ => path.StartsWith("/api/", StringComparison.Ordinal) || path.StartsWith("/apis/", StringComparison.Ordinal) || path.StartsWith("/openapi/", StringComparison.Ordinal),
    };

    private static ResourceVerb? ParseVerb(string verb) => verb switch
    {
        "get" => ResourceVerb.Get,
        "list" => ResourceVerb.List,
        "watch" => ResourceVerb.Watch,
        "create" => ResourceVerb.Create,
        "update" => ResourceVerb.Update,
        "patch" => ResourceVerb.Patch,
        "delete" => ResourceVerb.Delete,
        "deletecollection" => ResourceVerb.DeleteCollection,
        _ => null,
    };
}
