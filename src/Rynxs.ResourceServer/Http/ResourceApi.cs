using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;

namespace Rynxs.ResourceServer.Http;

/// <summary>
/// The REST endpoints of <c>/apis/universe.ai/v1alpha1</c> in Kubernetes conventions. What is not there yet (discovery, tables, server-side apply,
/// dry runs, paging) is refused or, for <c>limit</c>, ignored as the conventions allow; nothing is pretended.
/// </summary>
public static class ResourceApi
{
    private const string Root = "/apis/universe.ai/v1alpha1";

    /// <summary>
    /// Maps the endpoints over <paramref name="store"/>. <paramref name="principal"/> gives the authenticated caller of a request; it is called once per
    /// request and never returns null.
    /// </summary>
    public static IEndpointConventionBuilder MapResourceApi(
        this IEndpointRouteBuilder endpoints, ResourceStore store, Func<HttpContext, Principal> principal)
    {
        RouteGroupBuilder group = endpoints.MapGroup(Root);
        group.Map("/{plural}", context => ServeAsync(context, allNamespaces: true));
        group.Map("/{plural}/{name}", context => ServeAsync(context));
        group.Map("/{plural}/{name}/{subresource}", context => ServeAsync(context));
        group.Map("/namespaces/{namespace}/{plural}", context => ServeAsync(context));
        group.Map("/namespaces/{namespace}/{plural}/{name}", context => ServeAsync(context));
        group.Map("/namespaces/{namespace}/{plural}/{name}/{subresource}", context => ServeAsync(context));
        return group;

        async Task ServeAsync(HttpContext context, bool allNamespaces = false)
        {
            string? plural = Value("plural");
            ResourceType? type = ResourceTypes.All.FirstOrDefault(candidate => candidate.Plural == plural);
            string? inNamespace = Value("namespace");
            string? subresource = Value("subresource");

            // A namespaced kind is addressed with its namespace but for lists over all of them; a cluster-scoped kind never is.
            bool fits = type is not null && type.Namespaced == inNamespace is not null || type is not null && allNamespaces;
            if (type is null || !fits || subresource is not (null or "status"))
            {
                await Respond.StatusAsync(context, StatusBody.Failure(404, "NotFound", "the server could not find the requested resource"));
                return;
            }

            ResourceRequest request = new(context, store.Requests(principal(context)), store, type, inNamespace, Value("name"), subresource);
            try
            {
                await request.RunAsync();
            }
            catch (ResourceException e) when (!context.Response.HasStarted)
            {
                await Respond.StatusAsync(context, StatusBody.Of(e, type.Plural, Value("name")));
            }
            catch (BadHttpRequestException e) when (!context.Response.HasStarted)
            {
                string reason = e.StatusCode == 413 ? "RequestEntityTooLarge" : "BadRequest";
                await Respond.StatusAsync(context, StatusBody.Failure(e.StatusCode, reason, "the body of the request could not be read"));
            }

            string? Value(string name) => context.Request.RouteValues[name] as string;

        }
    }
}
