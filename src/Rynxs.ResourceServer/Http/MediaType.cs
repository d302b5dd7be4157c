using System.Globalization;

namespace Rynxs.ResourceServer.Http;

/// <summary>The form in which a client wants objects.</summary>
internal enum Presentation
{
    /// <summary>As they are.</summary>
    Object,

    /// <summary>Rows and columns.</summary>
    Table,

    /// <summary>metadata alone.</summary>
    PartialMetadata,
}

/// <summary>What a request's Accept header comes to.</summary>
/// <param name="Form">The form.</param>
/// <param name="Yaml">YAML instead of JSON.</param>
internal sealed record MediaType(Presentation Form, bool Yaml)
{
    private const int MaxLength = 4096;

    public string ContentType => Yaml ? "application/yaml" : "application/json";

    /// <summary>The first that we can write, by quality and then by order; null when there is none.</summary>
    /// <param name="accept">The header; empty takes anything.</param>
    /// <param name="forms">Whether Table and PartialObjectMetadata may be asked for here.</param>
    public static MediaType? Negotiate(string accept, bool forms = true)
    {
        if (string.IsNullOrWhiteSpace(accept))
            return new MediaType(Presentation.Object, false);
        if (accept.Length > MaxLength)
            return null;

        List<(MediaType Type, double Quality)> candidates = [];
        foreach (string range in accept.Split(','))
        {
            string[] parts = [.. range.Split(';').Select(part => part.Trim())];
            bool? yaml = parts[0].ToLowerInvariant() switch
            {
                "application/json" or "*/*" or "application/*" => false,
                "application/yaml" => true,
                _ => null,
            };
            if (yaml is not { } inYaml)
                continue;
            Dictionary<string, string> parameters = [];
            foreach (string part in parts[1..])
            {
                int equals = part.IndexOf('=', StringComparison.Ordinal);
                if (equals > 0)
                    parameters[part[..equals].Trim().ToLowerInvariant()] = part[(equals + 1)..].Trim('"', ' ');
            }

            double quality = parameters.TryGetValue("q", out string? q) && double.TryParse(q, NumberStyles.Float, CultureInfo.InvariantCulture, out double given) ? given : 1;
            Presentation? form = parameters.GetValueOrDefault("as") switch
            {
                null => Presentation.Object,
                "Table" when forms && IsMeta(parameters) => Presentation.Table,
                "PartialObjectMetadata" or "PartialObjectMetadataList" when forms && IsMeta(parameters) => Presentation.PartialMetadata,
                _ => null,
            };
            if (form is { } known && quality > 0)
                candidates.Add((new MediaType(known, inYaml), quality));
        }

        return candidates.OrderByDescending(candidate => candidate.Quality).Select(candidate => candidate.Type).FirstOrDefault();
    }

    private static bool IsMeta(Dictionary<string, string> parameters) =>
        parameters.GetValueOrDefault("g") == "meta.k8s.io" && parameters.GetValueOrDefault("v") is "v1" or "v1beta1";
}
