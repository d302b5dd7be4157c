using System.Reflection;
using System.Text;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Kinds;

/// <summary>
/// The fields of the built-in kinds, from the texts in <c>Tables/</c>. A line <c>@ PACKAGE</c> begins a package; a line without indent a
/// definition: <c>Name [flags] [- description]</c>; an indented line a field: <c>name type [flags] [- description]</c>.
/// Types: <c>string bool int32 int64 double quantity time microtime intstr bytes object any</c>, a definition of the same or any package,
/// <c>[T]</c> a list, <c>{T}</c> a map. Flags: <c>!</c> required; <c>=V</c> default; <c>enum=A|B</c>; <c>set</c>, <c>map=K,K</c> list types; <c>merge[=K]</c>,
/// <c>replace</c>, <c>retain</c> patch strategies; <c>atomic</c>; <c>nullable</c>; <c>any-or=D</c> (a definition: any value, an object like D);
/// <c>kind</c> (a definition: a whole object, with apiVersion, kind and metadata).
/// </summary>
internal sealed class FieldTable
{
    private static readonly string[] Files = ["core", "pods", "workloads", "cluster", "extensions"];

    private readonly Dictionary<string, Definition> _definitions = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Definition> _byShortName = new(StringComparer.Ordinal);

    private FieldTable()
    {
    }

    private static readonly Lazy<FieldTable> Loaded = new(Load);

    /// <summary>All tables, read once.</summary>
    public static FieldTable BuiltIn => Loaded.Value;

    /// <summary>A definition by package and name; of a kind it is the whole object.</summary>
    public StructuralSchema this[string package, string name] => _definitions[$"{package}.{name}"].Schema;

    /// <summary>A definition by its full name, as it was before a field gave it a description of its own.</summary>
    public StructuralSchema? Find(string definition) =>
        _definitions.GetValueOrDefault(definition)?.Schema ?? Shared.FirstOrDefault(schema => schema.Definition == definition);

    private static FieldTable Load()
    {
        FieldTable table = new();
        List<(Definition Owner, string Line)> fields = [];
        foreach (string file in Files)
            table.ReadDefinitions(Read(file), fields);

        // Definitions may refer to each other in any order and in circles: their nodes exist before their fields are added.
        foreach ((Definition owner, string line) in fields)
            table.AddField(owner, line);
        return table;
    }

    private static string Read(string file)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream($"tables/{file}.txt")
            ?? throw new InvalidDataException($"Table {file} is not in the assembly.");
        using StreamReader reader = new(stream, Encoding.UTF8);
        return reader.ReadToEnd();
    }

    private void ReadDefinitions(string text, List<(Definition, string)> fields)
    {
        string package = "";
        Definition? current = null;
        foreach (string line in text.Split('\n'))
        {
            if (line.Length == 0 || line[0] == '#')
                continue;
            if (line[0] == '@')
                package = line[1..].Trim();
            else if (line[0] != ' ')
                current = Define(package, line);
            else if (current is not null)
                fields.Add((current, line));
        }
    }

    private Definition Define(string package, string line)
    {
        (string[] words, string description) = Split(line);
        Dictionary<string, StructuralSchema> properties = new(StringComparer.Ordinal);
        List<string> required = [];
        StructuralSchema schema = new()
        {
            Type = SchemaType.Object,
            Description = description,
            Properties = properties,
            Required = required,
            Definition = $"{package}.{words[0]}",
        };
        foreach (string flag in words.Skip(1))
        {
            schema = flag switch
            {
                "atomic" => schema with { MapType = MapType.Atomic },
                "kind" => schema,
                _ when flag.StartsWith("any-or=", StringComparison.Ordinal) =>
                    schema with { Type = SchemaType.Any, Properties = _definitions[$"{package}.{flag[7..]}"].Schema.Properties },
                _ => throw new InvalidDataException($"{line}: flag {flag}"),
            };
        }

        if (words.Contains("kind"))
        {
            properties["apiVersion"] = ObjectMetaSchema.ApiVersion;
            properties["kind"] = ObjectMetaSchema.Kind;
            properties["metadata"] = ObjectMetaSchema.Schema;
        }

        Definition definition = new(package, schema, properties, required);
        if (!_definitions.TryAdd($"{package}.{words[0]}", definition))
            throw new InvalidDataException($"{package}.{words[0]} is there twice");
        _byShortName.TryAdd(words[0], definition);
        return definition;
    }

    private void AddField(Definition owner, string line)
    {
        (string[] words, string description) = Split(line);
        StructuralSchema schema = TypeOf(owner.Package, words[1]);
        if (description.Length > 0)
            schema = schema with { Description = description };
        foreach (string flag in words.Skip(2))
        {
            if (flag == "!")
                owner.Required.Add(words[0]);
            else
                schema = WithFlag(schema, flag, line);
        }

        owner.Properties.Add(words[0], schema);
    }

    private static StructuralSchema WithFlag(StructuralSchema schema, string flag, string line)
    {
        int equals = flag.IndexOf('=', StringComparison.Ordinal);
        string value = flag[(equals + 1)..];
        return flag[..(equals < 0 ? flag.Length : equals)] switch
        {
            "" => schema with { Default = DefaultOf(schema, value) },
            "enum" => schema with { Enum = [.. value.Split('|').Select(word => JsonValue.Create(word))] },
            "set" => schema with { ListType = ListType.Set },
            "map" => schema with { ListType = ListType.Map, ListMapKeys = value.Split(',') },
            "merge" => schema with { PatchStrategy = schema.PatchStrategy | PatchStrategy.Merge, PatchMergeKey = equals < 0 ? null : value },
            "replace" => schema with { PatchStrategy = schema.PatchStrategy | PatchStrategy.Replace },
            "retain" => schema with { PatchStrategy = schema.PatchStrategy | PatchStrategy.RetainKeys },
            "atomic" => schema with { MapType = MapType.Atomic },
            "nullable" => schema with { Nullable = true },
            _ => throw new InvalidDataException($"{line}: flag {flag}"),
        };
    }

    private static JsonNode? DefaultOf(StructuralSchema schema, string text) =>
        schema.Type == SchemaType.String && !text.StartsWith('"') ? JsonValue.Create(text) : JsonNode.Parse(text);

    private StructuralSchema TypeOf(string package, string type) => type switch
    {
        ['[', .. string item, ']'] => new() { Type = SchemaType.Array, Items = TypeOf(package, item) },
        ['{', .. string value, '}'] => new() { Type = SchemaType.Object, AdditionalProperties = TypeOf(package, value) },
        "string" => ObjectMetaSchema.Text,
        "bool" => Boolean,
        "int32" => Int32,
        "int64" => Int64,
        "double" => Double,
        "quantity" => Quantity,
        "time" => ObjectMetaSchema.Time,
        "microtime" => ObjectMetaSchema.MicroTime,
        "intstr" => IntOrString,
        "bytes" => Bytes,
        "object" => FreeObject,
        "any" => StructuralSchema.Anything,
        "ObjectMeta" => ObjectMetaSchema.Schema,
        _ => (_definitions.GetValueOrDefault($"{package}.{type}") ?? _byShortName.GetValueOrDefault(type)
            ?? throw new InvalidDataException($"no definition of {type}")).Schema,
    };

    private static (string[] Words, string Description) Split(string line)
    {
        int dash = line.IndexOf(" - ", StringComparison.Ordinal);
        string[] words = (dash < 0 ? line : line[..dash]).Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return (words, dash < 0 ? "" : line[(dash + 3)..].Trim());
    }

    private static readonly StructuralSchema Boolean = new() { Type = SchemaType.Boolean };
    private static readonly StructuralSchema Int32 = new() { Type = SchemaType.Integer, Format = "int32" };
    private static readonly StructuralSchema Int64 = new() { Type = SchemaType.Integer, Format = "int64" };
    private static readonly StructuralSchema Double = new() { Type = SchemaType.Number, Format = "double" };
    private static readonly StructuralSchema Bytes = new() { Type = SchemaType.String, Format = "byte" };
    private static readonly StructuralSchema FreeObject = new() { Type = SchemaType.Object, PreserveUnknownFields = true };

    /// <summary>Texts and numbers: <c>cpu: 1</c> is usual.</summary>
    private static readonly StructuralSchema Quantity = new()
    {
        Type = SchemaType.Any,
        Definition = "io.k8s.apimachinery.pkg.api.resource.Quantity",
        Description = "An amount, such as 100m, 256Mi or 1e3.",
        AnyOf = [new() { Type = SchemaType.Number }, new() { Type = SchemaType.String }],
        Pattern = "^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$",
    };

    private static readonly StructuralSchema IntOrString = new()
    {
        Type = SchemaType.IntOrString,
        Format = "int-or-string",
        Definition = "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        Description = "A number, or a text such as a percentage or the name of a port.",
    };

    private static readonly StructuralSchema[] Shared =
    [
        ObjectMetaSchema.Schema, ObjectMetaSchema.ListMeta, ObjectMetaSchema.Time, ObjectMetaSchema.MicroTime, ObjectMetaSchema.FieldsV1,
        ObjectMetaSchema.OwnerReference, ObjectMetaSchema.ManagedFieldsEntry, Quantity, IntOrString,
    ];

    private sealed record Definition(string Package, StructuralSchema Schema, Dictionary<string, StructuralSchema> Properties, List<string> Required);
}
