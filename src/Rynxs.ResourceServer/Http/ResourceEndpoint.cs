using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Http;
using Rynxs.ResourceServer.Faults;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;
using Rynxs.ResourceServer.Tables;
using Rynxs.Resources.Identity;

namespace Rynxs.ResourceServer.Http;

/// <summary>One request for objects of a kind: what it asks, whether it may, and the answer.</summary>
internal sealed class ResourceEndpoint(HttpContext context, ResourceApiState state, ResponseWriter response, ApiRoute route, Principal principal)
{
    private static readonly KindKey Definitions = new("apiextensions.k8s.io", "customresourcedefinitions");

    private readonly ApiQuery _query = new(context.Request.Query);
    private readonly KindSet _kinds = state.Store.Kinds.Current;

    private CancellationToken Aborted => context.RequestAborted;

    private ObjectPipeline Pipeline => state.Store.Pipeline;

    public async Task RunAsync()
    {
        if (_kinds.Find(route.Group, route.Version, route.Plural ?? "") is not { } kind || !Fits(kind))
        {
            await NotServedAsync();
            return;
        }

        bool scale = route.Subresource == "scale" && kind.Kind.Scale is not null;
        if (route.Subresource is not null && !scale && !(route.Subresource == "status" && kind.Kind.HasStatus) && !(route.Subresource == "finalize" && kind.IsNamespace))
        {
            await response.StatusAsync(new ApiStatus { Code = 404, Reason = "NotFound", Message = "the server could not find the requested resource", Details = new ApiStatusDetails() });
            return;
        }

        string verb = Verb(kind);
        ObjectRequest request = new()
        {
            Principal = principal,
            Kinds = _kinds,
            Kind = kind,
            Namespace = route.Namespace ?? "",
            Name = route.Name ?? "",
            Subresource = route.Subresource,
        };
        Authorise(request, verb);
        if (await FaultAsync(verb, request) is not { } faults)
            return;

        if (MediaType.Negotiate(context.Request.Headers.Accept.ToString()) is not { } media)
            throw ApiErrors.Plain(406, "NotAcceptable", "only the following media types are accepted: application/json, application/yaml");
        switch (verb)
        {
            case "get":
                StoredDocument stored = await Pipeline.GetAsync(request, Aborted);
                await ObjectAsync(request, media, scale ? DocumentText.Bytes(ScaleDocument.Of(kind, stored)) : kind.Present(stored.Body), StatusCodes.Status200OK, faults);
                break;
            case "list":
                await new ListEndpoint(state, response, request, _query, media).RunAsync(Aborted);
                break;
            case "watch":
                await new WatchEndpoint(context, state, request, _query, media, faults).RunAsync();
                break;
            case "create":
                await CreateAsync(request, media, faults);
                break;
            case "update":
                await UpdateAsync(request, media, scale, faults);
                break;
            case "patch":
                await PatchAsync(request, media, scale, faults);
                break;
            case "delete":
                await DeleteAsync(request, media, faults);
                break;
            default:
                await new CollectionDeletion(state, response, request, _query, await DeleteOptionsAsync(), media).RunAsync(Aborted);
                break;
        }
    }

    /// <summary>Admission is said by name: an object that promises to guard others and is never asked would be worse than none.</summary>
    private Task NotServedAsync() => route.Group != "admissionregistration.k8s.io"
        ? response.TextAsync(404, "404 page not found\n")
        : response.StatusAsync(new ApiStatus
        {
            Code = 404,
            Reason = "NotFound",
            Message = "this server calls no admission webhooks and evaluates no admission policies, so it keeps none: an object of this kind would be stored and guard nothing (docs/api.md)",
            Details = new ApiStatusDetails { Group = route.Group, Kind = route.Plural },
        });

    /// <summary>A namespaced kind is addressed with its namespace but for lists over all of them; a cluster-scoped kind never is.</summary>
    private bool Fits(RegisteredKind kind) => kind.Kind.Namespaced ? route.Namespace is not null || route.Name is null : route.Namespace is null;

    private string Verb(RegisteredKind kind)
    {
        string method = context.Request.Method;
        string? verb = (method, route.Name, route.Subresource) switch
        {
            ("GET" or "HEAD", null, null) => _query.Watch ? "watch" : "list",
            // The old way of watching one object: the query asks for it, and its name is a field selector.
            // Finalizers of a namespace are written and not read; they stand in the object.
            ("PUT", not null, "finalize") => "update",
            (_, _, "finalize") => null,
            ("GET" or "HEAD", not null, _) => "get",
            ("POST", null, null) => "create",
            ("PUT", not null, _) => "update",
            ("PATCH", not null, _) => "patch",
            ("DELETE", not null, null) => "delete",
            ("DELETE", null, null) => "deletecollection",
            _ => null,
        };
        if (method is "PUT" or "PATCH" && route.Name is null && kind.Custom)
            throw ApiErrors.BadRequest("name must be provided");
        if (verb is null || (route.Subresource is null && !kind.Kind.Verbs.Contains(verb)) || (verb == "deletecollection" && kind.Kind.Namespaced && route.Namespace is null)
            || (verb == "create" && kind.Kind.Namespaced && route.Namespace is null))
        {
            context.Response.Headers.Allow = route.Name is null ? "GET, POST, DELETE" : route.Subresource is null ? "GET, PUT, PATCH, DELETE" : route.Subresource == "finalize" ? "PUT" : "GET, PUT, PATCH";
            throw ApiErrors.Plain(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
        }

        return verb;
    }

    private void Authorise(ObjectRequest request, string verb)
    {
        bool everywhere = request.Kind.Kind.Namespaced && route.Namespace is null;
        switch (verb)
        {
            case "list":
                RequestAccess.AuthoriseMany(request, ResourceVerb.List, verb, everywhere);
                break;
            case "watch":
                RequestAccess.AuthoriseMany(request, ResourceVerb.Watch, verb, everywhere);
                break;
            case "deletecollection":
                RequestAccess.AuthoriseMany(request, ResourceVerb.DeleteCollection, verb, everywhere: false);
                break;
            default:
                RequestAccess.Authorise(request, verb switch
                {
                    "get" => ResourceVerb.Get,
                    "create" => ResourceVerb.Create,
                    "update" => ResourceVerb.Update,
                    "patch" => ResourceVerb.Patch,
                    "delete" => ResourceVerb.Delete,
                    _ => throw new System.Diagnostics.UnreachableException(),
                }, verb);
                break;
        }
    }

    /// <summary>What a test wants to go wrong; null when it has gone wrong already.</summary>
    private async Task<IReadOnlyList<Fault>?> FaultAsync(string verb, ObjectRequest request)
    {
        if (state.Options.DangerousFaults is not { } injector)
            return [];
        FaultTarget target = new(verb, route.Group, route.Plural ?? "", route.Subresource ?? "", route.Namespace ?? "", route.Name ?? "", principal.Name);
        switch (injector.Take(target))
        {
            case null:
                return [];
            case Fault.Refuse refuse:
                await response.StatusAsync(FaultAnswers.Refusal(refuse));
                return null;
            case Fault.Conflict:
                throw ApiErrors.Modified(request.Kind.Kind, request.Name);
            case Fault.Delay delay:
                await Task.Delay(delay.Time, state.Store.Options.TimeProvider, Aborted);
                return [];
            case var later:
                return [later];
        }
    }

    private async Task CreateAsync(ObjectRequest request, MediaType media, IReadOnlyList<Fault> faults)
    {
        (bool dryRun, string manager, FieldValidation validation) = _query.Write("CreateOptions", apply: false, context.Request.Headers.UserAgent.ToString());
        (JsonObject document, IReadOnlyList<string> duplicates) = await BodyAsync(request.Kind);
        request = request with { DryRun = dryRun, FieldManager = manager, FieldValidation = validation };
        WriteResult result = await Pipeline.CreateAsync(request, document, duplicates, Aborted);
        if (request.Kind.Key == Definitions && !dryRun)
            await SettleAsync(result.Body);
        response.Warn(request.Warnings);
        await ObjectAsync(request, media, request.Kind.Present(result.Body), StatusCodes.Status201Created, faults);
    }

    private async Task UpdateAsync(ObjectRequest request, MediaType media, bool scale, IReadOnlyList<Fault> faults)
    {
        (bool dryRun, string manager, FieldValidation validation) = _query.Write("UpdateOptions", apply: false, context.Request.Headers.UserAgent.ToString());
        request = request with { DryRun = dryRun, FieldManager = manager, FieldValidation = validation };
        WriteResult result;
        if (scale)
        {
            byte[] body = await BodyReader.ReadAsync(context.Request, state.Options.MaxBodyBytes, Aborted);
            JsonObject wanted = ScaleDocument.Read(body, BodyReader.MediaTypeOf(context.Request), request);
            result = await ScaleDocument.UpdateAsync(Pipeline, request, wanted, Aborted);
        }
        else
        {
            (JsonObject document, IReadOnlyList<string> duplicates) = await BodyAsync(request.Kind);
            result = await Pipeline.UpdateAsync(request, document, duplicates, Aborted);
        }

        await ChangedAsync(request, media, scale, result, StatusCodes.Status200OK, faults);
    }

    private async Task PatchAsync(ObjectRequest request, MediaType media, bool scale, IReadOnlyList<Fault> faults)
    {
        string type = BodyReader.MediaTypeOf(context.Request);
        string[] accepted = request.Kind.Kind.Strategic && !request.Kind.Custom
            ? ["application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"]
            : ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
        if (!accepted.Contains(type))
            throw BodyReader.Unsupported(accepted);

        bool apply = type == "application/apply-patch+yaml";
        byte[] body = await BodyReader.ReadAsync(context.Request, state.Options.MaxBodyBytes, Aborted);
        (bool dryRun, string manager, FieldValidation validation) = _query.Write("PatchOptions", apply, context.Request.Headers.UserAgent.ToString());
        request = request with { DryRun = dryRun, FieldManager = manager, FieldValidation = validation };
        (PatchDocument patch, IReadOnlyList<string> duplicates) = PatchBody.Read(body, type, request, _query.Force, scale);
        WriteResult result = scale
            ? await ScaleDocument.PatchAsync(Pipeline, request, patch, Aborted)
            : await Pipeline.PatchAsync(request, patch, duplicates, Aborted);
        await ChangedAsync(request, media, scale, result, result.Created ? StatusCodes.Status201Created : StatusCodes.Status200OK, faults);
    }

    private async Task ChangedAsync(ObjectRequest request, MediaType media, bool scale, WriteResult result, int code, IReadOnlyList<Fault> faults)
    {
        if (request.Kind.Key == Definitions && !request.DryRun)
            await SettleAsync(result.Body);
        response.Warn(request.Warnings);
        byte[] body = scale ? DocumentText.Bytes(ScaleDocument.Of(request.Kind, DocumentText.Parse(result.Body))) : request.Kind.Present(result.Body);
        await ObjectAsync(request, media, body, code, faults);
    }

    private async Task DeleteAsync(ObjectRequest request, MediaType media, IReadOnlyList<Fault> faults)
    {
        DeleteOptions how = await DeleteOptionsAsync();
        WriteResult result = await Pipeline.DeleteAsync(request, how, Aborted);
        if (result.Removed && !request.Kind.ReturnsDeleted)
        {
            if (await DroppedAsync(faults))
                return;
            JsonObject metadata = ObjectPipeline.Metadata(DocumentText.Parse(result.Body));
            await response.StatusAsync(new ApiStatus
            {
                Code = StatusCodes.Status200OK,
                Details = new ApiStatusDetails { Name = request.Name, Group = route.Group, Kind = route.Plural, Uid = ObjectPipeline.Text(metadata, "uid") },
            });
            return;
        }

        await ObjectAsync(request, media, request.Kind.Present(result.Body), StatusCodes.Status200OK, faults);
    }

    /// <summary>From the body and the query; the body goes first.</summary>
    private async Task<DeleteOptions> DeleteOptionsAsync()
    {
        byte[] body = await BodyReader.ReadAsync(context.Request, state.Options.MaxBodyBytes, Aborted);
        DeleteOptions options = new();
        if (body.Length > 0)
        {
            string type = BodyReader.MediaTypeOf(context.Request);
            BodyDocument read = type switch
            {
                "application/json" or "" => BodyReader.Parse(body, why => $"the body of a DELETE is a DeleteOptions object: {why}"),
                "application/yaml" => BodyReader.ParseYaml(body, why => $"the body of a DELETE is a DeleteOptions object: {why}"),
                _ => throw BodyReader.Unsupported(),
            };
            options = DeleteOptions.Read(read.Document as JsonObject ?? throw ApiErrors.BadRequest("the body of a DELETE is a DeleteOptions object"));
        }

        (bool dryRun, _, _) = _query.Write("DeleteOptions", apply: false, "");
        return options with
        {
            DryRun = options.DryRun || dryRun,
            Propagation = options.Propagation ?? DeleteOptions.Policy(_query.PropagationPolicy) ?? (_query.OrphanDependents is { } orphan ? orphan ? Propagation.Orphan : Propagation.Background : null),
            GracePeriodSeconds = options.GracePeriodSeconds ?? _query.GracePeriodSeconds,
        };
    }

    private async Task<(JsonObject Document, IReadOnlyList<string> Duplicates)> BodyAsync(RegisteredKind kind)
    {
        string type = BodyReader.MediaTypeOf(context.Request);
        if (type is not ("application/json" or "application/yaml" or ""))
            throw BodyReader.Unsupported();
        byte[] body = await BodyReader.ReadAsync(context.Request, state.Options.MaxBodyBytes, Aborted);
        return BodyReader.ReadObject(body, type, kind);
    }

    /// <summary>A definition's kinds are served when its creation is answered; the answer is still the object as it was created.</summary>
    private Task<bool> SettleAsync(byte[] body) =>
        state.Store.Definitions.SettleAsync(ObjectPipeline.Text(ObjectPipeline.Metadata(DocumentText.Parse(body)), "name"), Aborted);

    private async Task ObjectAsync(ObjectRequest request, MediaType media, byte[] body, int code, IReadOnlyList<Fault> faults)
    {
        if (await DroppedAsync(faults))
            return;
        switch (media.Form)
        {
            case Presentation.Table when request.Subresource != "scale":
                JsonObject document = ObjectPipeline.Metadata(DocumentText.Parse(body));
                JsonObject metadata = [];
                if (ObjectPipeline.Text(document, "resourceVersion") is { Length: > 0 } version)
                    metadata["resourceVersion"] = version;
                await response.NodeAsync(new TableWriter(request.Kind, _query.IncludeObject, state.Store.Options.TimeProvider).Table([body], metadata), code, media.ContentType);
                break;
            case Presentation.PartialMetadata:
                await response.NodeAsync(TableWriter.Partial(body), code, media.ContentType);
                break;
            default:
                await response.BytesAsync(body, code, media.ContentType);
                break;
        }
    }

    private Task<bool> DroppedAsync(IReadOnlyList<Fault> faults)
    {
        if (!faults.Any(fault => fault is Fault.DropAnswer))
            return Task.FromResult(false);
        context.Abort();
        return Task.FromResult(true);
    }
}
