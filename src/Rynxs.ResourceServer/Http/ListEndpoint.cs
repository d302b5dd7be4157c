using System.Buffers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Listing;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;
using Rynxs.ResourceServer.Tables;

namespace Rynxs.ResourceServer.Http;

/// <summary>Answers a list: stored bytes go out as they are, piece by piece.</summary>
internal sealed class ListEndpoint(ResourceApiState state, ResponseWriter response, ObjectRequest request, ApiQuery query, MediaType media)
{
    private const int FlushBytes = 256 * 1024;

    public async Task RunAsync(CancellationToken cancellationToken)
    {
        ListOptions options = query.List();
        string? inNamespace = request.Kind.Kind.Namespaced && request.Namespace.Length > 0 ? request.Namespace : null;
        ObjectSelection selection = new(request.Principal, request.Kind, inNamespace, query.LabelSelector, query.FieldSelector);
        ListReader reader = new(state.Store.Documents, request.Kind, selection, options);
        if (media.Form == Presentation.Table)
        {
            IReadOnlyList<StoredDocument> all = await reader.AllAsync(cancellationToken);
            JsonObject table = new TableWriter(request.Kind, query.IncludeObject, state.Store.Options.TimeProvider).Table(all.Select(item => item.Body), Metadata(reader));
            await response.NodeAsync(table, contentType: media.ContentType);
            return;
        }

        await StreamAsync(reader, cancellationToken);
    }

    internal static JsonObject Metadata(ListReader reader)
    {
        JsonObject metadata = new() { ["resourceVersion"] = ResourceStore.Text(reader.ListVersion) };
        if (reader.Continue is { } token)
            metadata["continue"] = token;
        if (reader.Remaining is { } remaining and > 0)
            metadata["remainingItemCount"] = remaining;
        return metadata;
    }

    /// <summary>Head of a list in the real server's way: apiVersion, kind, then items, then metadata, which the last page alone knows.</summary>
    private async Task StreamAsync(ListReader reader, CancellationToken cancellationToken)
    {
        bool partial = media.Form == Presentation.PartialMetadata;
        // The first page is read before the answer begins: until then it can still be a refusal.
        IReadOnlyList<StoredDocument>? page = await reader.NextAsync(cancellationToken);
        response.Begin(media.ContentType);
        ArrayBufferWriter<byte> output = new(64 * 1024);
        output.Write("{\"kind\":"u8);
        Text(output, partial ? "PartialObjectMetadataList" : request.Kind.Kind.ListKind);
        output.Write(",\"apiVersion\":"u8);
        Text(output, partial ? "meta.k8s.io/v1" : request.Kind.Kind.ApiVersion);
        output.Write(",\"items\":["u8);
        bool first = true;
        while (page is not null)
        {
            foreach (StoredDocument item in page)
            {
                if (!first)
                    output.Write(","u8);
                first = false;
                Item(output, item, partial);
                if (output.WrittenCount >= FlushBytes)
                {
                    await response.PieceAsync(output.WrittenMemory);
                    output.ResetWrittenCount();
                }
            }

            page = await reader.NextAsync(cancellationToken);
        }

        JsonObject metadata = Metadata(reader);
        // The real server's lists of custom resources always have the field.
        if (request.Kind.Custom && !partial)
            metadata["continue"] = reader.Continue ?? "";
        output.Write("],\"metadata\":"u8);
        output.Write(DocumentText.Bytes(metadata));
        output.Write("}"u8);
        await response.PieceAsync(output.WrittenMemory);
        await response.EndAsync();
    }

    private void Item(ArrayBufferWriter<byte> output, StoredDocument item, bool partial)
    {
        if (partial)
        {
            output.Write(DocumentText.Bytes(TableWriter.Partial(item.Body)));
            return;
        }

        if (request.Kind.Custom)
        {
            output.Write(request.Kind.Present(item.Body));
            return;
        }

        // Items of a built-in list carry neither apiVersion nor kind: the list says it.
        output.Write("{"u8);
        output.Write(item.Body.AsSpan(item.Body.AsSpan().StartsWith(request.Kind.Head) ? request.Kind.Head.Length : DocumentText.HeadLength(item.Body)));
    }

    private static void Text(ArrayBufferWriter<byte> output, string text)
    {
        output.Write("\""u8);
        output.Write(JsonEncodedText.Encode(text).EncodedUtf8Bytes);
        output.Write("\""u8);
    }
}
