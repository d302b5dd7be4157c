using System.Text;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Rynxs.ResourceServer.Http;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Identity;

namespace Rynxs.ResourceServer.Tests.Kit;

/// <summary>A resource server of its own: a store in a directory of its own behind Kestrel on a free loopback port. The header X-Identity says who asks; without it an administrator does.</summary>
internal sealed class ApiServer : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly TemporaryDirectory _directory;

    private ApiServer(WebApplication application, TemporaryDirectory directory, ResourceStore store)
    {
        _application = application;
        _directory = directory;
        Store = store;
        Client = new HttpClient { BaseAddress = new Uri(application.Urls.First()), Timeout = TimeSpan.FromSeconds(100) };
    }

    public HttpClient Client { get; }

    /// <summary>For clients that are none of HTTP's own.</summary>
    public int Port => Client.BaseAddress?.Port ?? 0;

    public ResourceStore Store { get; }

    public static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <param name="configure">Changes the store's options.</param>
    /// <param name="api">The API's; the defaults when null.</param>
    /// <param name="patience">With the connection limits of the product, and this patience with slow clients.</param>
    public static async Task<ApiServer> StartAsync(Func<ResourceStoreOptions, ResourceStoreOptions>? configure = null, ResourceApiOptions? api = null, TimeSpan? patience = null)
    {
        TemporaryDirectory directory = new();
        ResourceStoreOptions options = new() { Path = directory.At("objects.db"), AllKinds = true, RequireNamespaces = true };
        ResourceStore store = await ResourceStore.OpenAsync(configure?.Invoke(options) ?? options, Ct);
        await store.EnsureNamespacesAsync(Ct);
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddRouting();
        builder.WebHost.UseUrls("http://127.0.0.1:0").ConfigureKestrel(kestrel => ConnectionLimits.Apply(kestrel.Limits, patience));
        WebApplication application = builder.Build();
        application.MapResourceApi(store, context => Identity(context.Request.Headers["X-Identity"].ToString()), api ?? new ResourceApiOptions { MapHealth = true });
        application.MapFallback(context =>
        {
            context.Response.StatusCode = 404;
            context.Response.ContentType = "text/plain; charset=utf-8";
            return context.Response.WriteAsync("404 page not found\n", Ct);
        });
        await application.StartAsync(Ct);
        return new ApiServer(application, directory, store);
    }

    public static Principal Identity(string name) => name switch
    {
        "" or "admin" => new Principal("admin", new HashSet<Role> { Role.Admin }, null),
        "anonymous" => new Principal("system:anonymous", new HashSet<Role>(), null),
        _ => new Principal(name, new HashSet<Role>(), null),
    };

    public async Task<HttpResponseMessage> SendAsync(
        string method, string path, string? body = null, string contentType = "application/json", string? accept = null, string? identity = null, bool headersOnly = false)
    {
        HttpRequestMessage request = new(new HttpMethod(method), path);
        if (body is not null)
        {
            request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
            request.Content.Headers.TryAddWithoutValidation("Content-Type", contentType);
        }

        if (accept is not null)
            request.Headers.TryAddWithoutValidation("Accept", accept);
        if (identity is not null)
            request.Headers.Add("X-Identity", identity);
        return await Client.SendAsync(request, headersOnly ? HttpCompletionOption.ResponseHeadersRead : HttpCompletionOption.ResponseContentRead, Ct);
    }

    /// <summary>Sends, and fails unless the status is the expected one.</summary>
    public async Task<JsonObject> JsonAsync(string method, string path, string? body = null, int expected = 200, string contentType = "application/json", string? accept = null, string? identity = null)
    {
        using HttpResponseMessage response = await SendAsync(method, path, body, contentType, accept, identity);
        string text = await response.Content.ReadAsStringAsync(Ct);
        ((int)response.StatusCode).ShouldBe(expected, $"{method} {path}: {text}");
        return JsonNode.Parse(text).ShouldBeOfType<JsonObject>();
    }

    public Task StopAsync() => _application.StopAsync(Ct);

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await _application.DisposeAsync();
        await Store.DisposeAsync();
        _directory.Dispose();
    }
}
