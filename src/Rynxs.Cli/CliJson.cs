using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace Rynxs.Cli;

/// <summary>JSON of the command line: documents of kinds that only the server knows, so there is nothing more to say about their types.</summary>
[JsonSerializable(typeof(JsonObject))]
[JsonSerializable(typeof(JsonElement))]
[JsonSerializable(typeof(string))]
internal sealed partial class CliJson : JsonSerializerContext;
