using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Applying;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Schemas;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Objects;

/// <summary>
/// From a request and the stored object to the next one, for every kind: names, defaults, rules, owners of fields, versions. It decides on what it read, and
/// decides again when another commit came first.
/// </summary>
internal sealed partial class ObjectPipeline(DocumentStore store, ResourceStoreOptions options)
{
    /// <summary>So often a request may lose against others before it is told to try again.</summary>
    private const int MaxAttempts = 64;

    private readonly UniverseAdmission _universe = new(options.TimeProvider);

    public DocumentStore Store => store;

    /// <summary>The object as it is stored.</summary>
    /// <exception cref="ApiException">404.</exception>
    public async Task<StoredDocument> GetAsync(ObjectRequest request, CancellationToken cancellationToken) =>
        await store.FindAsync(Key(request, request.Name), cancellationToken) ?? throw ApiErrors.NotFound(request.Kind.Kind, request.Name);

    /// <summary>The loop around every change of something that may exist.</summary>
    private async Task<WriteResult> ChangeAsync(
        ObjectRequest request, string name, string verb, Func<JsonObject?, StoredDocument?, Decision> decide, CancellationToken cancellationToken)
    {
        DocumentKey key = Key(request, name);
        for (int attempt = 0; attempt < MaxAttempts; attempt++)
        {
            StoredDocument? stored = await store.FindAsync(key, cancellationToken);
            JsonObject? live = stored is null ? null : Live(request.Kind, stored);
            Decision decision = decide(live, stored);
            if (decision is Decision.Keep)
                return new WriteResult(request.Kind.Present(stored!.Body)); // only what exists is kept
            (JsonObject next, bool removes) = decision switch
            {
                Decision.Put put => (put.Next, false),
                Decision.Remove remove => (remove.Last, true),
                _ => throw new System.Diagnostics.UnreachableException(),
            };
            DocumentTemplate template = Stored(request, next);
            if (request.DryRun)
                return new WriteResult(stored is null ? template.WithoutVersion() : template.WithVersion(stored.Version), Created: stored is null, Removed: removes);

            CommitOutcome outcome = await store.CommitAsync(Mutation(request, key, verb, stored?.Version ?? 0, next, template, removes), cancellationToken);
            switch (outcome)
            {
                case CommitOutcome.Committed committed:
                    return new WriteResult(committed.Document.Body, Created: stored is null, Removed: removes);
                case CommitOutcome.NamespaceMissing:
                    throw ApiErrors.NotFound("", "namespaces", key.Namespace);
                case CommitOutcome.NamespaceTerminating:
                    throw Terminating(request, name);
                case CommitOutcome.Stale:
                    continue;
                default:
                    throw new System.Diagnostics.UnreachableException();
            }
        }

        throw ApiErrors.Modified(request.Kind.Kind, name);
    }

    /// <summary>The document as it is stored. Mutates: what the version of the storage does not know is not kept.</summary>
    private static DocumentTemplate Stored(ObjectRequest request, JsonObject next)
    {
        if (request.Kind.Kind.StoredAs is { } stored)
        {
            next["apiVersion"] = stored.ApiVersion;
            SchemaPruner.Prune(next, stored.Schema);
        }

        return DocumentText.Serialize(next);
    }

    private Mutation Mutation(ObjectRequest request, DocumentKey key, string verb, long expected, JsonObject next, DocumentTemplate template, bool removes)
    {
        JsonObject metadata = Metadata(next);
        return new Mutation
        {
            Key = key,
            Expected = expected,
            Next = template,
            Removes = removes,
            Deleting = metadata["deletionTimestamp"] is not null,
            NeedsNamespace = expected == 0 && options.RequireNamespaces && request.Kind.Kind.Namespaced,
            Owners = [.. (metadata["ownerReferences"] as JsonArray ?? []).Select(owner => (string?)owner?["uid"] ?? "").Where(uid => uid.Length > 0).Distinct()],
            Uid = Text(metadata, "uid"),
            Principal = request.Principal.Name,
            Verb = verb,
            KindName = request.Kind.Kind.Kind,
        };
    }

    /// <summary>Drops what the kind does not know, and says so as the request asked.</summary>
    private static void Prune(ObjectRequest request, JsonObject document, IReadOnlyList<string> duplicates)
    {
        IReadOnlyList<string> unknown = SchemaPruner.Prune(document, request.Kind.Kind.Schema);
        string[] problems = [.. duplicates.Select(path => $"duplicate field \"{path}\""), .. unknown.Select(path => $"unknown field \"{path}\"")];
        if (problems.Length == 0)
            return;
        switch (request.FieldValidation)
        {
            case FieldValidation.Strict:
                throw ApiErrors.BadRequest(
                    $"{request.Kind.Kind.Kind} in version {ApiErrors.Quote(request.Kind.Kind.Version)} cannot be handled as a {request.Kind.Kind.Kind}: strict decoding error: {string.Join(", ", problems)}");
            case FieldValidation.Warn:
                request.Warnings.AddRange(problems);
                break;
        }
    }

    private static void Default(ObjectRequest request, JsonObject document)
    {
        // An empty map or list of metadata is none: the real server's types leave it out when they are written.
        JsonObject metadata = Metadata(document);
        foreach (string field in (ReadOnlySpan<string>)["labels", "annotations", "finalizers", "ownerReferences"])
        {
            if (metadata.ContainsKey(field) && metadata[field] is null or JsonObject { Count: 0 } or JsonArray { Count: 0 })
                metadata.Remove(field);
        }

        SchemaDefaulter.Default(document, request.Kind.Kind.Schema);
        request.Kind.Kind.ExtraDefaulting?.Invoke(document);
    }

    private static void Validate(ObjectRequest request, JsonObject document, JsonObject? old, IReadOnlyList<StatusCause>? before = null)
    {
        IReadOnlyList<StatusCause> causes = [.. before ?? [], .. KindValidator.Validate(request.Kind.Kind, document, old)];
        if (causes.Count > 0)
            throw ApiErrors.Invalid(request.Kind.Kind, Text(Metadata(document), "name"), causes);
    }

    private UpdateRequest Tracked(ObjectRequest request) => new()
    {
        Manager = request.FieldManager,
        ApiVersion = request.Kind.Kind.ApiVersion,
        Subresource = request.Subresource ?? "",
        Now = Now(),
        IgnoredPaths = ResetFields.Of(request.Kind.Kind, request.Subresource ?? ""),
        Blank = ResetFields.BlankOf(request.Kind.Kind),
        OtherVersions = version => request.Kinds.All.FirstOrDefault(kind => kind.Key == request.Kind.Key && kind.Kind.ApiVersion == version)?.Kind.Schema,
    };

    private static JsonObject Live(RegisteredKind kind, StoredDocument stored)
    {
        JsonObject live = DocumentText.Parse(stored.Body);
        kind.Convert(live);
        return live;
    }

    private static ApiException Terminating(ObjectRequest request, string name) => ApiErrors.Forbidden(request.Kind.Kind, name,
        $"unable to create new content in namespace {request.Namespace} because it is being terminated",
        new StatusCause("NamespaceTerminating", $"namespace {request.Namespace} is being terminated", "metadata.namespace"));

    /// <summary>Kubernetes times have whole seconds.</summary>
    private DateTimeOffset Now() => DateTimeOffset.FromUnixTimeSeconds(options.TimeProvider.GetUtcNow().ToUnixTimeSeconds());

    private string NowText() => Now().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", System.Globalization.CultureInfo.InvariantCulture);

    private static DocumentKey Key(ObjectRequest request, string name) => new(request.Kind.Key, request.Kind.Kind.Namespaced ? request.Namespace : "", name);

    /// <summary>metadata of a document of ours, which has one.</summary>
    internal static JsonObject Metadata(JsonObject document)
    {
        if (document["metadata"] is JsonObject metadata)
            return metadata;
        JsonObject made = [];
        document["metadata"] = made;
        return made;
    }

    internal static string Text(JsonObject from, string name) => from[name] is JsonValue value && value.TryGetValue(out string? text) ? text : "";

    private static bool IsDeleting(JsonObject document) => Metadata(document)["deletionTimestamp"] is not null;

    private static IReadOnlyList<string> Finalizers(JsonObject document) =>
        [.. (Metadata(document)["finalizers"] as JsonArray ?? []).Select(node => (string?)node ?? "")];

    /// <summary>A copy that shares nothing.</summary>
    private static JsonNode? Copy(JsonNode? node) => node?.DeepClone();

    /// <summary>What a request makes of an object.</summary>
    private abstract record Decision
    {
        private Decision()
        {
        }

        /// <summary>Nothing: no version, no record, no event.</summary>
        public sealed record Keep : Decision;

        /// <summary>A new or changed object.</summary>
        public sealed record Put(JsonObject Next) : Decision;

        /// <summary>Gone, with its last content.</summary>
        public sealed record Remove(JsonObject Last) : Decision;
    }
}
