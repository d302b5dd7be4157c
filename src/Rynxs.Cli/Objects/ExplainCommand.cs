using System.CommandLine;
using System.Net;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Objects;

/// <summary><c>rynxs explain KIND[.FIELD…]</c>: the fields, from the server's OpenAPI v3 document.</summary>
internal static class ExplainCommand
{
    private const int MaxDepth = 32;

    public static Command Create(Screen screen)
    {
        var path = new Argument<string>("path") { Description = "KIND or KIND.FIELD.FIELD…, such as agents.spec.sandbox." };
        var recursive = new Option<bool>("--recursive") { Description = "All fields below, without their descriptions." };
        var command = new Command("explain", "Tells what the fields of a kind mean.") { path, recursive };
        command.SetAction((parsed, cancellationToken) => RunAsync(
            ClientSettings.Resolve(parsed), parsed.GetRequiredValue(path), parsed.GetValue(recursive), screen, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(ClientSettings settings, string path, bool recursive, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings);
        ServerKinds kinds = await ServerKinds.FetchAsync(client, cancellationToken);
        string[] parts = path.Split('.', StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length == 0)
        {
            throw new CliException("give a kind, such as: rynxs explain agents.spec", ExitCodes.Usage);
        }

        ApiKind kind = kinds.Find(parts[0]);
        var schemas = new Schemas(await DocumentAsync(client, kind, cancellationToken));
        JsonElement schema = schemas.OfKind(kind) ?? throw new CliException($"the server describes no fields of {kind.Kind}.");
        string type = kind.Kind, description = "";
        foreach (string field in parts.Skip(1))
        {
            JsonElement? next = schemas.Field(schema, field);
            if (next is not { } found)
            {
                string[] names = [.. schemas.Fields(schema).Select(candidate => candidate.Name)];
                throw new CliException($"{type} has no field '{field}'{NearestName.Hint(field, names)}.", ExitCodes.Failure, names.Length == 0 ? "It has no fields." : "Fields: " + string.Join(", ", names));
            }

            description = Description(found);
            type = schemas.TypeOf(found);
            schema = schemas.Inner(found);
        }

        if (kind.Group.Length > 0)
        {
            screen.Line($"GROUP:      {kind.Group}");
        }

        screen.Line($"KIND:       {kind.Kind}");
        screen.Line($"VERSION:    {kind.Version}");
        screen.Line();
        if (parts.Length > 1)
        {
            screen.Line($"FIELD: {parts[^1]} <{type}>");
            screen.Line();
        }

        screen.Line("DESCRIPTION:");
        Paragraph(screen, description.Length > 0 ? description : Description(schema), 4);
        (string Name, JsonElement Schema, bool Required)[] fields = [.. schemas.Fields(schema)];
        if (fields.Length > 0)
        {
            screen.Line();
            screen.Line("FIELDS:");
            Fields(screen, schemas, fields, recursive, indent: 2, depth: 0);
        }

        return ExitCodes.Ok;
    }

    private static async Task<JsonElement> DocumentAsync(ApiClient client, ApiKind kind, CancellationToken cancellationToken)
    {
        try
        {
            JsonElement index = await client.GetAsync("/openapi/v3", cancellationToken);
            string key = kind.Group.Length == 0 ? $"api/{kind.Version}" : $"apis/{kind.Group}/{kind.Version}";
            string? address = index.At("paths") is { } paths && paths.TryGetProperty(key, out JsonElement entry) ? entry.Text("serverRelativeURL") : null;
            return address is not null && address.StartsWith('/')
                ? await client.GetAsync(address, cancellationToken)
                : throw new CliException($"the server describes no fields of {kind.ApiVersion}.");
        }
        catch (ApiException exception) when (exception.Status == HttpStatusCode.NotFound)
        {
            throw new CliException("the server has no OpenAPI v3 documents, so it cannot tell its fields.");
        }
    }

    private static void Fields(
        Screen screen, Schemas schemas, IReadOnlyList<(string Name, JsonElement Schema, bool Required)> fields, bool recursive, int indent, int depth)
    {
        foreach ((string name, JsonElement schema, bool required) in fields)
        {
            screen.Line($"{new string(' ', indent)}{name}\t<{schemas.TypeOf(schema)}>{(required ? " -required-" : "")}");
            if (!recursive)
            {
                string[] allowed = [.. schema.Items("enum").Select(value => value.ValueKind == JsonValueKind.String ? value.GetString() ?? "" : value.GetRawText())];
                if (allowed.Length > 0)
                {
                    screen.Line($"{new string(' ', indent)}enum: {string.Join(", ", allowed)}");
                }

                Paragraph(screen, Description(schema), indent + 2);
                screen.Line();
            }
            else if (depth < MaxDepth)
            {
                Fields(screen, schemas, [.. schemas.Fields(schemas.Inner(schema))], recursive, indent + 2, depth + 1);
            }
        }
    }

    private static string Description(JsonElement schema) => schema.Text("description") ?? "<no description>";

    private static void Paragraph(Screen screen, string text, int indent)
    {
        foreach (string paragraph in text.Split('\n'))
        {
            string line = "";
            foreach (string word in paragraph.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            {
                if (line.Length + word.Length + 1 > 96 - indent)
                {
                    screen.Line(new string(' ', indent) + line);
                    line = "";
                }

                line = line.Length == 0 ? word : $"{line} {word}";
            }

            screen.Line(line.Length == 0 ? "" : new string(' ', indent) + line);
        }
    }

    /// <summary>The schemas of one OpenAPI document, references followed.</summary>
    private sealed class Schemas(JsonElement document)
    {
        private const string Prefix = "#/components/schemas/";

        public JsonElement? OfKind(ApiKind kind)
        {
            if (document.At("components") is not { } components || !components.TryGetProperty("schemas", out JsonElement all))
            {
                return null;
            }

            foreach (JsonProperty schema in all.EnumerateObject())
            {
                if (schema.Value.Items("x-kubernetes-group-version-kind").Any(named =>
                    (named.Text("group") ?? "") == kind.Group && named.Text("version") == kind.Version && named.Text("kind") == kind.Kind))
                {
                    return schema.Value;
                }
            }

            return null;
        }

        public IEnumerable<(string Name, JsonElement Schema, bool Required)> Fields(JsonElement schema)
        {
            HashSet<string?> required = [.. schema.Items("required").Select(name => name.GetString())];
            return schema.At("properties") is { ValueKind: JsonValueKind.Object } properties
                ? properties.EnumerateObject().Select(property => (property.Name, Followed(property.Value), required.Contains(property.Name))).OrderBy(field => field.Name, StringComparer.Ordinal)
                : [];
        }

        public JsonElement? Field(JsonElement schema, string name) =>
            Fields(schema).Where(field => field.Name == name).Select(field => (JsonElement?)field.Schema).FirstOrDefault();

        /// <summary>Where further fields are: of a list or map, those of its items.</summary>
        public JsonElement Inner(JsonElement schema)
        {
            for (int depth = 0; depth < MaxDepth; depth++)
            {
                JsonElement followed = Followed(schema);
                if (followed.At("items") is { } items)
                {
                    schema = items;
                }
                else if (followed.At("additionalProperties") is { ValueKind: JsonValueKind.Object } values)
                {
                    schema = values;
                }
                else
                {
                    return followed;
                }
            }

            return schema;
        }

        public string TypeOf(JsonElement schema)
        {
            JsonElement followed = Followed(schema);
            if (followed.At("items") is { } items)
            {
                return "[]" + TypeOf(items);
            }

            if (followed.At("additionalProperties") is { ValueKind: JsonValueKind.Object } values)
            {
                return "map[string]" + TypeOf(values);
            }

            return NameOf(schema) ?? (followed.IsTrue("x-kubernetes-int-or-string") ? "IntOrString" : followed.Text("type") switch
            {
                "object" or null => "Object",
                string type => type,
            });
        }

        private static string? NameOf(JsonElement schema) => Reference(schema) is { } reference ? reference[(reference.LastIndexOf('.') + 1)..] : null;

        // A reference with a description of its own stands in allOf: its description is the field's.
        private static string? Reference(JsonElement schema) =>
            schema.Text("$ref") ?? schema.Items("allOf").Select(part => part.Text("$ref")).FirstOrDefault(reference => reference is not null);

        private JsonElement Followed(JsonElement schema)
        {
            for (int depth = 0; depth < MaxDepth && Reference(schema) is { } reference; depth++)
            {
                if (!reference.StartsWith(Prefix, StringComparison.Ordinal) || document.At("components") is not { } components
                    || !components.TryGetProperty("schemas", out JsonElement all) || !all.TryGetProperty(reference[Prefix.Length..], out JsonElement target))
                {
                    return schema;
                }

                schema = target;
            }

            return schema;
        }
    }
}
