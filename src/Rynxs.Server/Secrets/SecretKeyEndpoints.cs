using Rynxs.ResourceServer.Secrets;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Secrets;

/// <summary>Where an administrator exchanges the key that seals Secrets, and sees how far that has come.</summary>
internal static partial class SecretKeyEndpoints
{
    private const string Path = "/api/v1/secret-keys";

    public static void MapSecretKeys(this IEndpointRouteBuilder endpoints, ResourceStore store, ILogger logger)
    {
        endpoints.MapGet(Path, async (HttpContext context) =>
        {
            RequireEverywhere(context);
            return Results.Json(await store.SecretKeyStatusAsync(context.RequestAborted), ServerJson.Default.SecretKeyStatus);
        });
        endpoints.MapPost(Path + "/rotate", async (HttpContext context) =>
        {
            Principal principal = RequireEverywhere(context);
            SecretKeyStatus status = await store.RotateSecretKeyAsync(context.RequestAborted);
            LogRotated(logger, principal.Name, status.KeyId);
            return Results.Json(status, ServerJson.Default.SecretKeyStatus, statusCode: StatusCodes.Status202Accepted);
        });
    }

    /// <summary>The key is that of every namespace: an administrator of some is none of it.</summary>
    private static Principal RequireEverywhere(HttpContext context)
    {
        Principal principal = RequestAccess.Require(context, Role.Admin);
        return principal.Namespaces is null
            ? principal
            : throw new ProblemException(new Problem(StatusCodes.Status403Forbidden, "forbidden", "The key of the Secrets is an administrator's of all namespaces."));
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Principal} exchanges the key of the Secrets: {KeyId}")]
    private static partial void LogRotated(ILogger logger, string principal, string keyId);
}
