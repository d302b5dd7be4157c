using System.Globalization;
using System.Text;
using System.Text.Json;
using Rynxs.ResourceServer.Objects;

namespace Rynxs.ResourceServer.Listing;

/// <summary>
/// Where the next page of a list begins, in the form of the real server: base64url of <c>{"v":"meta.k8s.io/v1","rv":VERSION,"start":"/NAMESPACE/NAME\0"}</c>, the key relative to what
/// is listed. It holds nothing that its reader may not list: a forged one begins elsewhere in the same list.
/// </summary>
/// <param name="Version">Commit that the list is as of; -1 for the latest, after the first one expired.</param>
/// <param name="AfterNamespace">Empty in a list of one namespace, or of a cluster-scoped kind.</param>
/// <param name="AfterName">The last name of the page before.</param>
internal sealed record ContinueToken(long Version, string AfterNamespace, string AfterName)
{
    private const int MaxLength = 2048;

    /// <param name="text">From the query.</param>
    /// <param name="acrossNamespaces">The list is over all namespaces, so that the key has two parts.</param>
    /// <exception cref="ApiException">400, in the words of the real server.</exception>
    public static ContinueToken Parse(string text, bool acrossNamespaces)
    {
        if (text.Length > MaxLength)
            throw Invalid("continue key is not valid: too long");
        byte[] json;
        try
        {
            string padded = text.Replace('-', '+').Replace('_', '/');
            json = Convert.FromBase64String(padded.PadRight((padded.Length + 3) / 4 * 4, '='));
        }
        catch (FormatException)
        {
            throw Invalid("continue key is not valid: illegal base64 data");
        }

        try
        {
            using JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 4 });
            JsonElement root = document.RootElement;
            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("v", out JsonElement form) || form.ValueKind != JsonValueKind.String || form.GetString() != "meta.k8s.io/v1")
                throw Invalid("continue key is not valid: incorrect encoded start key version");
            long version = root.TryGetProperty("rv", out JsonElement given) && given.TryGetInt64(out long number) ? number : 0;
            string start = root.TryGetProperty("start", out JsonElement key) && key.ValueKind == JsonValueKind.String ? key.GetString() ?? "" : "";
            if (version == 0)
                throw Invalid("continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)");
            if (start.Length == 0)
                throw Invalid("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)");
            string[] parts = start.TrimEnd('\0').TrimStart('/').Split('/');
            if (parts.Length != (acrossNamespaces ? 2 : 1) || parts.Any(part => part is "" or "." or ".." || part.Contains('\0')))
                throw Invalid($"continue key is not valid: {ApiErrors.Quote(start)}");
            return acrossNamespaces ? new ContinueToken(version, parts[0], parts[1]) : new ContinueToken(version, "", parts[0]);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            string why = json.Length == 0 ? "unexpected end of JSON input" : $"invalid character '{(char)json[0]}' looking for beginning of value";
            throw Invalid($"continue key is not valid: {why}");
        }
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        string key = AfterNamespace.Length == 0 ? $"/{AfterName}" : $"/{AfterNamespace}/{AfterName}";
        string json = $"{{\"v\":\"meta.k8s.io/v1\",\"rv\":{Version.ToString(CultureInfo.InvariantCulture)},\"start\":\"{key}\\u0000\"}}";
        return Convert.ToBase64String(Encoding.UTF8.GetBytes(json)).TrimEnd('=').Replace('+', '-').Replace('/', '_');
    }

    private static ApiException Invalid(string why) => ApiErrors.BadRequest($"invalid continue token: {why}");
}
