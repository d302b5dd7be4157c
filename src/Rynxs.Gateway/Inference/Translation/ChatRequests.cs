using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference.Wire;

namespace Rynxs.Gateway.Inference.Translation;

/// <summary>Requests of other APIs as chat completions: the form through which everything is translated.</summary>
internal static class ChatRequests
{
    /// <summary>A Messages request as chat completions. What a model has thought is left out: no other API takes it back.</summary>
    public static JsonObject FromMessages(JsonObject body)
    {
        JsonArray messages = [];
        if (TextOf(body["system"]) is { Length: > 0 } system)
        {
            messages.Add(new JsonObject { ["role"] = "system", ["content"] = system });
        }

        foreach (JsonNode? message in body.Array("messages") ?? [])
        {
            if (message.String("role") == "assistant")
            {
                messages.Add(Assistant(message?["content"]));
            }
            else
            {
                AddUser(messages, message?["content"]);
            }
        }

        JsonObject chat = new() { ["model"] = body.String("model"), ["messages"] = messages, ["max_tokens"] = body.Long("max_tokens") };
        Copy(body, chat, "temperature", "top_p", "top_k", "stream");
        CopyAs(body, "stop_sequences", chat, "stop");
        if (body.Object("metadata").String("user_id") is { } user)
        {
            chat["user"] = user;
        }

        if (body.Array("tools") is { Count: > 0 } tools)
        {
            chat["tools"] = new JsonArray([.. tools.Select(tool => Function(tool.String("name"), tool.String("description"), (tool as JsonObject)?["input_schema"], null))]);
        }

        JsonObject? choice = body.Object("tool_choice");
        if (choice.String("type") is { } type)
        {
            chat["tool_choice"] = type switch
            {
                "any" => "required",
                "tool" => new JsonObject { ["type"] = "function", ["function"] = new JsonObject { ["name"] = choice.String("name") } },
                "none" => "none",
                _ => (JsonNode)"auto",
            };
        }

        if (choice.Bool("disable_parallel_tool_use") == true)
        {
            chat["parallel_tool_calls"] = false;
        }

        return chat;
    }

    /// <summary>A Responses request as chat completions.</summary>
    public static JsonObject FromResponses(JsonObject body)
    {
        JsonArray messages = [];
        if (body.String("instructions") is { Length: > 0 } instructions)
        {
            messages.Add(new JsonObject { ["role"] = "system", ["content"] = instructions });
        }

        if (body["input"].AsText() is { } text)
        {
            messages.Add(new JsonObject { ["role"] = "user", ["content"] = text });
        }

        foreach (JsonNode? item in body.Array("input") ?? [])
        {
            AddItem(messages, item);
        }

        JsonObject chat = new() { ["model"] = body.String("model"), ["messages"] = messages };
        CopyAs(body, "max_output_tokens", chat, "max_completion_tokens");
        Copy(body, chat, "temperature", "top_p", "stream", "parallel_tool_calls", "user");
        CopyAs(body.Object("reasoning"), "effort", chat, "reasoning_effort");
        if (body.Object("text").Object("format") is { } format && format.String("type") is "json_schema" or "json_object")
        {
            JsonObject given = body.Object("text").Object("format") ?? [];
            chat["response_format"] = given.String("type") == "json_object"
                ? new JsonObject { ["type"] = "json_object" }
                : new JsonObject
                {
                    ["type"] = "json_schema",
                    ["json_schema"] = new JsonObject { ["name"] = given.String("name"), ["schema"] = given["schema"]?.DeepClone(), ["strict"] = given["strict"]?.DeepClone() },
                };
        }

        if (body.Array("tools") is { Count: > 0 } tools)
        {
            chat["tools"] = new JsonArray([.. tools.Select(tool => Function(tool.String("name"), tool.String("description"), (tool as JsonObject)?["parameters"], tool.Bool("strict")))]);
        }

        chat["tool_choice"] = body["tool_choice"] switch
        {
            null => null,
            JsonObject choice => new JsonObject { ["type"] = "function", ["function"] = new JsonObject { ["name"] = choice.String("name") } },
            var word => word.DeepClone(),
        };
        if (chat["tool_choice"] is null)
        {
            chat.Remove("tool_choice");
        }

        return chat;
    }

    internal static void Copy(JsonObject? from, JsonObject to, params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            CopyAs(from, name, to, name);
        }
    }

    internal static void CopyAs(JsonObject? from, string name, JsonObject to, string other)
    {
        if (from?[name] is { } value)
        {
            to[other] = value.DeepClone();
        }
    }

    /// <summary>Texts of a content that is a text or a list of parts.</summary>
    internal static string? TextOf(JsonNode? content) => content switch
    {
        JsonArray parts => string.Concat(parts.Select(part => part.String("text") ?? part.String("refusal") ?? "")),
        _ => content.AsText(),
    };

    private static JsonObject Function(string? name, string? description, JsonNode? schema, bool? strict)
    {
        JsonObject function = new() { ["name"] = name, ["parameters"] = schema?.DeepClone() ?? new JsonObject { ["type"] = "object", ["properties"] = new JsonObject() } };
        if (description is not null)
        {
            function["description"] = description;
        }

        if (strict is not null)
        {
            function["strict"] = strict;
        }

        return new JsonObject { ["type"] = "function", ["function"] = function };
    }

    private static JsonObject Assistant(JsonNode? content)
    {
        JsonObject message = new() { ["role"] = "assistant", ["content"] = TextOf(content) is { Length: > 0 } text ? text : null };
        JsonArray calls = [];
        foreach (JsonNode? block in content as JsonArray ?? [])
        {
            if (block.String("type") == "tool_use")
            {
                calls.Add(Call(block.String("id"), block.String("name"), JsonFields.Text(block?["input"] ?? new JsonObject())));
            }
        }

        if (calls.Count > 0)
        {
            message["tool_calls"] = calls;
        }

        return message;
    }

    private static JsonObject Call(string? id, string? name, string? arguments) =>
        new() { ["id"] = id, ["type"] = "function", ["function"] = new JsonObject { ["name"] = name, ["arguments"] = arguments } };

    private static void AddUser(JsonArray messages, JsonNode? content)
    {
        if (content.AsText() is { } plain)
        {
            messages.Add(new JsonObject { ["role"] = "user", ["content"] = plain });
            return;
        }

        JsonArray parts = [];
        foreach (JsonNode? block in content as JsonArray ?? [])
        {
            switch (block.String("type"))
            {
                case "tool_result":
                    messages.Add(new JsonObject { ["role"] = "tool", ["tool_call_id"] = block.String("tool_use_id"), ["content"] = TextOf(block?["content"]) ?? "" });
                    break;
                case "text":
                    parts.Add(new JsonObject { ["type"] = "text", ["text"] = block.String("text") });
                    break;
                case "image":
                    JsonObject? source = block.Object("source");
                    string? url = source.String("type") == "url" ? source.String("url") : $"data:{source.String("media_type")};base64,{source.String("data")}";
                    parts.Add(new JsonObject { ["type"] = "image_url", ["image_url"] = new JsonObject { ["url"] = url } });
                    break;
                default:
                    break;
            }
        }

        if (parts.Count > 0)
        {
            // One text as a text: small servers take no lists.
            messages.Add(new JsonObject { ["role"] = "user", ["content"] = parts is [{ } only] && only.String("type") == "text" ? only.String("text") : parts });
        }
    }

    private static void AddItem(JsonArray messages, JsonNode? item)
    {
        switch (item.String("type"))
        {
            case "function_call":
                JsonObject call = Call(item.String("call_id"), item.String("name"), item.String("arguments"));
                if (messages is [.., { } last] && last.Array("tool_calls") is { } calls)
                {
                    calls.Add(call);
                }
                else
                {
                    messages.Add(new JsonObject { ["role"] = "assistant", ["content"] = null, ["tool_calls"] = new JsonArray(call) });
                }

                break;
            case "function_call_output":
                messages.Add(new JsonObject { ["role"] = "tool", ["tool_call_id"] = item.String("call_id"), ["content"] = TextOf(item?["output"]) ?? "" });
                break;
            case "reasoning":
                break;
            default:
                string role = item.String("role") switch { "assistant" => "assistant", "system" or "developer" => "system", _ => "user" };
                JsonArray parts = item?["content"] as JsonArray ?? [];
                bool images = parts.Any(part => part.String("type") == "input_image");
                messages.Add(new JsonObject
                {
                    ["role"] = role,
                    ["content"] = images
                        ? new JsonArray([.. parts.Select(part => part.String("type") == "input_image"
                            ? new JsonObject { ["type"] = "image_url", ["image_url"] = new JsonObject { ["url"] = part.String("image_url") } }
                            : new JsonObject { ["type"] = "text", ["text"] = part.String("text") })])
                        : TextOf(item?["content"]) ?? "",
                });
                break;
        }
    }
}
