namespace Rynxs.Policy.Approvals;

/// <summary>
/// What an approval is about: SHA-256 over the canonical JSON of <c>{"agent":…,"arguments":…,"tool":…}</c>. Other arguments are another
/// subject, so an approval cannot be carried over to a changed call (E5).
/// </summary>
/// <remarks>
/// Canonical: keys sorted by UTF-8 bytes, no white space, strings with the shortest escapes, numbers as they were written (1 and 1.0 are
/// two subjects: a needless question is better than a wrong yes).
/// </remarks>
public static class ApprovalSubject
{
    /// <summary>Lowercase hexadecimal, 64 characters.</summary>
    /// <exception cref="ArgumentException">An object holds a key twice.</exception>
    public static string Hash(ToolCall call)
    {
        ArgumentNullException.ThrowIfNull(call);
        var text = new SortedJson(",", ":");
        text.Append("{\"agent\":").AppendString(call.Agent)
            .Append(",\"arguments\":").AppendValue(call.Arguments)
            .Append(",\"tool\":").AppendString(call.Tool).Append("}");
        return text.Sha256Hex();
    }
}

/// <summary>An approval that was given, as the policy needs to know it.</summary>
/// <param name="SubjectHash">What it was given for.</param>
/// <param name="Expires">It is worth nothing from this moment on.</param>
public sealed record GrantedApproval(string SubjectHash, DateTimeOffset Expires);
