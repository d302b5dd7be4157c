using System.Collections.Frozen;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Protobuf;

/// <summary>
/// Objects in Kubernetes' protobuf form, as typed clients send built-in kinds (kubectl create, helm): four bytes <c>k8s\0</c>, then a message with apiVersion,
/// kind and the object. They become the JSON that the same client would have sent. Answers are JSON: every client takes them.
/// </summary>
public static class ProtobufDocument
{
    /// <summary>The media type.</summary>
    public const string MediaType = "application/vnd.kubernetes.protobuf";

    private const int MaxDepth = 64;
    private const int MaxValues = 200_000;

    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>The object as JSON.</summary>
    /// <exception cref="FormatException">It is not such an object, or one of a kind that has no protobuf form here.</exception>
    public static JsonObject Read(ReadOnlySpan<byte> body)
    {
        ReadOnlySpan<byte> magic = "k8s\0"u8;
        if (!body.StartsWith(magic))
            throw new FormatException("it does not begin as an object of Kubernetes does");

        string apiVersion = "", kind = "";
        ReadOnlySpan<byte> raw = [];
        WireReader envelope = new(body[magic.Length..]);
        while (envelope.Next())
        {
            switch (envelope.Number, envelope.WireType)
            {
                case (1, 2):
                    WireReader type = new(envelope.Bytes());
                    while (type.Next())
                    {
                        if (type is { Number: 1, WireType: 2 })
                            apiVersion = Text(type.Bytes());
                        else if (type is { Number: 2, WireType: 2 })
                            kind = Text(type.Bytes());
                        else
                            type.Skip();
                    }

                    break;
                case (2, 2):
                    raw = envelope.Bytes();
                    break;
                default:
                    envelope.Skip();
                    break;
            }
        }

        string message = FieldNumbers.MessageOf(apiVersion, kind) ?? throw new FormatException($"there is no protobuf form of {kind} in {apiVersion} here; send JSON");
        JsonObject document = new() { ["apiVersion"] = apiVersion, ["kind"] = kind };
        int values = 0;
        ReadInto(document, raw, message, depth: 0, ref values);
        return document;
    }

    private static void ReadInto(JsonObject target, ReadOnlySpan<byte> bytes, string message, int depth, ref int values)
    {
        if (depth > MaxDepth)
            throw new FormatException($"it is nested deeper than {MaxDepth} levels");
        FrozenDictionary<int, FieldNumber> fields = FieldNumbers.Of(message);
        WireReader reader = new(bytes);
        while (reader.Next())
        {
            if (++values > MaxValues)
                throw new FormatException($"it has more than {MaxValues} values");
            if (!fields.TryGetValue(reader.Number, out FieldNumber? field))
            {
                reader.Skip();
                continue;
            }

            if (field.Inline && field.Message is { } inlined)
            {
                ReadInto(target, Due(ref reader), inlined, depth + 1, ref values);
            }
            else if (field.Map)
            {
                ReadEntry(target, Due(ref reader), field, depth, ref values);
            }
            else if (field.Repeated)
            {
                if (target[field.Name] is not JsonArray list)
                    target[field.Name] = list = [];
                list.Add(Value(ref reader, field, depth, ref values));
            }
            else if (Value(ref reader, field, depth, ref values) is { } value && (field.KeepsZero || !IsZero(value, field.Form)))
            {
                target[field.Name] = value;
            }
        }
    }

    private static void ReadEntry(JsonObject target, ReadOnlySpan<byte> bytes, FieldNumber field, int depth, ref int values)
    {
        if (target[field.Name] is not JsonObject map)
            target[field.Name] = map = [];
        string key = "";
        JsonNode? value = null;
        WireReader entry = new(bytes);
        while (entry.Next())
        {
            if (entry is { Number: 1, WireType: 2 })
                key = Text(entry.Bytes());
            else if (entry.Number == 2)
                value = Value(ref entry, field, depth, ref values);
            else
                entry.Skip();
        }

        map[key] = value ?? (field.Form is FieldForm.Text or FieldForm.Bytes ? "" : null);
    }

    private static JsonNode? Value(ref WireReader reader, FieldNumber field, int depth, ref int values)
    {
        switch (field.Form)
        {
            case FieldForm.Integer:
                return reader.WireType == 0 ? JsonValue.Create((long)reader.Varint()) : throw Wrong(field);
            case FieldForm.Boolean:
                return reader.WireType == 0 ? JsonValue.Create(reader.Varint() != 0) : throw Wrong(field);
            case FieldForm.Number:
                return reader.WireType == 1 ? JsonValue.Create(reader.Number64()) : throw Wrong(field);
        }

        ReadOnlySpan<byte> bytes = Due(ref reader);
        switch (field.Form)
        {
            case FieldForm.Text:
                return JsonValue.Create(Text(bytes));
            case FieldForm.Bytes:
                return JsonValue.Create(Convert.ToBase64String(bytes));
            case FieldForm.Message:
                JsonObject inner = [];
                ReadInto(inner, bytes, field.Message ?? throw new UnreachableException("A message has a name."), depth + 1, ref values);
                return inner;
            case FieldForm.TextList:
                return Items(bytes);
            case FieldForm.RawJson:
                return Raw(bytes);
            case FieldForm.Quantity:
                return JsonValue.Create(Text(Inside(bytes)));
            case FieldForm.IntOrString:
                return IntOrString(bytes);
            case FieldForm.Duration:
                return JsonValue.Create((Integers(bytes).First / 1e9).ToString("0.#########", CultureInfo.InvariantCulture) + "s");
            case FieldForm.Time:
                return Moment(bytes, "yyyy-MM-dd'T'HH:mm:ss'Z'");
            case FieldForm.MicroTime:
                return Moment(bytes, "yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'");
            default:
                throw new UnreachableException($"{field.Form} is read above.");
        }
    }

    private static JsonValue? Moment(ReadOnlySpan<byte> bytes, string format)
    {
        if (bytes.IsEmpty)
            return null; // the zero time, which JSON writes as null
        (long seconds, long nanos) = Integers(bytes);
        // 0001-01-01 and 9999-12-31, the range of RFC 3339.
        if (seconds is < -62_135_596_800 or > 253_402_300_799 || nanos is < 0 or > 999_999_999)
            throw new FormatException("a time is outside of the years 1 to 9999");
        return JsonValue.Create(DateTimeOffset.FromUnixTimeSeconds(seconds).AddTicks(nanos / 100).ToString(format, CultureInfo.InvariantCulture));
    }

    private static JsonValue IntOrString(ReadOnlySpan<byte> bytes)
    {
        long type = 0, number = 0;
        string text = "";
        WireReader reader = new(bytes);
        while (reader.Next())
        {
            if (reader is { Number: 1, WireType: 0 })
                type = (long)reader.Varint();
            else if (reader is { Number: 2, WireType: 0 })
                number = (long)reader.Varint();
            else if (reader is { Number: 3, WireType: 2 })
                text = Text(reader.Bytes());
            else
                reader.Skip();
        }

        return type == 1 ? JsonValue.Create(text) : JsonValue.Create(number);
    }

    /// <summary>The first two integers of a message.</summary>
    private static (long First, long Second) Integers(ReadOnlySpan<byte> bytes)
    {
        long first = 0, second = 0;
        WireReader reader = new(bytes);
        while (reader.Next())
        {
            if (reader is { Number: 1, WireType: 0 })
                first = (long)reader.Varint();
            else if (reader is { Number: 2, WireType: 0 })
                second = (long)reader.Varint();
            else
                reader.Skip();
        }

        return (first, second);
    }

    private static JsonArray Items(ReadOnlySpan<byte> bytes)
    {
        JsonArray items = [];
        WireReader reader = new(bytes);
        while (reader.Next())
        {
            if (reader is { Number: 1, WireType: 2 })
                items.Add(Text(reader.Bytes()));
            else
                reader.Skip();
        }

        return items;
    }

    /// <summary>The bytes of field 1.</summary>
    private static ReadOnlySpan<byte> Inside(ReadOnlySpan<byte> bytes)
    {
        WireReader reader = new(bytes);
        while (reader.Next())
        {
            if (reader is { Number: 1, WireType: 2 })
                return reader.Bytes();
            reader.Skip();
        }

        return [];
    }

    private static JsonNode? Raw(ReadOnlySpan<byte> bytes)
    {
        ReadOnlySpan<byte> json = Inside(bytes);
        if (json.IsEmpty)
            return null;
        try
        {
            return JsonNode.Parse(json, documentOptions: new JsonDocumentOptions { MaxDepth = MaxDepth });
        }
        catch (JsonException e)
        {
            throw new FormatException("a raw object is not JSON", e);
        }
    }

    private static ReadOnlySpan<byte> Due(ref WireReader reader) =>
        reader.WireType == 2 ? reader.Bytes() : throw new FormatException("a field has another form than its kind says");

    private static FormatException Wrong(FieldNumber field) => new($"the field {field.Name} has another form than its kind says");

    private static bool IsZero(JsonNode value, FieldForm form) => form switch
    {
        FieldForm.Text or FieldForm.Bytes => value.GetValue<string>().Length == 0,
        FieldForm.Integer => value.GetValue<long>() == 0,
        FieldForm.Number => value.GetValue<double>() == 0,
        FieldForm.Boolean => !value.GetValue<bool>(),
        FieldForm.Quantity => value.GetValue<string>() is "" or "0",
        FieldForm.IntOrString => value is JsonValue number && number.TryGetValue(out long zero) && zero == 0,
        FieldForm.Message => value is JsonObject { Count: 0 },
        _ => false,
    };

    private static string Text(ReadOnlySpan<byte> bytes)
    {
        try
        {
            return StrictUtf8.GetString(bytes);
        }
        catch (DecoderFallbackException e)
        {
            throw new FormatException("a text is not UTF-8", e);
        }
    }
}
