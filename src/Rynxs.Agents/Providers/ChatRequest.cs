using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Agents.Tools;

namespace Rynxs.Agents.Providers;

/// <summary>
/// Function names of the wire, which allows no dots, and ours. A name that the model made up stays as it is: the policy will deny it.
/// </summary>
internal sealed class ToolNames(IReadOnlyList<ToolDefinition> tools)
{
    private readonly Dictionary<string, string> _ours = tools.ToDictionary(tool => ToWire(tool.Name), tool => tool.Name);

    public static string ToWire(string tool) => tool.Replace('.', '_');

    public string FromWire(string name) => _ours.GetValueOrDefault(name, name);
}

/// <summary>Writes the body of a chat completions request.</summary>
internal static class ChatRequest
{
    public static byte[] Serialize(string model, ModelRequest request, out ToolNames names)
    {
        names = new ToolNames(request.Tools);
        var messages = new JsonArray(new JsonObject { ["role"] = "system", ["content"] = request.SystemPrompt });
        foreach (ConversationTurn turn in request.Turns)
        {
            messages.Add(Message(turn, request.Input));
        }

        var body = new JsonObject
        {
            ["model"] = model,
            ["messages"] = messages,
            ["stream"] = true,
            ["stream_options"] = new JsonObject { ["include_usage"] = true },
        };
        if (request.Tools.Count > 0)
        {
            body["tools"] = new JsonArray([.. request.Tools.Select(Function)]);
        }

        return JsonSerializer.SerializeToUtf8Bytes(body, JsonNodeContext.Default.JsonObject);
    }

    private static JsonObject Message(ConversationTurn turn, JsonElement? input) => turn switch
    {
        ConversationTurn.User user => new JsonObject
        {
            ["role"] = "user",
            ["content"] = input is { } value ? $"{user.Text}\n\nInput (JSON):\n{value.GetRawText()}" : user.Text,
        },
        ConversationTurn.Assistant assistant => Assistant(assistant),
        ConversationTurn.Tool tool => new JsonObject { ["role"] = "tool", ["tool_call_id"] = tool.CallId, ["content"] = tool.Content },
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    private static JsonObject Assistant(ConversationTurn.Assistant assistant)
    {
        var message = new JsonObject { ["role"] = "assistant", ["content"] = assistant.Text };
        if (assistant.Calls.Count > 0)
        {
            message["tool_calls"] = new JsonArray([.. assistant.Calls.Select(call => new JsonObject
            {
                ["id"] = call.CallId,
                ["type"] = "function",
                ["function"] = new JsonObject { ["name"] = ToolNames.ToWire(call.Tool), ["arguments"] = call.Arguments },
            })]);
        }

        return message;
    }

    private static JsonObject Function(ToolDefinition tool) => new()
    {
        ["type"] = "function",
        ["function"] = new JsonObject
        {
            ["name"] = ToolNames.ToWire(tool.Name),
            ["description"] = tool.Description,
            ["parameters"] = tool.ToJsonSchema(),
        },
    };
}
