using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Rynxs.ResourceServer.Discovery;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Protobuf;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;

namespace Rynxs.ResourceServer.Http;

/// <summary>
/// The REST API in Kubernetes conventions: <c>/api</c>, <c>/apis</c>, <c>/openapi</c> and <c>/version</c>. What it does otherwise than a real server is listed in docs/api.md.
/// </summary>
public static class ResourceApi
{
    /// <summary>
    /// Maps the endpoints over <paramref name="store"/>. <paramref name="principal"/> gives the authenticated caller of a request; it is called once per
    /// request and never returns null. Literal routes that others map below the same paths go first.
    /// </summary>
    public static IEndpointConventionBuilder MapResourceApi(
        this IEndpointRouteBuilder endpoints, ResourceStore store, Func<HttpContext, Principal> principal, ResourceApiOptions? options = null)
    {
        ResourceApiState state = new(store, options ?? new ResourceApiOptions());
        RouteGroupBuilder group = endpoints.MapGroup("");
        foreach (string pattern in (ReadOnlySpan<string>)["/api", "/api/{**path}", "/apis", "/apis/{**path}", "/openapi/{**path}", "/version"])
            group.Map(pattern, ServeAsync);
        if (state.Options.MapHealth)
        {
            foreach (string pattern in (ReadOnlySpan<string>)["/healthz", "/livez", "/readyz"])
                group.Map(pattern, HealthAsync);
        }

        return group;

        async Task HealthAsync(HttpContext context)
        {
            await using ResponseWriter response = new(context, state.Options);
            try
            {
                if (context.Request.Path == "/readyz")
                    await store.CheckWritableAsync(context.RequestAborted);
                await response.TextAsync(200, "ok");
            }
            catch (ResourceException e)
            {
                await response.TextAsync(500, $"{e.Message}\n");
            }
        }

        async Task ServeAsync(HttpContext context)
        {
            await using ResponseWriter response = new(context, state.Options);
            string path = context.Request.Path.Value ?? "";
            try
            {
                await ProtobufBody.ReplaceAsync(context, state.Options.MaxBodyBytes);
                if (path.StartsWith("/openapi", StringComparison.Ordinal) || path.StartsWith("/version", StringComparison.Ordinal))
                    await new DiscoveryEndpoint(context, state, response).DocumentAsync(path);
                else if (ApiRoute.Parse(path) is not { } route)
                    await response.TextAsync(404, "404 page not found\n");
                else if (route.Plural is null)
                    await new DiscoveryEndpoint(context, state, response).GroupsAsync(route);
                else
                    await new ResourceEndpoint(context, state, response, route, principal(context)).RunAsync();
            }
            catch (ApiException e) when (!context.Response.HasStarted)
            {
                if (e.Hides)
                    state.Options.OnHidden?.Invoke(context);
                await response.StatusAsync(e.Status);
            }
            catch (ResourceException e) when (!context.Response.HasStarted)
            {
                await response.StatusAsync(ApiErrors.Of(e));
            }
            catch (BadHttpRequestException e) when (!context.Response.HasStarted)
            {
                await response.StatusAsync(new ApiStatus
                {
                    Code = e.StatusCode,
                    Reason = e.StatusCode == 413 ? "RequestEntityTooLarge" : "BadRequest",
                    Message = e.StatusCode == 413 ? $"Request entity too large: limit is {state.Options.MaxBodyBytes}" : "the body of the request could not be read",
                });
            }
            catch (Exception e) when (e is ApiException or ResourceException)
            {
                // An answer that was begun cannot be taken back: cut, so that nobody takes half a list for a whole one.
                context.Abort();
            }
        }
    }
}
