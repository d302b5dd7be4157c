using System.CommandLine;
using System.Text.Json.Nodes;
using Rynxs.Resources.Manifests;
using Rynxs.Resources.Meta;

namespace Rynxs.Cli.Objects;

/// <summary>The manifests behind <c>-f</c>: files, directories (their *.yaml, *.yml and *.json, not deeper), or standard input.</summary>
internal static class ManifestFiles
{
    private const int MaxFiles = 1000;

    private static readonly ManifestLimits Limits = new();

    public static Option<string[]> Option() => new("--filename", "-f")
    {
        Description = "Manifest: a file, a directory, or - for standard input. May be repeated.",
        HelpName = "FILE|DIR|-",
        AllowMultipleArgumentsPerToken = true,
    };

    /// <summary>
    /// Every document of every file. Those of our own group are also checked here, with the rules of the server, so that a mistake is told with its line and
    /// before anything is sent.
    /// </summary>
    /// <param name="paths">As given.</param>
    /// <exception cref="CliException">Any document has an error: all errors are named, and nothing should be done.</exception>
    public static IReadOnlyList<JsonObject> Read(IEnumerable<string> paths)
    {
        List<JsonObject> documents = [];
        List<string> errors = [];
        foreach (string file in paths.SelectMany(Expand))
        {
            ReadOnlyMemory<byte> content = ReadBytes(file);
            try
            {
                IReadOnlyList<JsonObject> found = ManifestDocuments.Read(content, Limits);
                documents.AddRange(found);
                if (found.Count == 0 || found.All(IsOurs))
                {
                    errors.AddRange(ManifestReader.Read(content, Limits).Errors.Select(error => $"{file}: {error}"));
                }
            }
            catch (FormatException exception)
            {
                ManifestResult result = ManifestReader.Read(content, Limits);
                errors.AddRange(result.Errors.Count > 0 ? result.Errors.Select(error => $"{file}: {error}") : [$"{file}: {exception.Message}"]);
            }
        }

        if (errors.Count > 0)
        {
            throw new CliException(
                errors.Count == 1 ? "a manifest has an error; nothing was changed:" : $"the manifests have {errors.Count} errors; nothing was changed:",
                ExitCodes.Failure,
                [.. errors]);
        }

        return documents;
    }

    // A kind that this program does not know may be one of a newer server: it decides.
    private static bool IsOurs(JsonObject document) =>
        document["apiVersion"] is JsonValue version && version.TryGetValue(out string? text) && text == Resource.GroupVersion
        && document["kind"] is JsonValue kind && kind.TryGetValue(out string? name) && ResourceTypes.TryFindKind(name, out _);

    private static IEnumerable<string> Expand(string path)
    {
        if (path == "-" || File.Exists(path))
        {
            return [path];
        }

        if (!Directory.Exists(path))
        {
            throw new CliException($"there is no file or directory '{path}'.");
        }

        string[] files = [.. Directory.EnumerateFiles(path)
            .Where(file => Path.GetExtension(file) is ".yaml" or ".yml" or ".json")
            .Order(StringComparer.Ordinal)
            .Take(MaxFiles + 1)];
        return files.Length switch
        {
            0 => throw new CliException($"there is no *.yaml, *.yml or *.json in '{path}'."),
            > MaxFiles => throw new CliException($"'{path}' has more than {MaxFiles} manifests."),
            _ => files,
        };
    }

    /// <summary>The bytes, one more than the limit at most: the reader then says that it is too large.</summary>
    private static ReadOnlyMemory<byte> ReadBytes(string path)
    {
        try
        {
            using Stream input = path == "-" ? Console.OpenStandardInput() : File.OpenRead(path);
            return BoundedInput.Read(input, Limits.MaxStreamBytes + 1);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CliException($"'{path}' cannot be read: {exception.Message}");
        }
    }
}
