using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference.Wire;
using Rynxs.Policy.Inference;

namespace Rynxs.Gateway.Inference.Relay;

/// <summary>What a stream that is passed on as it came has told: usage, failure, completion. Only events that can say so are parsed.</summary>
internal sealed class StreamWatch(InferenceEndpoint speaks, bool wantsUsage)
{
    public Usage Usage { get; private set; }

    /// <summary>Its sign of completion came.</summary>
    public bool IsWhole { get; private set; }

    /// <summary>The upstream reported a failure inside it.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>Looks at an event; false when it is ours alone (usage that the caller did not ask for).</summary>
    /// <exception cref="JsonException">It is not what the API says.</exception>
    public bool See(SseEvent sseEvent)
    {
        ReadOnlySpan<byte> data = sseEvent.Data.Span;
        if (speaks == InferenceEndpoint.ChatCompletions)
        {
            if (data.SequenceEqual("[DONE]"u8))
            {
                IsWhole = true;
                return true;
            }

            if (data.IndexOf("\"usage\""u8) < 0 && data.IndexOf("\"error\""u8) < 0)
            {
                // Bytes that are no JSON would reach a client's parser all the same: they must at least look like an object.
                return data.IsEmpty || (data[0] == '{' && data.TrimEnd((byte)' ')[^1] == '}') ? true : throw new JsonException();
            }

            JsonObject chunk = JsonFields.ParseObject(data);
            HasFailed |= chunk.Has("error");
            if (chunk.Object("usage") is { } usage)
            {
                Usage = Usage.With(Usage.Of(usage));
                return wantsUsage || chunk.Array("choices") is not ({ Count: 0 } or null);
            }

            return true;
        }

        string? type = sseEvent.Name;
        if (type is null or "message_start" or "message_delta" or "message_stop" or "error" or "response.completed" or "response.incomplete" or "response.failed" && !data.IsEmpty)
        {
            JsonObject? body = data.IsEmpty ? null : JsonFields.ParseObject(data);
            type = body.String("type") ?? type;
            Usage = Usage.With(Usage.Of(body.Object("usage") ?? body.Object("message").Object("usage") ?? body.Object("response").Object("usage")));
            HasFailed |= type is "error" or "response.failed";
            IsWhole |= type is "message_stop" or "response.completed" or "response.incomplete";
        }

        return true;
    }
}
