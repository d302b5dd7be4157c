using System.Collections.Frozen;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Rynxs.Ledger.Events;

/// <summary>What a record's payload turned out to be.</summary>
/// <remarks>
/// Reading is tolerant where writing is strict: a later minor version may add fields to a type, and those are ignored here and stay in the
/// record. It may not remove or retype one; that is <see cref="Malformed"/>. A type that this version does not know is
/// <see cref="Unknown"/> and keeps its name, so that every caller can say what it did not understand.
/// </remarks>
public abstract record PayloadReading
{
    private PayloadReading()
    {
    }

    /// <summary>A payload of a type that this version knows.</summary>
    public sealed record Known(LedgerPayload Payload) : PayloadReading;

    /// <summary>A type of a later version, or of somebody else.</summary>
    /// <param name="Type">As the record states it; untrusted text.</param>
    public sealed record Unknown(string Type) : PayloadReading;

    /// <summary>A known type whose payload lacks a field or has one of another type.</summary>
    /// <param name="Type">The type.</param>
    /// <param name="Reason">Names the field; quotes no content.</param>
    public sealed record Malformed(string Type, string Reason) : PayloadReading;

    private static readonly JsonSerializerOptions Tolerant = new(LedgerPayloadContext.Default.Options)
    {
        RespectNullableAnnotations = true,
        TypeInfoResolver = LedgerPayloadContext.Default,
        MaxDepth = LedgerLimits.MaxDepth,
    };

    private static readonly FrozenDictionary<string, Type> Types = typeof(LedgerPayload).Assembly.GetTypes()
        .Where(type => type.IsSealed && type.IsSubclassOf(typeof(LedgerPayload)) && type != typeof(ForwardedPayload)) // Any type at all, as another process made it.
        .ToFrozenDictionary(type => type.Name, StringComparer.Ordinal);

    /// <summary>Names of the types that this version knows, in ordinal order.</summary>
    public static IReadOnlyList<string> KnownTypes { get; } = [.. Types.Keys.Order(StringComparer.Ordinal)];

    /// <summary>Reads the payload of a record.</summary>
    public static PayloadReading Of(LedgerRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        return Of(record.Type, record.Payload);
    }

    /// <summary>Reads a payload by the name of its type.</summary>
    public static PayloadReading Of(string type, JsonElement payload)
    {
        if (!Types.TryGetValue(type, out Type? known))
        {
            return new Unknown(type);
        }

        try
        {
            JsonTypeInfo reader = Tolerant.GetTypeInfo(known);
            return payload.Deserialize(reader) is LedgerPayload read ? new Known(read) : new Malformed(type, "The payload is null.");
        }
        catch (JsonException exception)
        {
            // The message of a missing field names it; that of a wrong type has a path. Neither quotes the value.
            string reason = exception.Path is { Length: > 1 } path ? $"The field '{path.TrimStart('$', '.')}' has a wrong type." : exception.Message;
            return new Malformed(type, reason);
        }
        catch (InvalidOperationException)
        {
            return new Malformed(type, "A text is not valid UTF-8.");
        }
    }
}
