using System.Globalization;
using System.Text.Json;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Net.Http.Headers;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Client;
using Rynxs.Resources.Manifests;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;

namespace Rynxs.ResourceServer.Http;

/// <summary>One request of the resource API.</summary>
internal sealed class ResourceRequest(
    HttpContext context, StoreRequests requests, ResourceStore store, ResourceType type, string? inNamespace, string? name, string? subresource)
{
    private const int MaxBodyBytes = 3 * 1024 * 1024;
    private const string Json = "application/json";
    private const string Yaml = "application/yaml";
    private const string Merge = "application/merge-patch+json";

    private CancellationToken Aborted => context.RequestAborted;

    private NamespacedName Id => new(inNamespace ?? "", name ?? "");

    public Task RunAsync()
    {
        if (!AcceptsJson())
            return FailAsync(406, "NotAcceptable", $"only the following media types are accepted: {Json}");
        if (context.Request.Query.ContainsKey("dryRun"))
            return FailAsync(400, "BadRequest", "dryRun is not supported yet: nothing was done");

        bool namespaceMissing = type.Namespaced && inNamespace is null;
        return (context.Request.Method, name, subresource) switch
        {
            ("GET", null, null) => IsTrue("watch") ? WatchAsync() : ListAsync(),
            ("GET", not null, null or "status") => GetAsync(),
            ("POST", null, null) when namespaceMissing => FailAsync(400, "BadRequest", "an empty namespace may not be set during creation"),
            ("POST", null, null) => CreateAsync(),
            ("PUT", not null, null or "status") => UpdateAsync(),
            ("PATCH", not null, null or "status") => PatchAsync(),
            ("DELETE", not null, null) => DeleteAsync(),
            ("PUT" or "PATCH", null, null) => FailAsync(400, "BadRequest", "name must be provided"),
            _ => NotAllowedAsync(),
        };
    }

    private Task NotAllowedAsync()
    {
        context.Response.Headers.Allow = (name, subresource) switch
        {
            (null, _) => "GET, POST",
            (_, null) => "GET, PUT, PATCH, DELETE",
            _ => "GET, PUT, PATCH",
        };
        return FailAsync(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
    }

    private async Task GetAsync() => await Respond.ObjectAsync(context, await requests.GetAsync(type, Id, Aborted));

    private async Task ListAsync()
    {
        ResourceList<Resource> list = await requests.ListAsync(type, Query(), Aborted);
        await Respond.ListAsync(context, type, list.Items, list.ResourceVersion);
    }

    private async Task CreateAsync()
    {
        if (await ReadBodyAsync(Json, Yaml) is not { } body)
            return;
        Resource given = Parse(body);
        await Respond.ObjectAsync(context, await requests.CreateAsync(type, given, Aborted), StatusCodes.Status201Created);
    }

    private async Task UpdateAsync()
    {
        if (await ReadBodyAsync(Json, Yaml) is not { } body)
            return;
        Resource given = Parse(body);
        if (given.Metadata.Name != name)
            throw new ResourceException(ResourceErrorReason.BadRequest, $"the name of the object ({given.Metadata.Name}) does not match the name on the URL ({name})");
        Resource updated = subresource is null
            ? await requests.UpdateAsync(type, given, Aborted)
            : await requests.UpdateStatusAsync(type, given, Aborted);
        await Respond.ObjectAsync(context, updated);
    }

    private async Task PatchAsync()
    {
        if (await ReadBodyAsync(Merge) is not { } body)
            return;
        JsonElement patch = ParseJson(body);
        await Respond.ObjectAsync(context, await requests.MergePatchAsync(type, Id, patch, subresource, IgnoreUnknown(), Aborted));
    }

    private async Task DeleteAsync()
    {
        DeleteOptionsBody options = new();
        if (context.Request.ContentLength is > 0 || context.Request.Headers.TransferEncoding.Count > 0)
        {
            if (await ReadBodyAsync(Json) is not { } body)
                return;
            try
            {
                options = body.Length == 0 ? options : JsonSerializer.Deserialize(body, StatusJsonContext.Default.DeleteOptionsBody) ?? options;
            }
            catch (JsonException)
            {
                throw new ResourceException(ResourceErrorReason.BadRequest, "the body of a DELETE is a DeleteOptions object");
            }
        }

        if (options.DryRun is { Count: > 0 })
            throw new ResourceException(ResourceErrorReason.BadRequest, "dryRun is not supported yet: nothing was done");

        Resource last = await requests.DeleteAsync(type, Id, options.Preconditions?.ResourceVersion, options.Preconditions?.Uid, Aborted);
        if (last.Metadata is { DeletionTimestamp: not null, Finalizers.Count: > 0 })
        {
            await Respond.ObjectAsync(context, last);
            return;
        }

        StatusDetails details = new() { Name = name, Group = "universe.ai", Kind = type.Plural, Uid = last.Metadata.Uid };
        await Respond.StatusAsync(context, new StatusBody { Status = "Success", Details = details });
    }

    /// <summary>
    /// Streams changes until the client leaves, <c>timeoutSeconds</c> is over or the history no longer reaches back (a last line of type ERROR). Without a
    /// version the current objects come first, as ADDED.
    /// </summary>
    private async Task WatchAsync()
    {
        bool bookmarks = IsTrue("allowWatchBookmarks");
        string from = Text("resourceVersion") ?? "";
        ResourceList<Resource>? initial = from is "" or "0" ? await requests.ListAsync(type, Query(), Aborted) : null;
        using CancellationTokenSource timeout = new(Timeout() ?? System.Threading.Timeout.InfiniteTimeSpan, store.Options.TimeProvider);
        // A watch has no end of its own, so it must not make the server's stop wait for it.
        CancellationToken stopping = context.RequestServices.GetService<IHostApplicationLifetime>()?.ApplicationStopping ?? CancellationToken.None;
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(Aborted, timeout.Token, stopping);
        await using IAsyncEnumerator<WatchEvent<Resource>> changes =
            requests.WatchAsync(type, Query(), initial?.ResourceVersion ?? from, end.Token).GetAsyncEnumerator(end.Token);
        try
        {
            // Started first: it throws for what the principal may not watch, while a status code can still be sent.
            Task<bool> next = changes.MoveNextAsync().AsTask();
            if (next.IsFaulted)
                await next;

            context.Response.ContentType = Json;
            await context.Response.StartAsync(end.Token);
            await context.Response.Body.FlushAsync(end.Token);
            foreach (Resource item in initial?.Items ?? [])
                await Respond.EventAsync(context, "ADDED", ResourceJson.Serialize(item), end.Token);

            while (await next)
            {
                WatchEvent<Resource> change = changes.Current;
                if (change.Type != WatchEventType.Bookmark)
                    await Respond.EventAsync(context, change.Type.ToString().ToUpperInvariant(), ResourceJson.Serialize(change.Resource), end.Token);
                else if (bookmarks)
                    await Respond.EventAsync(context, "BOOKMARK", Bookmark(change.Resource), end.Token);
                next = changes.MoveNextAsync().AsTask();
            }
        }
        catch (ResourceException e) when (context.Response.HasStarted || e.Reason == ResourceErrorReason.Gone)
        {
            context.Response.ContentType = Json;
            byte[] status = JsonSerializer.SerializeToUtf8Bytes(StatusBody.Of(e, null, null), StatusJsonContext.Default.StatusBody);
            await Respond.EventAsync(context, "ERROR", status, end.Token);
        }
        catch (OperationCanceledException) when (end.IsCancellationRequested)
        {
            // The client left or its time is over: the stream simply ends.
        }
    }

    private byte[] Bookmark(Resource resource)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream))
        {
            writer.WriteStartObject();
            writer.WriteString("kind", type.Kind);
            writer.WriteString("apiVersion", Resource.GroupVersion);
            writer.WriteStartObject("metadata");
            writer.WriteString("resourceVersion", resource.Metadata.ResourceVersion);
            writer.WriteEndObject();
            writer.WriteEndObject();
        }

        return stream.ToArray();
    }

    private Resource Parse(byte[] body)
    {
        Resource given = ManifestReader.ReadOne(body, type, inNamespace ?? "", store.Limits, IgnoreUnknown());
        return given.Metadata.Namespace == (inNamespace ?? "")
            ? given
            : throw new ResourceException(ResourceErrorReason.BadRequest, "the namespace of the provided object does not match the namespace sent on the request");
    }

    private static JsonElement ParseJson(byte[] body)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(body, new JsonDocumentOptions { AllowDuplicateProperties = false, MaxDepth = 64 });
            return document.RootElement.Clone();
        }
        catch (JsonException e)
        {
            throw new ResourceException(ResourceErrorReason.BadRequest, $"the patch is not valid JSON (line {e.LineNumber + 1}): duplicate fields and more than 64 levels are refused");
        }
    }

    /// <summary>The body, bounded; null when a 415 was sent.</summary>
    private async Task<byte[]?> ReadBodyAsync(params string[] mediaTypes)
    {
        string given = MediaTypeHeaderValue.TryParse(context.Request.ContentType, out MediaTypeHeaderValue? header) ? header.MediaType.ToString() : "";
        if (!mediaTypes.Contains(given, StringComparer.OrdinalIgnoreCase))
        {
            await FailAsync(415, "UnsupportedMediaType",
                $"the body of the request was in an unknown format - accepted media types include: {string.Join(", ", mediaTypes)}");
            return null;
        }

        if (context.Request.ContentLength > MaxBodyBytes)
            throw TooLarge();
        using MemoryStream body = new();
        byte[] buffer = new byte[16 * 1024];
        int read;
        while ((read = await context.Request.Body.ReadAsync(buffer, Aborted)) > 0)
        {
            if (body.Length + read > MaxBodyBytes)
                throw TooLarge();
            body.Write(buffer, 0, read);
        }

        return body.ToArray();

        static ResourceException TooLarge() => new(ResourceErrorReason.TooLarge, $"the body is larger than {MaxBodyBytes} bytes");
    }

    private ResourceQuery Query() => new()
    {
        Namespace = inNamespace ?? (type.Namespaced ? null : ""),
        LabelSelector = Text("labelSelector"),
        FieldSelector = Text("fieldSelector"),
    };

    private bool IgnoreUnknown() => Text("fieldValidation") switch
    {
        null or "" or "Strict" => false,
        "Ignore" => true,
        _ => throw new ResourceException(ResourceErrorReason.BadRequest, "fieldValidation: supported values: Strict (the default), Ignore"),
    };

    private TimeSpan? Timeout()
    {
        if (Text("timeoutSeconds") is not { } text)
            return null;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int seconds) && seconds is > 0 and <= 86_400
            ? TimeSpan.FromSeconds(seconds)
            : throw new ResourceException(ResourceErrorReason.BadRequest, "timeoutSeconds: a whole number from 1 to 86400 is due");
    }

    private bool AcceptsJson()
    {
        string accept = context.Request.Headers.Accept.ToString();
        return accept.Length == 0 || accept.Contains("*/*", StringComparison.Ordinal)
            || accept.Contains(Json, StringComparison.OrdinalIgnoreCase) || accept.Contains("application/*", StringComparison.OrdinalIgnoreCase);
    }

    private bool IsTrue(string key) => Text(key) is "1" or "true" or "True";

    private string? Text(string key) => context.Request.Query.TryGetValue(key, out Microsoft.Extensions.Primitives.StringValues value) ? value.ToString() : null;

    private Task FailAsync(int code, string reason, string message) => Respond.StatusAsync(context, StatusBody.Failure(code, reason, message));
}
