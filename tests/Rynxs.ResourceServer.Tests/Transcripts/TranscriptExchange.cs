using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Tests.Transcripts;

/// <summary>One recorded request and its answer.</summary>
/// <param name="File">Topic, the name of the file without its extension.</param>
/// <param name="Index">Place in the file, from 0.</param>
/// <param name="Recorded">The whole exchange as it was recorded.</param>
internal sealed record TranscriptExchange(string File, int Index, JsonObject Recorded)
{
    /// <summary>The files in the order in which they were recorded.</summary>
    public static IReadOnlyList<string> Files { get; } =
        ["crd", "discovery", "setup", "errors", "crud", "patch", "apply", "list-watch", "delete", "auth", "lease"];

    public string Name => (string?)Recorded["name"] ?? "";

    public string Identity => (string?)Recorded["identity"] ?? "admin";

    public string Method => (string?)Recorded["request"]?["method"] ?? "";

    public string Path => (string?)Recorded["request"]?["path"] ?? "";

    public string? Accept => (string?)Recorded["request"]?["accept"];

    public string? ContentType => (string?)Recorded["request"]?["contentType"];

    public JsonNode? Body => Recorded["request"]?["body"];

    public int Status => (int?)Recorded["response"]?["status"] ?? 0;

    public JsonNode? Answer => Recorded["response"]?["body"];

    public string? AnswerText => (string?)Recorded["response"]?["text"];

    public JsonArray? Events => Recorded["response"]?["events"]?.AsArray();

    public override string ToString() => $"{File}[{Index}] {Name}";

    public static IReadOnlyList<TranscriptExchange> Read(string file)
    {
        string path = System.IO.Path.Combine(AppContext.BaseDirectory, "Transcripts", file + ".json");
        JsonArray exchanges = JsonNode.Parse(System.IO.File.ReadAllBytes(path))?.AsArray() ?? throw new JsonException($"{file} is empty");
        return [.. exchanges.Select((exchange, index) => new TranscriptExchange(file, index, (JsonObject)exchange!))];
    }
}
