using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Applying;

namespace Rynxs.ResourceServer.Patching;

/// <summary>
/// JSON patch, RFC 6902, as the real API server reads it. That is laxer than the RFC: <c>replace</c> adds what is not there, <c>copy</c> of nothing is null,
/// <c>test</c> of nothing against null holds, a missing value is null, and an index below zero counts from the end.
/// </summary>
public static class JsonPatch
{
    /// <summary>Operations that one patch may have (CVE-2019-1002100).</summary>
    public const int MaxOperations = 10_000;

    /// <summary>Bytes of JSON that all copies of one patch may add together (CVE-2019-11253 and its like).</summary>
    public const int MaxCopiedBytes = 3 * 1024 * 1024;

    /// <summary>Nodes that one patch may move, place and compare, so that few bytes cannot cost minutes.</summary>
    private const int MaxVisitedNodes = 20_000_000;

    /// <summary>The patched document; neither argument is changed.</summary>
    /// <exception cref="PatchException">400 for what is no patch, 413 for too many operations, 422 for one that fails.</exception>
    public static JsonObject Apply(JsonObject document, JsonArray patch)
    {
        JsonPatchOperation[] operations = [.. patch.Select(JsonPatchOperation.Parse)];
        if (operations.Length > MaxOperations)
            throw PatchException.TooLarge($"Request entity too large: The allowed maximum operations in a JSON patch is {MaxOperations}, got {operations.Length}");

        Run run = new(document.DeepClone());
        foreach (JsonPatchOperation operation in operations)
            run.Execute(operation);
        return run.Document as JsonObject ?? throw PatchException.Unprocessable();
    }

    /// <summary>One application of a patch: the document as it is by now and what it has cost.</summary>
    private sealed class Run(JsonNode? document)
    {
        private long _copied;
        private long _visited;

        public JsonNode? Document { get; private set; } = document;

        public void Execute(JsonPatchOperation operation)
        {
            switch (operation.Kind)
            {
                case "add":
                    Add(operation.Path, operation.Value?.DeepClone());
                    break;
                case "remove":
                    Remove(operation.Path);
                    break;
                case "replace" when operation.Path.Length == 0:
                    Document = operation.Value is JsonObject or JsonArray ? Placed(operation.Value.DeepClone(), levels: 0) : throw PatchException.Unprocessable();
                    break;
                case "replace":
                    Replace(operation.Path, operation.Value?.DeepClone());
                    break;
                case "move":
                    Add(operation.Path, Remove(operation.From));
                    break;
                case "copy":
                    Copy(operation.From, operation.Path);
                    break;
                case "test":
                    Test(operation.Path, operation.Value);
                    break;
                default:
                    throw PatchException.Unprocessable();
            }
        }

        private void Add(string path, JsonNode? value)
        {
            (JsonNode container, string key, int levels) = Find(path);
            Placed(value, levels);
            if (container is JsonObject map)
                map[key] = value;
            else
                Insert((JsonArray)container, key, value);
        }

        private static void Insert(JsonArray list, string key, JsonNode? value)
        {
            if (key == "-")
                list.Add(value);
            else
                list.Insert(Index(key, list.Count + 1), value);
        }

        private JsonNode? Remove(string path)
        {
            (JsonNode container, string key, _) = Find(path);
            if (container is JsonObject map)
            {
                if (!map.TryGetPropertyValue(key, out JsonNode? member))
                    throw PatchException.Unprocessable();
                map.Remove(key);
                return member;
            }

            JsonArray list = (JsonArray)container;
            int index = Index(key, list.Count);
            JsonNode? item = list[index];
            list.RemoveAt(index);
            return item;
        }

        private void Replace(string path, JsonNode? value)
        {
            (JsonNode container, string key, int levels) = Find(path);
            Placed(value, levels);
            if (container is JsonObject map)
                map[key] = value;
            else
                ((JsonArray)container)[Index(key, ((JsonArray)container).Count)] = value;
        }

        private void Copy(string from, string path)
        {
            JsonNode? copy = Get(from)?.DeepClone();
            Find(path);
            _copied += copy is null ? 4 : Encoding.UTF8.GetByteCount(copy.ToJsonString(Unbounded));
            if (_copied > MaxCopiedBytes)
                throw PatchException.Unprocessable();
            Add(path, copy);
        }

        private void Test(string path, JsonNode? expected)
        {
            Visit(expected, DocumentDepth.Max);
            if (!DocumentValue.Same(path.Length == 0 ? Document : Get(path), expected))
                throw PatchException.Unprocessable();
        }

        private JsonNode? Get(string path)
        {
            (JsonNode container, string key, _) = Find(path);
            return container is JsonObject map ? map[key] : ((JsonArray)container)[Index(key, ((JsonArray)container).Count)];
        }

        /// <summary>The object or list that has, or would have, what the path names; the depth counts from the document's own members.</summary>
        private (JsonNode Container, string Key, int Levels) Find(string path)
        {
            // What stands before the first slash is ignored, which is how the real server reads pointers without one in front.
            string[] parts = path.Split('/');
            if (parts.Length < 2)
                throw PatchException.Unprocessable();
            JsonNode? container = Document;
            foreach (string part in parts.AsSpan(1, parts.Length - 2))
            {
                container = container switch
                {
                    JsonObject map => map[Unescape(part)],
                    JsonArray list => list[Index(Unescape(part), list.Count)],
                    _ => throw PatchException.Unprocessable(),
                };
            }

            return container is JsonObject or JsonArray ? (container, Unescape(parts[^1]), parts.Length - 1) : throw PatchException.Unprocessable();
        }

        private JsonNode? Placed(JsonNode? value, int levels)
        {
            Visit(value, DocumentDepth.Max - levels);
            return value;
        }

        private void Visit(JsonNode? node, int levels)
        {
            if (levels < 0 || ++_visited > MaxVisitedNodes)
                throw PatchException.Unprocessable();
            if (node is JsonObject map)
            {
                foreach ((_, JsonNode? member) in map)
                    Visit(member, levels - 1);
            }
            else if (node is JsonArray list)
            {
                foreach (JsonNode? item in list)
                    Visit(item, levels - 1);
            }
        }

        private static string Unescape(string part) =>
            part.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);

        private static int Index(string text, int count)
        {
            if (!int.TryParse(text, System.Globalization.NumberStyles.AllowLeadingSign, System.Globalization.CultureInfo.InvariantCulture, out int index))
                throw PatchException.Unprocessable();
            if (index < 0)
                index += count;
            return index >= 0 && index < count ? index : throw PatchException.Unprocessable();
        }

        // Depth is bounded by Visit, not by the writer.
        private static readonly JsonSerializerOptions Unbounded = new() { MaxDepth = DocumentDepth.Max + 8 };
    }
}

/// <summary>One operation as it was sent; members that are not there are empty.</summary>
internal sealed record JsonPatchOperation(string Kind, string Path, string From, JsonNode? Value)
{
    public static JsonPatchOperation Parse(JsonNode? node) => node switch
    {
        null => new("", "", "", null),
        JsonObject members => new(Text(members, "op"), Text(members, "path"), Text(members, "from"), members["value"]),
        _ => throw PatchException.BadRequest($"error decoding patch: json: cannot unmarshal {Describe(node)} into Go value of type handlers.jsonPatchOp"),
    };

    private static string Text(JsonObject members, string name)
    {
        if (!members.TryGetPropertyValue(name, out JsonNode? value) || value is null)
            return "";
        return DocumentValue.IsText(value)
            ? DocumentValue.Text(value.AsValue())
            : throw PatchException.BadRequest($"error decoding patch: json: cannot unmarshal {Describe(value)} into Go struct field jsonPatchOp.{name} of type string");
    }

    private static string Describe(JsonNode node) => node.GetValueKind() switch
    {
        JsonValueKind.Array => "array",
        JsonValueKind.Object => "object",
        JsonValueKind.Number => "number",
        JsonValueKind.String => "string",
        _ => "bool",
    };
}
