using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference.Wire;

namespace Rynxs.Gateway.Inference.Translation;

/// <summary>Chat completions as a Messages request, for Anthropic upstreams.</summary>
internal static class MessagesRequests
{
    /// <exception cref="BadRequestException">A parameter that would change the answer has no counterpart.</exception>
    public static JsonObject FromChat(JsonObject chat)
    {
        foreach (string name in (ReadOnlySpan<string>)["logprobs", "logit_bias", "grammar", "json_schema", "chat_template_kwargs"])
        {
            if (chat[name] is JsonValue flag && flag.TryGetValue(out bool wanted) ? wanted : chat.Has(name))
            {
                throw new BadRequestException($"{name}: the upstream of this model has no counterpart for it.");
            }
        }

        if (chat.Long("n") > 1 || chat.Object("response_format").String("type") is not (null or "text"))
        {
            throw new BadRequestException("n, response_format: the upstream of this model has no counterpart for more than one choice or for forced formats.");
        }

        List<string> system = [];
        JsonArray messages = [];
        foreach (JsonNode? message in chat.Array("messages") ?? [])
        {
            switch (message.String("role"))
            {
                case "system" or "developer":
                    system.Add(ChatRequests.TextOf(message?["content"]) ?? "");
                    break;
                case "assistant":
                    Add(messages, "assistant", Assistant(message));
                    break;
                case "tool":
                    Add(messages, "user",
                    [
                        new JsonObject
                        {
                            ["type"] = "tool_result",
                            ["tool_use_id"] = message.String("tool_call_id"),
                            ["content"] = ChatRequests.TextOf(message?["content"]) ?? "",
                        },
                    ]);
                    break;
                default:
                    Add(messages, "user", User(message?["content"]));
                    break;
            }
        }

        JsonObject body = new() { ["model"] = chat.String("model"), ["messages"] = messages, ["max_tokens"] = chat.Long("max_completion_tokens") ?? chat.Long("max_tokens") };
        if (system.Count > 0)
        {
            body["system"] = string.Join("\n\n", system);
        }

        ChatRequests.Copy(chat, body, "top_p", "top_k", "stream");
        if (chat.Double("temperature") is { } temperature)
        {
            body["temperature"] = Math.Min(1, temperature); // 0 to 1 there, 0 to 2 here.
        }

        if (chat["stop"] is { } stop)
        {
            body["stop_sequences"] = stop is JsonArray ? stop.DeepClone() : new JsonArray(stop.DeepClone());
        }

        if (chat.String("user") is { } user)
        {
            body["metadata"] = new JsonObject { ["user_id"] = user };
        }

        AddTools(chat, body);
        return body;
    }

    private static void AddTools(JsonObject chat, JsonObject body)
    {
        if (chat.Array("tools") is not { Count: > 0 } tools)
        {
            return;
        }

        body["tools"] = new JsonArray([.. tools.Select(tool =>
        {
            JsonObject? function = tool.Object("function");
            JsonObject made = new()
            {
                ["name"] = function.String("name"),
                ["input_schema"] = function?["parameters"]?.DeepClone() ?? new JsonObject { ["type"] = "object", ["properties"] = new JsonObject() },
            };
            ChatRequests.Copy(function, made, "description");
            return (JsonNode?)made;
        })]);
        JsonObject? choice = chat["tool_choice"] switch
        {
            JsonObject named => new JsonObject { ["type"] = "tool", ["name"] = named.Object("function").String("name") },
            var word => word.AsText() switch
            {
                "required" => new JsonObject { ["type"] = "any" },
                "none" => new JsonObject { ["type"] = "none" },
                "auto" => new JsonObject { ["type"] = "auto" },
                _ => null,
            },
        };
        if (chat.Bool("parallel_tool_calls") == false)
        {
            choice ??= new JsonObject { ["type"] = "auto" };
            choice["disable_parallel_tool_use"] = true;
        }

        if (choice is not null)
        {
            body["tool_choice"] = choice;
        }
    }

    /// <summary>Roles alternate there: what follows in the same role joins the message before.</summary>
    private static void Add(JsonArray messages, string role, JsonArray blocks)
    {
        if (messages is [.., { } last] && last.String("role") == role && last.Array("content") is { } content)
        {
            foreach (JsonNode? block in blocks.ToArray())
            {
                blocks.Remove(block);
                content.Add(block);
            }
        }
        else if (blocks.Count > 0)
        {
            messages.Add(new JsonObject { ["role"] = role, ["content"] = blocks });
        }
    }

    private static JsonArray Assistant(JsonNode? message)
    {
        JsonArray blocks = [];
        if (ChatRequests.TextOf(message?["content"]) is { Length: > 0 } text)
        {
            blocks.Add(new JsonObject { ["type"] = "text", ["text"] = text });
        }

        foreach (JsonNode? call in message.Array("tool_calls") ?? [])
        {
            JsonObject? function = call.Object("function");
            blocks.Add(new JsonObject { ["type"] = "tool_use", ["id"] = call.String("id"), ["name"] = function.String("name"), ["input"] = Arguments(function.String("arguments")) });
        }

        return blocks;
    }

    /// <summary>Arguments as an object; a model may have written something else, which its next turn then sees as text.</summary>
    internal static JsonObject Arguments(string? text)
    {
        try
        {
            return text is { Length: > 0 } ? JsonFields.ParseObject(System.Text.Encoding.UTF8.GetBytes(text)) : [];
        }
        catch (JsonException)
        {
            return new JsonObject { ["text"] = text };
        }
    }

    private static JsonArray User(JsonNode? content)
    {
        if (content is not JsonArray parts)
        {
            return [new JsonObject { ["type"] = "text", ["text"] = content.AsText() ?? "" }];
        }

        JsonArray blocks = [];
        foreach (JsonNode? part in parts)
        {
            if (part.String("type") == "text")
            {
                blocks.Add(new JsonObject { ["type"] = "text", ["text"] = part.String("text") });
            }
            else if (part.Object("image_url").String("url") is { } url)
            {
                blocks.Add(new JsonObject { ["type"] = "image", ["source"] = Source(url) });
            }
        }

        return blocks;
    }

    private static JsonObject Source(string url)
    {
        int comma = url.IndexOf(";base64,", StringComparison.Ordinal);
        return url.StartsWith("data:", StringComparison.Ordinal) && comma > 0
            ? new JsonObject { ["type"] = "base64", ["media_type"] = url[5..comma], ["data"] = url[(comma + 8)..] }
            : new JsonObject { ["type"] = "url", ["url"] = url };
    }
}
