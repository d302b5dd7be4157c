using System.Text;
using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference.Wire;

namespace Rynxs.Gateway.Inference.Translation;

/// <summary>Writes a stream of the Responses API.</summary>
internal sealed class ResponsesStreamEncoder(string model, DateTimeOffset now) : IStreamEncoder
{
    private readonly JsonArray _output = [];
    private readonly StringBuilder _text = new();
    private string _id = "resp_rynxs";
    private bool _begun;
    private int _sequence;
    private JsonObject? _item;
    private int _call = -1;
    private string _finish = "stop";
    private Usage _usage;

    public ReadOnlyMemory<byte> Write(Delta delta)
    {
        using MemoryStream bytes = new();
        switch (delta)
        {
            case Delta.Begin begin:
                _id = begin.Id.Length > 0 ? $"resp_{begin.Id}" : _id;
                EnsureBegun(bytes);
                break;
            case Delta.Text { Choice: 0 } text:
                EnsureBegun(bytes);
                if (_item.String("type") != "message")
                {
                    Start(bytes, new JsonObject { ["id"] = $"msg_{_output.Count}_{_id}", ["type"] = "message", ["status"] = "in_progress", ["role"] = "assistant", ["content"] = new JsonArray() }, -1);
                    Event(bytes, "response.content_part.added", At(new JsonObject { ["content_index"] = 0, ["part"] = ResponsesAnswers.TextPart("") }));
                }

                _text.Append(text.Value);
                Event(bytes, "response.output_text.delta", At(new JsonObject { ["content_index"] = 0, ["delta"] = text.Value, ["logprobs"] = new JsonArray() }));
                break;
            case Delta.CallBegin { Choice: 0 } call:
                EnsureBegun(bytes);
                Start(bytes, new JsonObject
                {
                    ["id"] = $"fc_{call.Id}",
                    ["type"] = "function_call",
                    ["status"] = "in_progress",
                    ["call_id"] = call.Id,
                    ["name"] = call.Name,
                    ["arguments"] = "",
                }, call.Index);
                break;
            case Delta.CallArguments { Choice: 0 } arguments when arguments.Index == _call:
                _text.Append(arguments.Value);
                Event(bytes, "response.function_call_arguments.delta", At(new JsonObject { ["delta"] = arguments.Value }));
                break;
            case Delta.CallArguments { Choice: 0 }:
                throw new System.Text.Json.JsonException("Interleaved calls.");
            case Delta.Finish { Choice: 0 } finish:
                _finish = finish.Reason;
                break;
            case Delta.Used used:
                _usage = _usage.With(used.Usage);
                break;
            case Delta.End:
                EnsureBegun(bytes);
                Close(bytes);
                string status = ResponsesAnswers.StatusOf(_finish);
                Event(bytes, $"response.{status}", new JsonObject { ["response"] = ResponsesAnswers.Response(_id, model, now, status, (JsonArray)_output.DeepClone(), _usage) });
                break;
            default:
                break;
        }

        return bytes.ToArray();
    }

    public ReadOnlyMemory<byte> WriteError(string code, string message)
    {
        using MemoryStream bytes = new();
        Event(bytes, "error", new JsonObject { ["code"] = code, ["message"] = message, ["param"] = null });
        return bytes.ToArray();
    }

    private void Event(MemoryStream bytes, string type, JsonObject data)
    {
        data["type"] = type;
        data["sequence_number"] = _sequence++;
        bytes.Write(Encoding.UTF8.GetBytes($"event: {type}\ndata: "));
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
        foreach (string type in (ReadOnlySpan<string>)["response.created", "response.in_progress"])
        {
            Event(bytes, type, new JsonObject { ["response"] = ResponsesAnswers.Response(_id, model, now, "in_progress", [], default) });
        }
    }

    private JsonObject At(JsonObject data)
    {
        data["item_id"] = _item.String("id");
        data["output_index"] = _output.Count;
        return data;
    }

    private void Start(MemoryStream bytes, JsonObject item, int call)
    {
        Close(bytes);
        (_item, _call) = (item, call);
        _text.Clear();
        Event(bytes, "response.output_item.added", new JsonObject { ["output_index"] = _output.Count, ["item"] = item.DeepClone() });
    }

    private void Close(MemoryStream bytes)
    {
        if (_item is not { } item)
        {
            return;
        }

        string text = _text.ToString();
        item["status"] = "completed";
        if (_call >= 0)
        {
            item["arguments"] = text;
            Event(bytes, "response.function_call_arguments.done", At(new JsonObject { ["arguments"] = text, ["name"] = item.String("name") }));
        }
        else
        {
            Event(bytes, "response.output_text.done", At(new JsonObject { ["content_index"] = 0, ["text"] = text, ["logprobs"] = new JsonArray() }));
            Event(bytes, "response.content_part.done", At(new JsonObject { ["content_index"] = 0, ["part"] = ResponsesAnswers.TextPart(text) }));
            item["content"] = new JsonArray(ResponsesAnswers.TextPart(text));
        }

        Event(bytes, "response.output_item.done", new JsonObject { ["output_index"] = _output.Count, ["item"] = item.DeepClone() });
        _output.Add(item.DeepClone());
        (_item, _call) = (null, -1);
    }
}
