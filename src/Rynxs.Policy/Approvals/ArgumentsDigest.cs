using System.Text.Json;

namespace Rynxs.Policy.Approvals;

/// <summary>
/// <c>args_sha256</c> of the original audit trail: SHA-256 over the arguments as JSON with sorted keys, raw non-ASCII text and the separators
/// <c>", "</c> and <c>": "</c> (with their spaces). Numbers count as they were written.
/// </summary>
public static class ArgumentsDigest
{
    /// <summary>Lowercase hexadecimal, 64 characters.</summary>
    /// <exception cref="ArgumentException">An object holds a key twice, or a text has no UTF-8 form.</exception>
    public static string Sha256Hex(JsonElement arguments) => new SortedJson(", ", ": ").AppendValue(arguments).Sha256Hex();
}
