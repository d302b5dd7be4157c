using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Applying;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Objects;

internal sealed partial class ObjectPipeline
{
    /// <summary>Random ends of generated names: no vowels, so that no words come about, and no digits that look like letters.</summary>
    private const string NameAlphabet = "bcdfghjklmnpqrstvwxz2456789";
    private const int NameRandom = 5;
    private const int MaxGeneratedBase = 63 - NameRandom;
    private const int GenerateAttempts = 8;

    /// <summary>Creates. The document is the pipeline's to change.</summary>
    public async Task<WriteResult> CreateAsync(ObjectRequest request, JsonObject given, IReadOnlyList<string> duplicates, CancellationToken cancellationToken)
    {
        Address(request, given);
        JsonObject metadata = Metadata(given);
        if (Text(metadata, "resourceVersion").Length > 0)
            throw ApiErrors.BadRequest("resourceVersion should not be set on objects to be created");

        Prune(request, given, duplicates);
        await RequireNamespaceAsync(request, Text(metadata, "name"), cancellationToken);
        string generate = Text(metadata, "name").Length == 0 ? Text(metadata, "generateName") : "";
        for (int attempt = 1; ; attempt++)
        {
            JsonObject next = (JsonObject)given.DeepClone();
            if (generate.Length > 0)
                Metadata(next)["name"] = Generated(generate);
            PrepareCreate(request, next, tracks: true);
            string name = Text(Metadata(next), "name");
            DocumentTemplate template = Stored(request, next);
            DocumentKey key = Key(request, name);
            if (request.DryRun)
            {
                if (await store.FindAsync(key, cancellationToken) is not null)
                    throw ApiErrors.AlreadyExists(request.Kind.Kind, name);
                return new WriteResult(template.WithoutVersion(), Created: true);
            }

            switch (await store.CommitAsync(Mutation(request, key, "create", 0, next, template, removes: false), cancellationToken))
            {
                case CommitOutcome.Committed committed:
                    return new WriteResult(committed.Document.Body, Created: true);
                case CommitOutcome.NamespaceMissing:
                    throw ApiErrors.NotFound("", "namespaces", key.Namespace);
                case CommitOutcome.NamespaceTerminating:
                    throw Terminating(request, name);
                case CommitOutcome.Stale when generate.Length == 0:
                    throw ApiErrors.AlreadyExists(request.Kind.Kind, name);
                case CommitOutcome.Stale when attempt >= GenerateAttempts:
                    throw ApiErrors.GeneratedNameTaken(request.Kind.Kind, generate);
            }
        }
    }

    /// <summary>What the server alone writes, defaults, rules and owners of fields of a new object.</summary>
    private void PrepareCreate(ObjectRequest request, JsonObject next, bool tracks)
    {
        JsonObject metadata = Metadata(next);
        metadata.Remove("deletionTimestamp");
        metadata.Remove("deletionGracePeriodSeconds");
        metadata.Remove("selfLink");
        metadata.Remove("resourceVersion");
        metadata["uid"] = Guid.NewGuid().ToString();
        metadata["creationTimestamp"] = NowText();
        if (request.Kind.Kind.HasGeneration)
            metadata["generation"] = 1;
        else
            metadata.Remove("generation");
        if (request.Kind.Kind.HasStatus)
            next.Remove("status");
        UniverseAdmission.Begin(request, next);
        Default(request, next);
        if (request.Kind.Kind.HasStatus && !request.Kind.Custom)
            BlankStatus.Fill(next, request.Kind.Kind);
        Validate(request, next, old: null);
        UniverseAdmission.Create(request, next);
        if (!tracks)
            return;
        // A namespace's own finalizer is the server's and not its maker's.
        JsonNode? own = request.Kind.IsNamespace && next["spec"] is JsonObject { Count: 1 } spec ? Copy(spec["finalizers"]) : null;
        if (own is not null)
            next["spec"] = new JsonObject();
        ManagedFields.Track(null, next, request.Kind.Kind.Schema, Tracked(request));
        if (own is not null)
            next["spec"] = new JsonObject { ["finalizers"] = own };
    }

    /// <summary>apiVersion, kind and namespace are the request's; what the document says of them must agree.</summary>
    private static void Address(ObjectRequest request, JsonObject given)
    {
        JsonObject metadata = Metadata(given);
        string inDocument = Text(metadata, "namespace");
        if (!request.Kind.Kind.Namespaced)
        {
            metadata.Remove("namespace");
        }
        else if (inDocument.Length == 0)
        {
            metadata["namespace"] = request.Namespace;
        }
        else if (inDocument != request.Namespace)
        {
            throw ApiErrors.BadRequest("the namespace of the provided object does not match the namespace sent on the request");
        }
    }

    /// <summary>Early, so that a missing namespace is told before anything else; the commit checks it again.</summary>
    private async Task RequireNamespaceAsync(ObjectRequest request, string name, CancellationToken cancellationToken)
    {
        if (!options.RequireNamespaces || !request.Kind.Kind.Namespaced)
            return;
        StoredDocument? found = await store.FindAsync(new DocumentKey(new KindKey("", "namespaces"), "", request.Namespace), cancellationToken);
        if (found is null)
            throw ApiErrors.NotFound("", "namespaces", request.Namespace);
        if (new DocumentView(found.Key, found.Body).Field(".metadata.deletionTimestamp").Length > 0)
            throw Terminating(request, name);
    }

    private static string Generated(string generateName) =>
        string.Concat(generateName.AsSpan(0, Math.Min(generateName.Length, MaxGeneratedBase)), RandomNumberGenerator.GetString(NameAlphabet, NameRandom));
}
