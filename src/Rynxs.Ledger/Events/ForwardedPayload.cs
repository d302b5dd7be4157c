using System.Text.Json;

namespace Rynxs.Ledger.Events;

/// <summary>
/// An event that another process made: recorded as it is, whatever its type. It is how the role <c>ledger</c> takes events, also of types that
/// this version does not know.
/// </summary>
public sealed record ForwardedPayload : LedgerPayload
{
    private readonly string _type;
    private readonly JsonElement _content;

    /// <param name="type">The record's <c>type</c>: 1 to 128 characters.</param>
    /// <param name="content">A JSON object. Numbers with a fraction have no canonical form and are refused when it is appended.</param>
    /// <exception cref="ArgumentException">The type is empty or too long, or the content is no object.</exception>
    public ForwardedPayload(string type, JsonElement content)
    {
        ArgumentException.ThrowIfNullOrEmpty(type);
        if (type.Length > 128)
        {
            throw new ArgumentException("type: at most 128 characters.", nameof(type));
        }

        if (content.ValueKind != JsonValueKind.Object)
        {
            throw new ArgumentException("payload: a JSON object is required.", nameof(content));
        }

        (_type, _content) = (type, content);
    }

    /// <inheritdoc/>
    public override string EventType => _type;

    /// <inheritdoc/>
    public override JsonElement ToJson() => _content;
}
