using System.Buffers;
using System.Buffers.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Storage;

/// <summary>
/// The bytes of a stored document: <c>{"apiVersion":A,"kind":K,"metadata":{"resourceVersion":"V",…},…}</c>. apiVersion and kind stand first, so that a list of a
/// built-in kind can leave them out and a second version of a kind can replace them without parsing; the version stands at a known place, so that the
/// commit can fill it in without serialising again.
/// </summary>
internal static class DocumentText
{
    private static readonly JsonWriterOptions WriterOptions = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = 512 };

    /// <summary>The document without its version.</summary>
    public static DocumentTemplate Serialize(JsonObject document)
    {
        ArrayBufferWriter<byte> output = new(1024);
        output.Write("{\"apiVersion\":"u8);
        WriteString(output, (string?)document["apiVersion"] ?? "");
        output.Write(",\"kind\":"u8);
        WriteString(output, (string?)document["kind"] ?? "");
        output.Write(",\"metadata\":{\"resourceVersion\":\""u8);
        int at = output.WrittenCount;
        output.Write("\""u8);
        using Utf8JsonWriter writer = new(output, WriterOptions);
        foreach ((string name, JsonNode? value) in (JsonObject)document["metadata"]!) // every document has metadata before it is stored
        {
            if (name == "resourceVersion")
                continue;
            output.Write(","u8);
            WriteMember(output, writer, name, value);
        }

        output.Write("}"u8);
        foreach ((string name, JsonNode? value) in document)
        {
            if (name is "apiVersion" or "kind" or "metadata")
                continue;
            output.Write(","u8);
            WriteMember(output, writer, name, value);
        }

        output.Write("}"u8);
        return new DocumentTemplate(output.WrittenSpan.ToArray(), at);
    }

    /// <summary>Bytes of any JSON value as the API writes it.</summary>
    public static byte[] Bytes(JsonNode? node)
    {
        ArrayBufferWriter<byte> output = new(1024);
        using Utf8JsonWriter writer = new(output, WriterOptions);
        Write(writer, node);
        return output.WrittenSpan.ToArray();
    }

    /// <inheritdoc cref="Bytes"/>
    public static void Write(Utf8JsonWriter writer, JsonNode? node)
    {
        if (node is null)
            writer.WriteNullValue();
        else
            node.WriteTo(writer);
        writer.Flush();
    }

    /// <summary>Parses a stored document.</summary>
    public static JsonObject Parse(ReadOnlySpan<byte> body) =>
        JsonNode.Parse(body, documentOptions: new JsonDocumentOptions { MaxDepth = 512 }) as JsonObject ?? throw new JsonException("a stored document is an object");

    /// <summary>Length of <c>{"apiVersion":A,"kind":K,</c>, what precedes <c>"metadata"</c>.</summary>
    public static int HeadLength(ReadOnlySpan<byte> body)
    {
        Utf8JsonReader reader = new(body, new JsonReaderOptions { MaxDepth = 512 });
        reader.Read(); // {
        reader.Read(); // "apiVersion"
        reader.Read();
        reader.Read(); // "kind"
        reader.Read();
        return (int)reader.BytesConsumed + 1; // the comma
    }

    /// <summary>The head that <see cref="HeadLength"/> measures, for another version of the kind.</summary>
    public static byte[] Head(string apiVersion, string kind)
    {
        ArrayBufferWriter<byte> output = new(128);
        output.Write("{\"apiVersion\":"u8);
        WriteString(output, apiVersion);
        output.Write(",\"kind\":"u8);
        WriteString(output, kind);
        output.Write(","u8);
        return output.WrittenSpan.ToArray();
    }

    /// <summary>The same document at another version.</summary>
    public static byte[] WithVersion(byte[] body, long version)
    {
        int at = HeadLength(body) + "\"metadata\":{\"resourceVersion\":\""u8.Length;
        int end = at + body.AsSpan(at).IndexOf((byte)'"');
        byte[] bare = [.. body.AsSpan(0, at), .. body.AsSpan(end)];
        return new DocumentTemplate(bare, at).WithVersion(version);
    }

    private static void WriteMember(ArrayBufferWriter<byte> output, Utf8JsonWriter writer, string name, JsonNode? value)
    {
        WriteString(output, name);
        output.Write(":"u8);
        writer.Reset(output);
        Write(writer, value);
    }

    private static void WriteString(ArrayBufferWriter<byte> output, string text)
    {
        output.Write("\""u8);
        output.Write(JsonEncodedText.Encode(text, JavaScriptEncoder.UnsafeRelaxedJsonEscaping).EncodedUtf8Bytes);
        output.Write("\""u8);
    }
}

/// <summary>A document that lacks nothing but its version.</summary>
/// <param name="Bytes">With an empty resourceVersion.</param>
/// <param name="VersionAt">Where the version's digits belong.</param>
internal sealed record DocumentTemplate(byte[] Bytes, int VersionAt)
{
    /// <summary>The complete document.</summary>
    public byte[] WithVersion(long version)
    {
        Span<byte> digits = stackalloc byte[20];
        Utf8Formatter.TryFormat(version, digits, out int length);
        byte[] body = new byte[Bytes.Length + length];
        Bytes.AsSpan(0, VersionAt).CopyTo(body);
        digits[..length].CopyTo(body.AsSpan(VersionAt));
        Bytes.AsSpan(VersionAt).CopyTo(body.AsSpan(VersionAt + length));
        return body;
    }

    /// <summary>The document with no version, as a dry run answers it.</summary>
    public byte[] WithoutVersion()
    {
        ReadOnlySpan<byte> empty = "\"resourceVersion\":\"\""u8;
        int start = VersionAt - empty.Length + 1;
        int end = VersionAt + 1;
        if (Bytes[end] == (byte)',')
            end++;
        return [.. Bytes.AsSpan(0, start), .. Bytes.AsSpan(end)];
    }
}
