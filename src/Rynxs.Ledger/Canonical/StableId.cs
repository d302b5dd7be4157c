using System.Security.Cryptography;
using System.Text;

namespace Rynxs.Ledger.Canonical;

/// <summary>
/// The original's <c>stable_id</c>: SHA-256 of the parts joined by <c>|</c>, unescaped.
/// </summary>
/// <remarks>
/// Because nothing is escaped, <c>("a|b", "c")</c> and <c>("a", "b|c")</c> have the same id. The format fixes this, so callers must use
/// parts of which at most the last can hold a <c>|</c> (action type, <c>NAMESPACE/NAME</c>, canonical parameters).
/// </remarks>
public static class StableId
{
    /// <summary>Lowercase hexadecimal id, 64 characters.</summary>
    public static string Compute(params ReadOnlySpan<string> parts) =>
        Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('|', parts))));
}
