using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Listing;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;
using Rynxs.ResourceServer.Tables;

namespace Rynxs.ResourceServer.Http;

/// <summary>Deletes everything that a selector finds, one by one, and answers with the list of it.</summary>
internal sealed class CollectionDeletion(ResourceApiState state, ResponseWriter response, ObjectRequest request, ApiQuery query, DeleteOptions how, MediaType media)
{
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        string? inNamespace = request.Kind.Kind.Namespaced && request.Namespace.Length > 0 ? request.Namespace : null;
        ObjectSelection selection = new(request.Principal, request.Kind, inNamespace, query.LabelSelector, query.FieldSelector);
        ListReader reader = new(state.Store.Documents, request.Kind, selection, query.List());
        IReadOnlyList<StoredDocument> found = await reader.AllAsync(cancellationToken);
        foreach (StoredDocument item in found)
        {
            try
            {
                await state.Store.Pipeline.DeleteAsync(request with { Name = item.Key.Name, Namespace = item.Key.Namespace }, how, cancellationToken);
            }
            catch (ApiException e) when (e.Status.Code == 404)
            {
                // Another was faster: gone is gone.
            }
        }

        JsonArray items = [];
        foreach (StoredDocument item in found)
        {
            JsonObject document = DocumentText.Parse(request.Kind.Present(item.Body));
            if (!request.Kind.Custom)
            {
                document.Remove("apiVersion");
                document.Remove("kind");
            }

            items.Add((JsonNode)document);
        }

        JsonObject answer = media.Form == Presentation.Table
            ? new TableWriter(request.Kind, query.IncludeObject, state.Store.Options.TimeProvider).Table(found.Select(item => item.Body), ListEndpoint.Metadata(reader))
            : new JsonObject
            {
                ["kind"] = request.Kind.Kind.ListKind,
                ["apiVersion"] = request.Kind.Kind.ApiVersion,
                ["metadata"] = ListEndpoint.Metadata(reader),
                ["items"] = items,
            };
        await response.NodeAsync(answer, contentType: media.ContentType);
    }
}
