using System.Buffers;
using System.IO.Pipelines;
using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Rynxs.ResourceServer.Faults;
using Rynxs.ResourceServer.Listing;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;
using Rynxs.ResourceServer.Tables;
using Rynxs.ResourceServer.Watching;
using Rynxs.Resources.Client;

namespace Rynxs.ResourceServer.Http;

/// <summary>
/// Streams changes, a JSON object a line, until the client leaves, <c>timeoutSeconds</c> is over, or the history no longer reaches back: then the last line is an ERROR.
/// A client that reads slowly is waited for; it costs its place in the history and nothing else.
/// </summary>
internal sealed class WatchEndpoint(HttpContext context, ResourceApiState state, ObjectRequest request, ApiQuery query, MediaType media, IReadOnlyList<Fault> faults)
{
    private static readonly TimeSpan ShortestDefault = TimeSpan.FromMinutes(30);

    /// <summary>So much of what was written may wait to be sent, and one event more: a client that does not read costs no more memory than this.</summary>
    private const int MaxUnsentBytes = 64 * 1024;

    private readonly TableWriter? _tables = media.Form == Presentation.Table ? new TableWriter(request.Kind, query.IncludeObject, state.Store.Options.TimeProvider) : null;
    private readonly int _cutAfter = faults.OfType<Fault.CutWatch>().Select(fault => fault.AfterEvents).FirstOrDefault(-1);
    private readonly int _expireAfter = faults.OfType<Fault.ExpireWatch>().Select(fault => fault.AfterEvents).FirstOrDefault(-1);
    private bool _definitionsSent;
    private int _events;
    private long _bookmarked = -1;

    public async Task RunAsync()
    {
        query.List(); // refuses options that exclude each other
        using IDisposable slot = state.OpenWatch(request.Principal.Name);
        string? inNamespace = request.Kind.Kind.Namespaced && request.Namespace.Length > 0 ? request.Namespace : null;
        ObjectSelection selection = new(request.Principal, request.Kind, inNamespace, query.LabelSelector, query.FieldSelector);
        string version = query.ResourceVersion ?? "";
        long asked = version.Length == 0 ? 0 : ListReader.Version(version);
        bool initial = query.SendInitialEvents ?? version is "" or "0";

        TimeProvider time = state.Store.Options.TimeProvider;
        TimeSpan lifetime = query.TimeoutSeconds is { } seconds and > 0
            ? TimeSpan.FromSeconds(Math.Min(seconds, 86_400))
            : ShortestDefault + TimeSpan.FromSeconds(Random.Shared.Next((int)ShortestDefault.TotalSeconds));
        using CancellationTokenSource timeout = new(lifetime, time);
        // A watch has no end of its own, so it must not make the server's stop wait for it.
        CancellationToken stopping = context.RequestServices.GetService<IHostApplicationLifetime>()?.ApplicationStopping ?? CancellationToken.None;
        using CancellationTokenSource end = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, timeout.Token, stopping, state.Store.Closing);

        // It joins before the list is read, so that what is committed in between is kept for it.
        using IDisposable membership = state.Store.Documents.Feeds.Of(request.Kind.Key).Join();
        ListReader? present = null;
        IReadOnlyList<StoredDocument>? first = null;
        if (initial)
        {
            present = new ListReader(state.Store.Documents, request.Kind, selection, new ListOptions { ResourceVersion = asked > 0 ? version : null, ResourceVersionMatch = asked > 0 ? "NotOlderThan" : null });
            first = await present.NextAsync(end.Token);
        }

        context.Features.Get<IHttpResponseBodyFeature>()?.DisableBuffering();
        context.Response.ContentType = media.ContentType;
        await context.Response.StartAsync(end.Token);
        PipeWriter output = context.Response.BodyWriter;
        await SendAsync(output, end.Token);
        ObjectWatch? watch = null;
        try
        {
            while (present is not null && first is not null)
            {
                foreach (StoredDocument item in first)
                {
                    if (!Event(output, "ADDED", item.Body))
                        return;
                    if (output.UnflushedBytes > MaxUnsentBytes)
                        await SendAsync(output, end.Token);
                }

                await SendAsync(output, end.Token);
                first = await present.NextAsync(end.Token);
            }

            long from = present?.ListVersion ?? asked;
            if (initial && query.SendInitialEvents == true && query.Bookmarks)
            {
                Bookmark(output, from, initialEnd: true);
                await SendAsync(output, end.Token);
            }

            watch = new ObjectWatch(state.Store.Documents, request.Kind, selection, from, time);
            await FollowAsync(watch, output, end.Token);
        }
        catch (ResourceException e)
        {
            await ErrorAsync(output, ApiErrors.Of(e), end.Token);
        }
        catch (ApiException e)
        {
            await ErrorAsync(output, e.Status, end.Token);
        }
        catch (OperationCanceledException) when (end.IsCancellationRequested)
        {
            // The client left, or its time is over. Then it is told how far it came, so that it need not look at the same again.
            if (timeout.IsCancellationRequested && watch is not null && query.Bookmarks && watch.Cursor > _bookmarked && watch.Cursor > asked && !context.RequestAborted.IsCancellationRequested)
            {
                Bookmark(output, watch.Cursor, initialEnd: false);
                await output.FlushAsync(context.RequestAborted);
            }
        }
        finally
        {
            watch?.Dispose();
        }
    }

    private async Task FollowAsync(ObjectWatch watch, PipeWriter output, CancellationToken end)
    {
        while (true)
        {
            if (_expireAfter >= 0 && _events >= _expireAfter)
                throw ApiErrors.Expired($"too old resource version: {watch.Cursor} ({watch.Cursor + 1})");
            IReadOnlyList<WatchedChange> changes = await watch.NextAsync(state.Store.Options.BookmarkInterval, end);
            foreach (WatchedChange change in changes)
            {
                string type = change.Type switch
                {
                    WatchEventType.Added => "ADDED",
                    WatchEventType.Modified => "MODIFIED",
                    _ => "DELETED",
                };
                if (!Event(output, type, change.Body))
                    return;
                if (output.UnflushedBytes > MaxUnsentBytes)
                    await SendAsync(output, end);
            }

            if (changes.Count == 0 && query.Bookmarks)
                Bookmark(output, watch.Cursor, initialEnd: false);
            await SendAsync(output, end);
        }
    }

    /// <summary>
    /// Sends what was written. A client that does not take it within its time is cut off: the listener's own limit grows with what is unsent, so that one who
    /// never reads would keep its place for hours.
    /// </summary>
    private async Task SendAsync(PipeWriter output, CancellationToken end)
    {
        ValueTask<FlushResult> sent = output.FlushAsync(end);
        if (sent.IsCompletedSuccessfully)
        {
            _ = sent.Result;
            return;
        }

        using CancellationTokenSource late = new(state.Options.WatchSendTimeout, state.Store.Options.TimeProvider);
        await using CancellationTokenRegistration cut = late.Token.Register(context.Abort);
        await sent;
    }

    /// <summary>False when a test wants the watch to end here.</summary>
    private bool Event(PipeWriter output, string type, byte[] body)
    {
        if (_cutAfter >= 0 && _events >= _cutAfter)
        {
            context.Abort();
            return false;
        }

        _events++;
        switch (media.Form)
        {
            case Presentation.Table:
                JsonObject metadata = new() { ["resourceVersion"] = ObjectPipeline.Text(ObjectPipeline.Metadata(DocumentText.Parse(body)), "resourceVersion") };
                Line(output, type, DocumentText.Bytes(_tables?.Table([body], metadata, definitions: !_definitionsSent)));
                _definitionsSent = true;
                break;
            case Presentation.PartialMetadata:
                Line(output, type, DocumentText.Bytes(TableWriter.Partial(body)));
                break;
            default:
                Line(output, type, request.Kind.Present(body));
                break;
        }

        return true;
    }

    private void Bookmark(PipeWriter output, long version, bool initialEnd)
    {
        _bookmarked = version;
        JsonObject metadata = [];
        if (initialEnd)
            metadata["annotations"] = new JsonObject { ["k8s.io/initial-events-end"] = "true" };
        metadata["resourceVersion"] = ResourceStore.Text(version);
        JsonObject carrier = media.Form switch
        {
            Presentation.Table => new JsonObject { ["kind"] = "Table", ["apiVersion"] = "meta.k8s.io/v1", ["metadata"] = metadata, ["columnDefinitions"] = null, ["rows"] = new JsonArray() },
            Presentation.PartialMetadata => new JsonObject { ["kind"] = "PartialObjectMetadata", ["apiVersion"] = "meta.k8s.io/v1", ["metadata"] = metadata },
            _ => new JsonObject { ["kind"] = request.Kind.Kind.Kind, ["apiVersion"] = request.Kind.Kind.ApiVersion, ["metadata"] = metadata },
        };
        Line(output, "BOOKMARK", DocumentText.Bytes(carrier));
    }

    private static async Task ErrorAsync(PipeWriter output, ApiStatus status, CancellationToken cancellationToken)
    {
        Line(output, "ERROR", status.ToJson());
        await output.FlushAsync(cancellationToken);
    }

    private static void Line(PipeWriter output, string type, ReadOnlySpan<byte> body)
    {
        output.Write("{\"type\":\""u8);
        output.Write(System.Text.Encoding.ASCII.GetBytes(type));
        output.Write("\",\"object\":"u8);
        output.Write(body);
        output.Write("}\n"u8);
    }
}
