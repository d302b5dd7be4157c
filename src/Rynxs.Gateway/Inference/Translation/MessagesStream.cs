using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference.Wire;

namespace Rynxs.Gateway.Inference.Translation;

/// <summary>Why an answer ended, in the words of both APIs.</summary>
internal static class StopReasons
{
    public static string ToChat(string? reason, bool hasCalls) => reason switch
    {
        "max_tokens" or "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        null when hasCalls => "tool_calls",
        _ => "stop",
    };

    public static string ToMessages(string reason) => reason switch
    {
        "length" => "max_tokens",
        "tool_calls" or "function_call" => "tool_use",
        "content_filter" => "refusal",
        _ => "end_turn",
    };
}

/// <summary>Reads a stream of the Messages API.</summary>
internal sealed class MessagesStreamDecoder : IStreamDecoder
{
    private readonly Dictionary<long, int> _calls = [];

    public IEnumerable<Delta> Read(SseEvent sseEvent)
    {
        if (sseEvent.Data.IsEmpty)
        {
            yield break;
        }

        JsonObject data = JsonFields.ParseObject(sseEvent.Data.Span);
        switch (data.String("type"))
        {
            case "message_start":
                JsonObject? message = data.Object("message");
                yield return new Delta.Begin(message.String("id") ?? "", message.String("model") ?? "");
                yield return new Delta.Used(new Usage(Usage.Of(message.Object("usage")).Input, null));
                break;
            case "content_block_start" when data.Object("content_block").String("type") == "tool_use":
                JsonObject? block = data.Object("content_block");
                int index = _calls.Count;
                _calls[data.Long("index") ?? 0] = index;
                yield return new Delta.CallBegin(0, index, block.String("id") ?? "", block.String("name") ?? "");
                break;
            case "content_block_delta":
                JsonObject? delta = data.Object("delta");
                if (delta.String("text") is { Length: > 0 } text)
                {
                    yield return new Delta.Text(0, text);
                }
                else if (delta.String("partial_json") is { Length: > 0 } json && _calls.TryGetValue(data.Long("index") ?? 0, out int call))
                {
                    yield return new Delta.CallArguments(0, call, json);
                }

                break;
            case "message_delta":
                if (data.Object("delta").String("stop_reason") is { } reason)
                {
                    yield return new Delta.Finish(0, StopReasons.ToChat(reason, _calls.Count > 0));
                }

                yield return new Delta.Used(Usage.Of(data.Object("usage")));
                break;
            case "message_stop":
                yield return new Delta.End();
                break;
            case "error":
                yield return new Delta.Failed();
                break;
            default:
                break;
        }
    }
}

/// <summary>Writes a stream of the Messages API.</summary>
internal sealed class MessagesStreamEncoder(string model) : IStreamEncoder
{
    private bool _begun;
    private string _id = "msg_rynxs";
    private int _block = -1;
    private int _openCall = -1;
    private bool _open;
    private string _stop = "end_turn";
    private Usage _usage;

    public ReadOnlyMemory<byte> Write(Delta delta)
    {
        using MemoryStream bytes = new();
        switch (delta)
        {
            case Delta.Begin begin:
                _id = begin.Id.Length > 0 ? begin.Id : _id;
                EnsureBegun(bytes);
                break;
            case Delta.Text { Choice: 0 } text:
                EnsureBegun(bytes);
                if (!_open || _openCall >= 0)
                {
                    Start(bytes, new JsonObject { ["type"] = "text", ["text"] = "" }, -1);
                }

                Block(bytes, new JsonObject { ["type"] = "text_delta", ["text"] = text.Value });
                break;
            case Delta.CallBegin { Choice: 0 } call:
                EnsureBegun(bytes);
                Start(bytes, new JsonObject { ["type"] = "tool_use", ["id"] = call.Id, ["name"] = call.Name, ["input"] = new JsonObject() }, call.Index);
                break;
            case Delta.CallArguments { Choice: 0 } arguments when arguments.Index == _openCall:
                Block(bytes, new JsonObject { ["type"] = "input_json_delta", ["partial_json"] = arguments.Value });
                break;
            case Delta.CallArguments { Choice: 0 }:
                // Blocks cannot be taken up again there; no upstream met so far interleaves calls.
                throw new System.Text.Json.JsonException("Interleaved calls.");
            case Delta.Finish { Choice: 0 } finish:
                _stop = StopReasons.ToMessages(finish.Reason);
                break;
            case Delta.Used used:
                _usage = _usage.With(used.Usage);
                break;
            case Delta.End:
                EnsureBegun(bytes);
                Close(bytes);
                Event(bytes, "message_delta", new JsonObject
                {
                    ["type"] = "message_delta",
                    ["delta"] = new JsonObject { ["stop_reason"] = _stop, ["stop_sequence"] = null },
                    ["usage"] = new JsonObject { ["input_tokens"] = _usage.Input ?? 0, ["output_tokens"] = _usage.Output ?? 0 },
                });
                Event(bytes, "message_stop", new JsonObject { ["type"] = "message_stop" });
                break;
            default:
                break;
        }

        return bytes.ToArray();
    }

    public ReadOnlyMemory<byte> WriteError(string code, string message)
    {
        using MemoryStream bytes = new();
        Event(bytes, "error", new JsonObject { ["type"] = "error", ["error"] = new JsonObject { ["type"] = "api_error", ["message"] = $"{message} ({code})" } });
        return bytes.ToArray();
    }

    private static void Event(MemoryStream bytes, string name, JsonObject data)
    {
        bytes.Write(System.Text.Encoding.UTF8.GetBytes($"event: {name}\ndata: "));
        bytes.Write(JsonFields.Utf8(data));
        bytes.Write("\n\n"u8);
    }

    private void EnsureBegun(MemoryStream bytes)
    {
        if (_begun)
        {
            return;
        }

        _begun = true;
        Event(bytes, "message_start", new JsonObject
        {
            ["type"] = "message_start",
            ["message"] = new JsonObject
            {
                ["id"] = _id,
                ["type"] = "message",
                ["role"] = "assistant",
                ["model"] = model,
                ["content"] = new JsonArray(),
                ["stop_reason"] = null,
                ["stop_sequence"] = null,

                // Chat completions tell their usage at the end, where message_delta tells it again.
                ["usage"] = new JsonObject { ["input_tokens"] = _usage.Input ?? 0, ["output_tokens"] = 0 },
            },
        });
    }

    private void Start(MemoryStream bytes, JsonObject block, int call)
    {
        Close(bytes);
        _block++;
        (_open, _openCall) = (true, call);
        Event(bytes, "content_block_start", new JsonObject { ["type"] = "content_block_start", ["index"] = _block, ["content_block"] = block });
    }

    private void Block(MemoryStream bytes, JsonObject delta) =>
        Event(bytes, "content_block_delta", new JsonObject { ["type"] = "content_block_delta", ["index"] = _block, ["delta"] = delta });

    private void Close(MemoryStream bytes)
    {
        if (_open)
        {
            _open = false;
            Event(bytes, "content_block_stop", new JsonObject { ["type"] = "content_block_stop", ["index"] = _block });
        }
    }
}
