using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference.Wire;

namespace Rynxs.Gateway.Inference.Translation;

/// <summary>Reads a stream of chat completions.</summary>
internal sealed class ChatStreamDecoder : IStreamDecoder
{
    private readonly HashSet<(int, int)> _calls = [];
    private bool _begun;

    public IEnumerable<Delta> Read(SseEvent sseEvent)
    {
        if (sseEvent.Data.IsEmpty)
        {
            yield break;
        }

        if (sseEvent.Data.Span.SequenceEqual("[DONE]"u8))
        {
            yield return new Delta.End();
            yield break;
        }

        JsonObject chunk = JsonFields.ParseObject(sseEvent.Data.Span);
        if (chunk.Has("error"))
        {
            yield return new Delta.Failed();
            yield break;
        }

        if (!_begun)
        {
            _begun = true;
            yield return new Delta.Begin(chunk.String("id") ?? "", chunk.String("model") ?? "");
        }

        foreach (JsonNode? choice in chunk.Array("choices") ?? [])
        {
            int index = (int)Math.Clamp(choice.Long("index") ?? 0, 0, 127);
            JsonObject? delta = choice.Object("delta");
            if ((delta.String("content") ?? delta.String("refusal")) is { Length: > 0 } text)
            {
                yield return new Delta.Text(index, text);
            }

            foreach (JsonNode? call in delta.Array("tool_calls") ?? [])
            {
                int position = (int)Math.Clamp(call.Long("index") ?? 0, 0, 1023);
                JsonObject? function = call.Object("function");
                if (_calls.Add((index, position)))
                {
                    yield return new Delta.CallBegin(index, position, call.String("id") ?? $"call_{position}", function.String("name") ?? "");
                }

                if (function.String("arguments") is { Length: > 0 } arguments)
                {
                    yield return new Delta.CallArguments(index, position, arguments);
                }
            }

            if (choice.String("finish_reason") is { } reason)
            {
                yield return new Delta.Finish(index, reason);
            }
        }

        if (chunk.Object("usage") is { } usage)
        {
            yield return new Delta.Used(Usage.Of(usage));
        }
    }
}

/// <summary>Writes a stream of chat completions.</summary>
internal sealed class ChatStreamEncoder(string model, bool wantsUsage, DateTimeOffset now) : IStreamEncoder
{
    private string _id = "chatcmpl-rynxs";
    private bool _role;
    private Usage _usage;

    public ReadOnlyMemory<byte> Write(Delta delta)
    {
        switch (delta)
        {
            case Delta.Begin begin:
                _id = begin.Id.Length > 0 ? begin.Id : _id;
                return default;
            case Delta.Text text:
                return Choice(text.Choice, new JsonObject { ["content"] = text.Value }, null);
            case Delta.CallBegin call:
                return Choice(call.Choice, Call(call.Index, new JsonObject
                {
                    ["index"] = call.Index,
                    ["id"] = call.Id,
                    ["type"] = "function",
                    ["function"] = new JsonObject { ["name"] = call.Name, ["arguments"] = "" },
                }), null);
            case Delta.CallArguments arguments:
                return Choice(arguments.Choice, Call(arguments.Index, new JsonObject { ["index"] = arguments.Index, ["function"] = new JsonObject { ["arguments"] = arguments.Value } }), null);
            case Delta.Finish finish:
                return Choice(finish.Choice, [], finish.Reason);
            case Delta.Used used:
                _usage = _usage.With(used.Usage);
                return default;
            case Delta.End:
                byte[] done = "data: [DONE]\n\n"u8.ToArray();
                if (!wantsUsage || !_usage.IsWhole)
                {
                    return done;
                }

                JsonObject last = Chunk([]);
                last["usage"] = UsageOf(_usage);
                return (byte[])[.. Event(last), .. done];
            default:
                return default;
        }
    }

    public ReadOnlyMemory<byte> WriteError(string code, string message) =>
        Event(new JsonObject { ["error"] = new JsonObject { ["message"] = message, ["type"] = "gateway_error", ["code"] = code } });

    internal static JsonObject UsageOf(Usage usage) => new()
    {
        ["prompt_tokens"] = usage.Input ?? 0,
        ["completion_tokens"] = usage.Output ?? 0,
        ["total_tokens"] = (usage.Input ?? 0) + (usage.Output ?? 0),
    };

    private static JsonObject Call(int index, JsonObject call)
    {
        call["index"] = index;
        return new JsonObject { ["tool_calls"] = new JsonArray(call) };
    }

    private static byte[] Event(JsonObject data) => [.. "data: "u8, .. JsonFields.Utf8(data), .. "\n\n"u8];

    private byte[] Choice(int index, JsonObject delta, string? finish)
    {
        if (!_role)
        {
            _role = true;
            delta["role"] = "assistant";
        }

        return Event(Chunk([new JsonObject { ["index"] = index, ["delta"] = delta, ["finish_reason"] = finish }]));
    }

    private JsonObject Chunk(JsonArray choices) => new()
    {
        ["id"] = _id,
        ["object"] = "chat.completion.chunk",
        ["created"] = now.ToUnixTimeSeconds(),
        ["model"] = model,
        ["choices"] = choices,
    };
}
