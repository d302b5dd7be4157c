using System.Globalization;
using System.Text.Json.Nodes;
using Rynxs.Resources.Identity;

namespace Rynxs.Server.Identity.Reviews;

/// <summary><c>kubectl create token</c> (the subresource token of a service account) and TokenReview.</summary>
internal sealed class TokenReviews(ServiceAccountTokens serviceAccounts, FindServiceAccount find, Authenticator authenticator)
{
    private const string Version = "authentication.k8s.io/v1";

    public void Map(IEndpointRouteBuilder endpoints)
    {
        endpoints.MapPost("/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", CreateAsync).WithMetadata(KubernetesEndpoint.Marker);
        endpoints.MapPost("/apis/" + Version + "/tokenreviews", ReviewAsync).WithMetadata(KubernetesEndpoint.Marker);
    }

    private async Task CreateAsync(HttpContext context)
    {
        string resourceNamespace = context.Request.RouteValues["namespace"] as string ?? "", name = context.Request.RouteValues["name"] as string ?? "";
        // Decided before anything is looked up: the answer tells nothing about which accounts there are.
        switch (AccessRules.Decide(context.Principal(), ResourceVerb.Create, "", "serviceaccounts", "token", namespaced: true, resourceNamespace))
        {
            case Access.Allowed:
                break;
            case Access.Forbidden:
                await AccessReviews.Forbidden(context, $"serviceaccounts \"{name}\" token");
                return;
            default:
                await NotFound(context, name);
                return;
        }

        if (await ReviewRequest.ReadAsync(context, Version, "TokenRequest") is not { } request)
        {
            return;
        }

        if (await find(resourceNamespace, name, context.RequestAborted) is not { } account)
        {
            await NotFound(context, name);
            return;
        }

        long seconds = (long)ServiceAccountTokens.DefaultLifetime.TotalSeconds;
        if (request["spec"]?["expirationSeconds"] is { } given && (given is not JsonValue value || !value.TryGetValue(out seconds)))
        {
            await ReviewRequest.Invalid(context, "TokenRequest.authentication.k8s.io \"\"", "spec.expirationSeconds", "Invalid value: a whole number is required");
            return;
        }

        if (seconds < ServiceAccountTokens.MinimalLifetime.TotalSeconds)
        {
            await ReviewRequest.Invalid(context, "TokenRequest.authentication.k8s.io \"\"", "spec.expirationSeconds",
                $"Invalid value: {seconds.ToString(CultureInfo.InvariantCulture)}: may not specify a duration less than 10 minutes");
            return;
        }

        IReadOnlyList<string> audiences = ReviewRequest.Texts(request["spec"]?["audiences"]);
        if (audiences.Count > ServiceAccountTokens.MaxAudiences || audiences.Any(audience => audience.Length is 0 or > 1024))
        {
            await ReviewRequest.Invalid(context, "TokenRequest.authentication.k8s.io \"\"", "spec.audiences",
                $"Invalid value: at most {ServiceAccountTokens.MaxAudiences}, each of 1 to 1024 characters");
            return;
        }

        if (request["spec"]?["boundObjectRef"] is JsonObject)
        {
            // A token that claims to end with a pod and does not would be worse than none.
            await ReviewRequest.Invalid(context, "TokenRequest.authentication.k8s.io \"\"", "spec.boundObjectRef", "Forbidden: tokens are bound to their service account alone");
            return;
        }

        long asked = Math.Min(seconds, (long)ServiceAccountTokens.MaximalLifetime.TotalSeconds);
        (string token, DateTimeOffset expires) = serviceAccounts.Create(account, audiences, TimeSpan.FromSeconds(asked));
        request["spec"] = new JsonObject
        {
            ["audiences"] = new JsonArray([.. (audiences.Count == 0 ? [ServiceAccountTokens.Issuer] : audiences).Select(audience => JsonValue.Create(audience))]),
            ["expirationSeconds"] = asked,
            ["boundObjectRef"] = null,
        };
        await ReviewRequest.AnswerAsync(context, request, new JsonObject
        {
            ["token"] = token,
            ["expirationTimestamp"] = expires.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture),
        });
    }

    private async Task ReviewAsync(HttpContext context)
    {
        if (!AccessReviews.IsAdministrator(context.Principal(), resourceNamespace: null))
        {
            await AccessReviews.Forbidden(context, "tokenreviews.authentication.k8s.io");
            return;
        }

        if (await ReviewRequest.ReadAsync(context, Version, "TokenReview") is not { } review)
        {
            return;
        }

        string token = ReviewRequest.Text(review["spec"]?["token"]) ?? "";
        IReadOnlyList<string> audiences = ReviewRequest.Texts(review["spec"]?["audiences"]);
        Authentication found = token.Length is > 0 and <= Authenticator.MaxAuthorizationLength
            ? await authenticator.AuthenticateTokenAsync(token, audiences.Count == 0 ? null : audiences, context.RequestAborted)
            : new Authentication.Refused("malformed");

        // The token is not repeated in the answer: it would reach whatever logs answers.
        (review["spec"] as JsonObject)?.Remove("token");
        await ReviewRequest.AnswerAsync(context, review, found is Authentication.Known known
            ? new JsonObject
            {
                ["authenticated"] = true,
                ["user"] = AccessReviews.UserInfo(known.Principal),
                ["audiences"] = new JsonArray([.. (audiences.Count == 0 ? [ServiceAccountTokens.Issuer] : audiences).Select(audience => JsonValue.Create(audience))]),
            }
            : new JsonObject { ["authenticated"] = false, ["error"] = "the token does not count" });
    }

    private static Task NotFound(HttpContext context, string name) =>
        new KubernetesStatus($"serviceaccounts \"{name}\" not found", "NotFound", StatusCodes.Status404NotFound).WriteAsync(context);
}
