using System.Collections.Concurrent;
using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Rynxs.Agents.Tests.Providers;

/// <summary>The one fake here: a remote model that speaks chat completions over real HTTP. Each request is answered by the next handler.</summary>
internal sealed class FakeChatServer : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly ConcurrentQueue<Func<HttpContext, Task>> _handlers = new();

    private FakeChatServer(WebApplication application) => _application = application;

    public ConcurrentQueue<(string? Authorization, JsonElement Body)> Requests { get; } = new();

    public Uri BaseUrl { get; private set; } = new("http://127.0.0.1/");

    public static async Task<FakeChatServer> StartAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        WebApplication application = builder.Build();
        application.Urls.Add("http://127.0.0.1:0");
        var server = new FakeChatServer(application);
        application.MapPost("/v1/chat/completions", server.HandleAsync);
        await application.StartAsync();
        string address = application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First(); // Kestrel has one.
        server.BaseUrl = new Uri(address + "/v1");
        return server;
    }

    /// <summary>Server-sent events, one per chunk.</summary>
    public void Stream(params string[] chunks) => Add(async context =>
    {
        context.Response.ContentType = "text/event-stream";
        foreach (string chunk in chunks)
        {
            await context.Response.WriteAsync($"data: {chunk}\n\n");
            await context.Response.Body.FlushAsync();
        }
    });

    public void Body(string json) => Add(async context =>
    {
        context.Response.ContentType = "application/json";
        await context.Response.WriteAsync(json);
    });

    public void Fail(HttpStatusCode status, string? header = null, string? value = null) => Add(async context =>
    {
        context.Response.StatusCode = (int)status;
        if (header is not null)
        {
            context.Response.Headers[header] = value;
        }

        await context.Response.WriteAsync("""{"error":{"message":"echo of sk-very-secret"}}""");
    });

    public void Add(Func<HttpContext, Task> handler) => _handlers.Enqueue(handler);

    public async ValueTask DisposeAsync() => await _application.DisposeAsync();

    private async Task HandleAsync(HttpContext context)
    {
        using JsonDocument body = await JsonDocument.ParseAsync(context.Request.Body);
        Requests.Enqueue((context.Request.Headers.Authorization, body.RootElement.Clone()));
        if (_handlers.TryDequeue(out Func<HttpContext, Task>? handler))
        {
            await handler(context);
        }
        else
        {
            context.Response.StatusCode = 400;
        }
    }
}
