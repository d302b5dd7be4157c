using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Rynxs.Resources.Client;
using Rynxs.Resources.Serialization;

namespace Rynxs.Resources.Manifests;

/// <summary>One YAML document as JSON, whatever it holds, with the bounds and refusals of <see cref="ManifestReader"/>.</summary>
public static class YamlDocument
{
    /// <summary>UTF-8 JSON of the only document that is not empty; JSON itself is YAML too.</summary>
    /// <exception cref="ResourceException"><c>BadRequest</c>: no YAML, over a bound, none or more than one document.</exception>
    public static byte[] ToJson(ReadOnlySpan<byte> utf8, ManifestLimits limits)
    {
        try
        {
            if (utf8.Length > limits.MaxDocumentBytes)
                throw new TextSyntaxException("", FieldErrorCodes.TooLong, $"the text is {utf8.Length} bytes, at most {limits.MaxDocumentBytes} are allowed", 0, 0);
            if (utf8.StartsWith("\uFEFF"u8))
                utf8 = utf8[3..];
            JsonText.RequireUtf8(utf8);
            TextNode? only = null;
            foreach (TextNode root in new YamlText(Encoding.UTF8.GetString(utf8), limits).Documents())
            {
                if (root.Kind == TextNodeKind.Null)
                    continue;
                only = only is null ? root : throw new TextSyntaxException("", FieldErrorCodes.Invalid, "one YAML document is due", root.Line, root.Column);
            }

            if (only is null)
                throw new TextSyntaxException("", FieldErrorCodes.Required, "the text holds no document", 0, 0);
            ArrayBufferWriter<byte> output = new(utf8.Length);
            using (Utf8JsonWriter writer = new(output, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, MaxDepth = limits.MaxDepth + 2 }))
                Write(writer, only);
            return output.WrittenSpan.ToArray();
        }
        catch (TextSyntaxException e)
        {
            throw new ResourceException(ResourceErrorReason.BadRequest, e.Line > 0 ? $"line {e.Line}, column {e.Column}: {e.Error.Message}" : e.Error.Message, [e.Error]);
        }
    }

    private static void Write(Utf8JsonWriter writer, TextNode node)
    {
        switch (node.Kind)
        {
            case TextNodeKind.Mapping:
                writer.WriteStartObject();
                foreach ((string key, TextNode value) in node.Members)
                {
                    writer.WritePropertyName(key);
                    Write(writer, value);
                }

                writer.WriteEndObject();
                break;
            case TextNodeKind.Sequence:
                writer.WriteStartArray();
                foreach (TextNode item in node.Items)
                    Write(writer, item);
                writer.WriteEndArray();
                break;
            case TextNodeKind.Null:
                writer.WriteNullValue();
                break;
            case TextNodeKind.Boolean:
                writer.WriteBooleanValue(node.Text == "true");
                break;
            case TextNodeKind.Number:
                writer.WriteRawValue(node.Text, skipInputValidation: true); // a number in JSON's own grammar, or the reader refused it
                break;
            default:
                writer.WriteStringValue(node.Text);
                break;
        }
    }
}
