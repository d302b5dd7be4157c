using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference.Wire;

namespace Rynxs.Gateway.Inference.Translation;

/// <summary>Whole answers of chat completions.</summary>
internal static class ChatAnswers
{
    public static Answer Read(JsonObject body) => new(
        body.String("id") ?? "", body.String("model") ?? "",
        [.. (body.Array("choices") ?? []).Select(choice =>
        {
            JsonObject? message = choice.Object("message");
            return new AnswerChoice(
                message.String("content") ?? message.String("refusal"),
                [.. (message.Array("tool_calls") ?? []).Select(call =>
                    new AnswerCall(call.String("id") ?? "", call.Object("function").String("name") ?? "", call.Object("function").String("arguments") ?? ""))],
                choice.String("finish_reason") ?? "stop");
        })],
        Usage.Of(body.Object("usage")));

    public static JsonObject Write(Answer answer, string model, DateTimeOffset now) => new()
    {
        ["id"] = answer.Id.Length > 0 ? answer.Id : "chatcmpl-rynxs",
        ["object"] = "chat.completion",
        ["created"] = now.ToUnixTimeSeconds(),
        ["model"] = model,
        ["choices"] = new JsonArray([.. answer.Choices.Select((choice, index) => new JsonObject
        {
            ["index"] = index,
            ["message"] = Message(choice),
            ["logprobs"] = null,
            ["finish_reason"] = choice.Finish,
        })]),
        ["usage"] = ChatStreamEncoder.UsageOf(answer.Usage),
    };

    private static JsonObject Message(AnswerChoice choice)
    {
        JsonObject message = new() { ["role"] = "assistant", ["content"] = choice.Text, ["refusal"] = null };
        if (choice.Calls.Count > 0)
        {
            message["tool_calls"] = new JsonArray([.. choice.Calls.Select(call => new JsonObject
            {
                ["id"] = call.Id,
                ["type"] = "function",
                ["function"] = new JsonObject { ["name"] = call.Name, ["arguments"] = call.Arguments },
            })]);
        }

        return message;
    }
}

/// <summary>Whole answers of the Messages API.</summary>
internal static class MessagesAnswers
{
    public static Answer Read(JsonObject body)
    {
        JsonArray content = body.Array("content") ?? [];
        string text = string.Concat(content.Where(block => block.String("type") == "text").Select(block => block.String("text")));
        AnswerCall[] calls = [.. content.Where(block => block.String("type") == "tool_use").Select(block =>
            new AnswerCall(block.String("id") ?? "", block.String("name") ?? "", JsonFields.Text(block?["input"] ?? new JsonObject())))];
        return new Answer(
            body.String("id") ?? "", body.String("model") ?? "",
            [new AnswerChoice(text.Length > 0 ? text : null, calls, StopReasons.ToChat(body.String("stop_reason"), calls.Length > 0))],
            Usage.Of(body.Object("usage")));
    }

    public static JsonObject Write(Answer answer, string model)
    {
        AnswerChoice choice = answer.Choices is [var first, ..] ? first : new AnswerChoice(null, [], "stop");
        JsonArray content = [];
        if (choice.Text is { Length: > 0 } text)
        {
            content.Add(new JsonObject { ["type"] = "text", ["text"] = text });
        }

        foreach (AnswerCall call in choice.Calls)
        {
            content.Add(new JsonObject { ["type"] = "tool_use", ["id"] = call.Id, ["name"] = call.Name, ["input"] = MessagesRequests.Arguments(call.Arguments) });
        }

        return new JsonObject
        {
            ["id"] = answer.Id.Length > 0 ? answer.Id : "msg_rynxs",
            ["type"] = "message",
            ["role"] = "assistant",
            ["model"] = model,
            ["content"] = content,
            ["stop_reason"] = StopReasons.ToMessages(choice.Finish),
            ["stop_sequence"] = null,
            ["usage"] = new JsonObject { ["input_tokens"] = answer.Usage.Input ?? 0, ["output_tokens"] = answer.Usage.Output ?? 0 },
        };
    }
}

/// <summary>Whole answers of the Responses API.</summary>
internal static class ResponsesAnswers
{
    public static string StatusOf(string finish) => finish is "length" or "content_filter" ? "incomplete" : "completed";

    public static JsonObject TextPart(string text) => new() { ["type"] = "output_text", ["text"] = text, ["annotations"] = new JsonArray(), ["logprobs"] = new JsonArray() };

    public static JsonObject Write(Answer answer, string model, DateTimeOffset now)
    {
        AnswerChoice choice = answer.Choices is [var first, ..] ? first : new AnswerChoice(null, [], "stop");
        JsonArray output = [];
        if (choice.Text is { Length: > 0 } text)
        {
            output.Add(new JsonObject { ["id"] = $"msg_{answer.Id}", ["type"] = "message", ["status"] = "completed", ["role"] = "assistant", ["content"] = new JsonArray(TextPart(text)) });
        }

        foreach (AnswerCall call in choice.Calls)
        {
            output.Add(new JsonObject
            {
                ["id"] = $"fc_{call.Id}",
                ["type"] = "function_call",
                ["status"] = "completed",
                ["call_id"] = call.Id,
                ["name"] = call.Name,
                ["arguments"] = call.Arguments,
            });
        }

        return Response($"resp_{answer.Id}", model, now, StatusOf(choice.Finish), output, answer.Usage);
    }

    public static JsonObject Response(string id, string model, DateTimeOffset now, string status, JsonArray output, Usage usage) => new()
    {
        ["id"] = id,
        ["object"] = "response",
        ["created_at"] = now.ToUnixTimeSeconds(),
        ["status"] = status,
        ["error"] = null,
        ["incomplete_details"] = status == "incomplete" ? new JsonObject { ["reason"] = "max_output_tokens" } : null,
        ["instructions"] = null,
        ["metadata"] = new JsonObject(),
        ["model"] = model,
        ["output"] = output,
        ["parallel_tool_calls"] = true,
        ["temperature"] = null,
        ["tool_choice"] = "auto",
        ["tools"] = new JsonArray(),
        ["top_p"] = null,
        ["store"] = false,
        ["usage"] = usage.IsWhole
            ? new JsonObject
            {
                ["input_tokens"] = usage.Input,
                ["input_tokens_details"] = new JsonObject { ["cached_tokens"] = 0 },
                ["output_tokens"] = usage.Output,
                ["output_tokens_details"] = new JsonObject { ["reasoning_tokens"] = 0 },
                ["total_tokens"] = usage.Input + usage.Output,
            }
            : null,
    };
}
