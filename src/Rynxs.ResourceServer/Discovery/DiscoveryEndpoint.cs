using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Rynxs.ResourceServer.Http;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.OpenApi;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Discovery;

/// <summary>Answers what is asked before anything is done: groups, resources, versions, schemas. Open to every authenticated caller, as in Kubernetes.</summary>
internal sealed class DiscoveryEndpoint(HttpContext context, ResourceApiState state, ResponseWriter response)
{
    private const string AggregatedType = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

    /// <summary>The version of Kubernetes whose API is spoken; clients decide by it what they may use.</summary>
    private const string KubernetesMinor = "36";

    private readonly KindSet _kinds = state.Store.Kinds.Current;

    /// <summary><c>/api</c>, <c>/apis</c>, <c>/apis/GROUP</c> and the lists of resources.</summary>
    public async Task GroupsAsync(ApiRoute route)
    {
        RequireGet();
        DiscoveryDocuments documents = state.Discovery(_kinds);
        bool core = context.Request.Path.StartsWithSegments("/api");
        bool root = route is { Group: "", Version: "" };
        if (root && WantsAggregated())
        {
            await WithETagAsync(DocumentText.Bytes(documents.Aggregated(core)), AggregatedType);
            return;
        }

        JsonObject? document = (core, root, route.Version) switch
        {
            (true, true, _) => DiscoveryDocuments.Versions($"{context.Request.Host}"),
            (false, true, _) => documents.Groups(),
            (false, _, "") => documents.Group(route.Group),
            _ => documents.Resources(route.Group, route.Version),
        };
        if (document is null)
            await response.TextAsync(404, "404 page not found\n");
        else
            await response.NodeAsync(document);
    }

    /// <summary><c>/version</c> and <c>/openapi</c>.</summary>
    public async Task DocumentAsync(string path)
    {
        RequireGet();
        if (path.TrimEnd('/') == "/version")
        {
            await response.NodeAsync(Version());
            return;
        }

        if (path == "/openapi/v2")
        {
            await WithETagAsync(_kinds.OpenApi.V2, "application/json");
        }
        else if (path.TrimEnd('/') == "/openapi/v3")
        {
            await WithETagAsync(_kinds.OpenApi.V3Index, "text/plain; charset=utf-8");
        }
        else if (path.StartsWith("/openapi/v3/", StringComparison.Ordinal) && _kinds.OpenApi.V3(path["/openapi/v3/".Length..]) is { } document)
        {
            await V3Async(document);
        }
        else
        {
            await response.TextAsync(404, "404 page not found\n");
        }
    }

    private async Task V3Async(OpenApiDocument document)
    {
        string asked = context.Request.Query["hash"].ToString();
        if (asked.Length > 0 && asked != document.Hash)
        {
            context.Response.StatusCode = StatusCodes.Status301MovedPermanently;
            context.Response.Headers.Location = $"{context.Request.Path}?hash={document.Hash}";
            return;
        }

        // A document under its hash never changes.
        if (asked.Length > 0)
            context.Response.Headers.CacheControl = "public, immutable";
        await WithETagAsync(document.Json, "application/json", document.Hash);
    }

    private async Task WithETagAsync(ReadOnlyMemory<byte> body, string contentType, string? hash = null)
    {
        string tag = $"\"{hash ?? Convert.ToHexString(SHA512.HashData(body.Span))}\"";
        context.Response.Headers.ETag = tag;
        context.Response.Headers.Vary = "Accept";
        if (context.Request.Headers.IfNoneMatch.ToString() == tag)
        {
            context.Response.StatusCode = StatusCodes.Status304NotModified;
            return;
        }

        await response.BytesAsync(body, contentType: contentType);
    }

    private bool WantsAggregated()
    {
        string accept = context.Request.Headers.Accept.ToString();
        return accept.Length < 4096 && accept.Split(',').Any(range =>
            range.Contains("application/json", StringComparison.Ordinal) && range.Contains("as=APIGroupDiscoveryList", StringComparison.Ordinal)
            && range.Contains("v=v2", StringComparison.Ordinal) && !range.Contains("v=v2beta1", StringComparison.Ordinal) && range.Contains("g=apidiscovery.k8s.io", StringComparison.Ordinal));
    }

    private void RequireGet()
    {
        if (!HttpMethods.IsGet(context.Request.Method) && !HttpMethods.IsHead(context.Request.Method))
            throw ApiErrors.Plain(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
    }

    /// <summary>Which Kubernetes this speaks like; gitVersion says that it is none.</summary>
    private static JsonObject Version() => new()
    {
        ["major"] = "1",
        ["minor"] = KubernetesMinor,
        ["emulationMajor"] = "1",
        ["emulationMinor"] = KubernetesMinor,
        ["minCompatibilityMajor"] = "1",
        ["minCompatibilityMinor"] = "35",
        ["gitVersion"] = $"v1.{KubernetesMinor}.0+rynxs",
        ["gitCommit"] = "",
        ["gitTreeState"] = "",
        ["buildDate"] = "1970-01-01T00:00:00Z",
        ["goVersion"] = "",
        ["compiler"] = "dotnet",
        ["platform"] = "linux/" + (System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.Arm64 ? "arm64" : "amd64"),
    };
}
