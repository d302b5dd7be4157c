using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Applying;

/// <summary>
/// What merging knows of a place: the schema's node, or one of two answers where there is none. A value of unknown type is merged field by field
/// while it is a map (<see cref="Deduced"/>), and as a whole inside of a list (<see cref="Untyped"/>).
/// </summary>
internal readonly record struct TypeRef
{
    private enum Origin
    {
        None,
        Declared,
        Deduced,
        Untyped,
    }

    private readonly Origin _origin;
    private readonly StructuralSchema? _schema;

    // preserve-unknown-fields holds for all that is below it.
    private readonly bool _preserve;

    private TypeRef(Origin origin, StructuralSchema? schema, bool preserve)
    {
        _origin = origin;
        _schema = schema;
        _preserve = preserve;
    }

    /// <summary>No such place: the field is not declared.</summary>
    public static TypeRef None => default;

    public static TypeRef Deduced { get; } = new(Origin.Deduced, null, false);

    public static TypeRef Untyped { get; } = new(Origin.Untyped, null, false);

    public static TypeRef Of(StructuralSchema schema) => new(Origin.Declared, schema, schema.PreserveUnknownFields);

    public TypeRef OrDeduced => Exists ? this : Deduced;

    public bool Exists => _origin != Origin.None;

    public StructuralSchema? Schema => _schema;

    /// <summary>A free-form map: its members' ownership survives any change of the schema.</summary>
    public bool IsFreeForm => _origin == Origin.Deduced || (_schema is { Properties.Count: 0 } && Resolve() is { HasMap: true, ElementType._origin: Origin.Deduced });

    public Atom Resolve() => _origin switch
    {
        Origin.Declared when _schema is { } schema => schema.Type switch
        {
            SchemaType.Object => new Atom(this, ScalarType.None, hasList: false, hasMap: true),
            SchemaType.Array => new Atom(this, ScalarType.None, hasList: true, hasMap: false),
            SchemaType.Integer or SchemaType.Number => new Atom(this, ScalarType.Numeric, hasList: false, hasMap: false),
            SchemaType.Boolean => new Atom(this, ScalarType.Boolean, hasList: false, hasMap: false),
            SchemaType.String => new Atom(this, schema.Format is "" or "byte" ? ScalarType.Text : ScalarType.Untyped, hasList: false, hasMap: false),
            _ => new Atom(this, ScalarType.Untyped, hasList: true, hasMap: true),
        },
        Origin.Deduced or Origin.Untyped => new Atom(this, ScalarType.Untyped, hasList: true, hasMap: true),
        _ => default,
    };

    internal bool IsAtomicMap => _origin == Origin.Untyped || _schema is { MapType: MapType.Atomic };

    internal bool IsAssociativeList => _schema is { } schema && (schema.ListType != ListType.Atomic || schema.PatchStrategy.HasFlag(PatchStrategy.Merge));

    internal IReadOnlyList<string> Keys => _schema switch
    {
        { ListType: ListType.Map } schema => schema.ListMapKeys,
        { ListType: ListType.Atomic, PatchMergeKey: { Length: > 0 } key } => [key],
        _ => [],
    };

    internal TypeRef ItemType => _schema?.Items is { } items ? Child(items) : Untyped;

    internal bool Declares(string field) => _schema is not null && _schema.Properties.ContainsKey(field);

    /// <summary>
    /// Type of a declared field, otherwise of the map's values. Only <see cref="TypedValidation"/> looks for <see cref="None"/>: all others see
    /// documents that were checked or stored, and a field that a newer schema no longer knows is then merged as what it looks like.
    /// </summary>
    internal TypeRef FieldType(string field) => _schema is not null && _schema.Properties.TryGetValue(field, out StructuralSchema? declared) ? Child(declared) : ElementType;

    internal TypeRef ElementType
    {
        get
        {
            if (_origin != Origin.Declared || _schema is null)
                return _origin == Origin.Untyped ? Untyped : Deduced;
            if (_schema.AdditionalProperties is { } values)
                return Child(values);
            return _preserve || _schema.Properties.Count == 0 ? Deduced : None;
        }
    }

    internal JsonNode? KeyDefault(string field) =>
        _schema?.Items is { } items && items.Properties.TryGetValue(field, out StructuralSchema? declared) ? declared.Default : null;

    private TypeRef Child(StructuralSchema schema) => new(Origin.Declared, schema, _preserve || schema.PreserveUnknownFields);
}

/// <summary>What a scalar must be.</summary>
internal enum ScalarType
{
    /// <summary>No scalar may stand here.</summary>
    None,
    Numeric,
    Text,
    Boolean,

    /// <summary>Any scalar.</summary>
    Untyped,
}

/// <summary>The forms that a value of a type may have; a place of unknown type allows all three, and a value then narrows them to its own.</summary>
internal readonly record struct Atom
{
    private readonly TypeRef _type;

    public Atom(TypeRef type, ScalarType scalar, bool hasList, bool hasMap)
    {
        _type = type;
        Scalar = scalar;
        HasList = hasList;
        HasMap = hasMap;
    }

    public ScalarType Scalar { get; }

    public bool HasList { get; }

    public bool HasMap { get; }

    public bool IsAtomicMap => _type.IsAtomicMap;

    public bool IsAssociativeList => _type.IsAssociativeList;

    public TypeRef ItemType => _type.ItemType;

    public TypeRef ElementType => _type.ElementType;

    /// <summary>To the form of a value that is there; one that does not fit leaves all forms, for a better message later.</summary>
    public Atom For(Slot slot) => slot.Node switch
    {
        JsonValue when slot.IsPresent && Scalar != ScalarType.None => new Atom(_type, Scalar, false, false),
        JsonArray when slot.IsPresent && HasList => new Atom(_type, ScalarType.None, true, false),
        JsonObject when slot.IsPresent && HasMap => new Atom(_type, ScalarType.None, false, true),
        _ => this,
    };

    /// <summary>Maps come first, so that null is a map where it could be anything.</summary>
    public AtomForm Form => HasMap ? AtomForm.Map : Scalar != ScalarType.None ? AtomForm.Scalar : HasList ? AtomForm.List : AtomForm.None;

    public bool Declares(string field) => _type.Declares(field);

    public TypeRef FieldType(string field) => _type.FieldType(field);

    /// <summary>The step that names an item of a set or of a list of maps.</summary>
    /// <exception cref="TypedException">The item cannot be one: no scalar in a set, no key in a list of maps.</exception>
    public PathElement ItemElement(JsonNode? item)
    {
        if (!IsAssociativeList)
            throw new TypedException("invalid indexing of non-associative list");
        if (_type.Keys is { Count: > 0 } keys)
            return KeyElement(item, keys);
        return item switch
        {
            JsonObject => throw new TypedException("associative list without keys has an element that's a map type"),
            JsonArray => throw new TypedException("not supported: associative list with lists as elements"),
            null => throw new TypedException("associative list without keys has an element that's an explicit null"),
            _ => PathElement.Value(item),
        };
    }

    private PathElement KeyElement(JsonNode? item, IReadOnlyList<string> keys)
    {
        if (item is null)
            throw new TypedException("associative list with keys may not have a null element");
        if (item is not JsonObject map)
            throw new TypedException("associative list with keys may not have non-map elements");

        JsonObject key = [];
        foreach (string name in keys)
        {
            if (map.TryGetPropertyValue(name, out JsonNode? value))
                key[name] = value?.DeepClone();
            else if (_type.KeyDefault(name) is { } byDefault)
                key[name] = byDefault.DeepClone();
        }

        if (key.Count == 0)
        {
            string names = string.Join(" ", keys.Select(GoText.Quote));
            throw new TypedException($"associative list with keys has an element that omits all key fields [{names}] (and doesn't have default values for any key fields)");
        }

        return PathElement.Key(key);
    }
}

internal enum AtomForm
{
    None,
    Map,
    Scalar,
    List,
}

/// <summary>A value that is there (null is a value, too) or is not.</summary>
internal readonly record struct Slot(bool IsPresent, JsonNode? Node)
{
    public static Slot Absent => default;

    public static Slot Of(JsonNode? node) => new(true, node);

    public static Slot Member(JsonObject? map, string name) => map is not null && map.TryGetPropertyValue(name, out JsonNode? value) ? Of(value) : Absent;
}

/// <summary>A document does not fit its schema.</summary>
internal sealed class TypedException(string message) : Exception(message);
