namespace Rynxs.ResourceServer.Schemas;

/// <summary><c>metadata</c> of every object, and the wrapping of a kind's own schema.</summary>
internal static class ObjectMetaSchema
{
    private const string Definitions = "io.k8s.apimachinery.pkg.apis.meta.v1.";

    public static StructuralSchema Text { get; } = new() { Type = SchemaType.String };

    public static StructuralSchema Time { get; } = new()
    {
        Type = SchemaType.String, Format = "date-time", Nullable = true, Definition = Definitions + "Time", Description = "RFC 3339.",
    };

    public static StructuralSchema MicroTime { get; } = new()
    {
        Type = SchemaType.String, Format = "date-time", Nullable = true, Definition = Definitions + "MicroTime", Description = "RFC 3339 with microseconds.",
    };

    /// <summary>Any set of fields: keys are field paths.</summary>
    public static StructuralSchema FieldsV1 { get; } = new()
    {
        Type = SchemaType.Object, PreserveUnknownFields = true, Definition = Definitions + "FieldsV1", Description = "A set of fields, as server-side apply writes it.",
    };

    public static StructuralSchema OwnerReference { get; } = new()
    {
        Type = SchemaType.Object,
        MapType = MapType.Atomic,
        Definition = Definitions + "OwnerReference",
        Description = "An object that this one belongs to; when all owners are gone it may be collected.",
        Required = ["apiVersion", "kind", "name", "uid"],
        Properties = new Dictionary<string, StructuralSchema>
        {
            ["apiVersion"] = Text with { Description = "Of the owner." },
            ["blockOwnerDeletion"] = new() { Type = SchemaType.Boolean, Description = "The owner cannot go in the foreground before this object has." },
            ["controller"] = new() { Type = SchemaType.Boolean, Description = "The owner is the managing controller." },
            ["kind"] = Text with { Description = "Of the owner." },
            ["name"] = Text with { Description = "Of the owner." },
            ["uid"] = Text with { Description = "Of the owner." },
        },
    };

    public static StructuralSchema ManagedFieldsEntry { get; } = new()
    {
        Type = SchemaType.Object,
        Definition = Definitions + "ManagedFieldsEntry",
        Description = "Fields that one manager owns.",
        Properties = new Dictionary<string, StructuralSchema>
        {
            ["apiVersion"] = Text with { Description = "Version that the fields are of." },
            ["fieldsType"] = Text with { Description = "FieldsV1." },
            ["fieldsV1"] = FieldsV1,
            ["manager"] = Text with { Description = "Who." },
            ["operation"] = Text with { Description = "Apply or Update." },
            ["subresource"] = Text with { Description = "Subresource through which it was written; empty for the object itself." },
            ["time"] = Time,
        },
    };

    /// <summary>ObjectMeta.</summary>
    public static StructuralSchema Schema { get; } = new()
    {
        Type = SchemaType.Object,
        Definition = Definitions + "ObjectMeta",
        Description = "Metadata of an object.",
        Properties = new Dictionary<string, StructuralSchema>
        {
            ["annotations"] = Map("Unstructured pairs; not selectable."),
            ["creationTimestamp"] = Time with { Description = "Set by the server." },
            ["deletionGracePeriodSeconds"] = Integer("Set by the server when deletion was asked for."),
            ["deletionTimestamp"] = Time with { Description = "Set by the server when deletion was asked for and finalizers remain." },
            ["finalizers"] = new()
            {
                Type = SchemaType.Array, Items = Text, ListType = ListType.Set, PatchStrategy = PatchStrategy.Merge,
                Description = "While any is left, deletion waits.",
            },
            ["generateName"] = Text with { Description = "Prefix of a name that the server makes unique when name is empty." },
            ["generation"] = Integer("Grows by one with each change of the desired state. Set by the server."),
            ["labels"] = Map("Selectable pairs."),
            ["managedFields"] = new()
            {
                Type = SchemaType.Array, Items = ManagedFieldsEntry, Description = "Who owns which field. Written by the server.",
            },
            ["name"] = Text with { Description = "Unique for its kind and namespace; cannot be changed." },
            ["namespace"] = Text with { Description = "Empty for cluster-scoped kinds." },
            ["ownerReferences"] = new()
            {
                Type = SchemaType.Array, Items = OwnerReference, ListType = ListType.Map, ListMapKeys = ["uid"], PatchMergeKey = "uid",
                PatchStrategy = PatchStrategy.Merge, Description = "Objects that this one belongs to.",
            },
            ["resourceVersion"] = Text with { Description = "Opaque version of the object. Set by the server." },
            ["selfLink"] = Text with { Description = "Not used any more." },
            ["uid"] = Text with { Description = "Set by the server; never reused." },
        },
    };

    /// <summary>ListMeta.</summary>
    public static StructuralSchema ListMeta { get; } = new()
    {
        Type = SchemaType.Object,
        Definition = Definitions + "ListMeta",
        Description = "Metadata of a list.",
        Properties = new Dictionary<string, StructuralSchema>
        {
            ["continue"] = Text with { Description = "Token for the rest of the list." },
            ["remainingItemCount"] = Integer("Objects that follow, where known."),
            ["resourceVersion"] = Text with { Description = "Version of the whole list." },
            ["selfLink"] = Text with { Description = "Not used any more." },
        },
    };

    public static StructuralSchema ApiVersion { get; } = Text with { Description = "Group and version of the kind." };

    public static StructuralSchema Kind { get; } = Text with { Description = "Kind of the object." };

    /// <summary>A custom resource's schema with the server's own apiVersion, kind and metadata in place of its own.</summary>
    public static StructuralSchema WithMetadata(StructuralSchema root)
    {
        Dictionary<string, StructuralSchema> properties = new(root.Properties, StringComparer.Ordinal)
        {
            ["apiVersion"] = ApiVersion,
            ["kind"] = Kind,
            ["metadata"] = Restricted(root.Properties.GetValueOrDefault("metadata")),
        };
        return root with { Type = SchemaType.Object, Properties = properties };
    }

    /// <summary>A CRD may restrict metadata.name and metadata.generateName, and nothing else of metadata.</summary>
    private static StructuralSchema Restricted(StructuralSchema? own)
    {
        if (own is null || !own.Properties.Keys.Any(key => key is "name" or "generateName"))
            return Schema;

        Dictionary<string, StructuralSchema> properties = new(Schema.Properties, StringComparer.Ordinal);
        foreach (string name in new[] { "name", "generateName" })
        {
            if (own.Properties.TryGetValue(name, out StructuralSchema? restricted))
                properties[name] = restricted with { Type = SchemaType.String, Default = null, Nullable = false };
        }

        return Schema with { Properties = properties, Definition = null };
    }

    private static StructuralSchema Integer(string description) => new() { Type = SchemaType.Integer, Format = "int64", Description = description };

    private static StructuralSchema Map(string description) => new() { Type = SchemaType.Object, AdditionalProperties = Text, Description = description };
}
