using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Policy.Inference;

namespace Rynxs.Gateway.Inference.Wire;

/// <summary>A request is not what its endpoint takes. The message names the field and repeats nothing of the content.</summary>
internal sealed class BadRequestException(string message) : Exception(message);

/// <summary>A request of a caller, read once.</summary>
/// <param name="Endpoint">What for.</param>
/// <param name="Body">The body; changed on the way to the upstream.</param>
/// <param name="Streams">Whether the answer is to be streamed.</param>
/// <param name="WantsUsage">Whether the caller asked for usage in a stream of chat completions.</param>
/// <param name="Facts">What the decision needs.</param>
internal sealed record WireRequest(InferenceEndpoint Endpoint, JsonObject Body, bool Streams, bool WantsUsage, InferenceFacts Facts);

/// <summary>
/// Reads requests by lists of the members that each endpoint may have: what could make a request cost more than its bound (tools that the upstream runs,
/// stored conversations, other service tiers, predictions, audio) is refused, and so is what appears in a later version of an API (E6).
/// </summary>
internal static class RequestReader
{
    private static readonly HashSet<string> Chat =
    [
        "model", "messages", "max_tokens", "max_completion_tokens", "n", "temperature", "top_p", "top_k", "min_p", "stop", "stream", "stream_options", "presence_penalty",
        "frequency_penalty", "repeat_penalty", "logit_bias", "logprobs", "top_logprobs", "user", "seed", "tools", "tool_choice", "parallel_tool_calls", "response_format",
        "reasoning_effort", "verbosity", "metadata", "safety_identifier", "prompt_cache_key", "store", "grammar", "json_schema", "cache_prompt", "chat_template_kwargs",
    ];

    private static readonly HashSet<string> Messages =
    [
        "model", "messages", "system", "max_tokens", "temperature", "top_p", "top_k", "stop_sequences", "stream", "tools", "tool_choice", "metadata", "thinking",
    ];

    private static readonly HashSet<string> Responses =
    [
        "model", "input", "instructions", "max_output_tokens", "temperature", "top_p", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "reasoning",
        "text", "metadata", "user", "truncation", "store", "include", "safety_identifier", "prompt_cache_key", "top_logprobs",
    ];

    private static readonly HashSet<string> Embeddings = ["model", "input", "encoding_format", "dimensions", "user"];

    /// <exception cref="BadRequestException">It is not what the endpoint takes.</exception>
    public static WireRequest Read(InferenceEndpoint endpoint, ReadOnlyMemory<byte> json)
    {
        JsonObject body;
        try
        {
            body = JsonFields.ParseObject(json.Span);
        }
        catch (JsonException)
        {
            throw new BadRequestException("The body must be one JSON object without repeated members.");
        }

        HashSet<string> known = endpoint switch
        {
            InferenceEndpoint.ChatCompletions => Chat,
            InferenceEndpoint.Messages => Messages,
            InferenceEndpoint.Responses => Responses,
            _ => Embeddings,
        };
        foreach ((string name, JsonNode? value) in body)
        {
            if (!known.Contains(name) && value is not null)
            {
                throw new BadRequestException($"{(name.Length <= 64 && name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_') ? name : "A member")}: not taken by this gateway; it may change what a request costs.");
            }
        }

        if (body.Bool("store") == true)
        {
            throw new BadRequestException("store: must be false; nothing is kept at an upstream.");
        }

        string model = body.String("model") ?? throw new BadRequestException("model: a text is required.");
        bool streams = endpoint != InferenceEndpoint.Embeddings && (body["stream"] is null ? false : body.Bool("stream") ?? throw new BadRequestException("stream: must be true or false."));
        (int images, List<string> tools) = Content(endpoint, body);
        return new WireRequest(endpoint, body, streams, body.Object("stream_options").Bool("include_usage") == true, new InferenceFacts
        {
            Endpoint = endpoint,
            Model = model,
            InputBytes = json.Length,
            OutputTokens = OutputTokens(endpoint, body),
            Choices = Whole(body, "n") is { } n ? (int)Math.Clamp(n, int.MinValue, int.MaxValue) : 1,
            Temperature = body["temperature"] is null ? null : body.Double("temperature") ?? throw new BadRequestException("temperature: must be a number."),
            Images = images,
            Tools = tools,
        });
    }

    private static long? OutputTokens(InferenceEndpoint endpoint, JsonObject body) => endpoint switch
    {
        InferenceEndpoint.ChatCompletions => (Whole(body, "max_completion_tokens"), Whole(body, "max_tokens")) switch
        {
            ({ } a, { } b) => Math.Min(a, b),
            (var a, var b) => a ?? b,
        },
        InferenceEndpoint.Messages => Whole(body, "max_tokens") ?? throw new BadRequestException("max_tokens: a whole number is required."),
        InferenceEndpoint.Responses => Whole(body, "max_output_tokens"),
        _ => null,
    };

    private static long? Whole(JsonObject body, string name) => body[name] switch
    {
        null => null,
        JsonValue value when value.TryGetValue(out long number) => number,
        _ => throw new BadRequestException($"{name}: must be a whole number."),
    };

    private static (int Images, List<string> Tools) Content(InferenceEndpoint endpoint, JsonObject body)
    {
        int images = 0;
        switch (endpoint)
        {
            case InferenceEndpoint.ChatCompletions or InferenceEndpoint.Messages:
                JsonArray messages = body.Array("messages") ?? throw new BadRequestException("messages: a list is required.");
                for (int i = 0; i < messages.Count; i++)
                {
                    if (messages[i] is not JsonObject message)
                    {
                        throw new BadRequestException(string.Create(CultureInfo.InvariantCulture, $"messages[{i}]: must be an object."));
                    }

                    images += Parts(message["content"], string.Create(CultureInfo.InvariantCulture, $"messages[{i}].content"));
                }

                images += endpoint == InferenceEndpoint.Messages ? Parts(body["system"], "system") : 0;
                break;
            case InferenceEndpoint.Responses when body["input"] is JsonArray items:
                for (int i = 0; i < items.Count; i++)
                {
                    string field = string.Create(CultureInfo.InvariantCulture, $"input[{i}]");
                    JsonObject item = items[i] as JsonObject ?? throw new BadRequestException($"{field}: must be an object.");
                    if (item.String("type") is not (null or "message" or "function_call" or "function_call_output" or "reasoning"))
                    {
                        throw new BadRequestException($"{field}.type: must be message, function_call, function_call_output or reasoning.");
                    }

                    images += Parts(item["content"], $"{field}.content") + Parts(item["output"], $"{field}.output");
                }

                break;
            case InferenceEndpoint.Responses when body["input"].AsText() is null:
                throw new BadRequestException("input: a text or a list is required.");
            default:
                break;
        }

        return (images, Tools(endpoint, body));
    }

    /// <summary>Counts images; parts of other kinds than text, images and calls are refused.</summary>
    private static int Parts(JsonNode? content, string field)
    {
        if (content is not JsonArray parts)
        {
            return content is null || content.AsText() is not null ? 0 : throw new BadRequestException($"{field}: must be a text or a list.");
        }

        int images = 0;
        for (int i = 0; i < parts.Count; i++)
        {
            JsonObject part = parts[i] as JsonObject ?? throw new BadRequestException(string.Create(CultureInfo.InvariantCulture, $"{field}[{i}]: must be an object."));
            switch (part.String("type"))
            {
                case "text" or "input_text" or "output_text" or "refusal" or "tool_use" or "thinking" or "redacted_thinking" or "reasoning_text" or "summary_text":
                    break;
                case "tool_result":
                    images += Parts(part["content"], string.Create(CultureInfo.InvariantCulture, $"{field}[{i}].content"));
                    break;
                case "image_url" or "input_image" or "image":
                    images++;
                    break;
                default:
                    throw new BadRequestException(string.Create(CultureInfo.InvariantCulture, $"{field}[{i}].type: not taken by this gateway."));
            }
        }

        return images;
    }

    private static List<string> Tools(InferenceEndpoint endpoint, JsonObject body)
    {
        List<string> names = [];
        if (body["tools"] is null)
        {
            return names;
        }

        JsonArray tools = body.Array("tools") ?? throw new BadRequestException("tools: must be a list.");
        for (int i = 0; i < tools.Count; i++)
        {
            JsonNode? tool = tools[i];
            string? type = tool.String("type");
            string? name = (endpoint, type) switch
            {
                (InferenceEndpoint.ChatCompletions, "function") => tool.Object("function").String("name"),
                (InferenceEndpoint.Messages, null or "custom") => tool.String("name"),
                (InferenceEndpoint.Responses, "function") => tool.String("name"),
                _ => throw new BadRequestException(string.Create(CultureInfo.InvariantCulture, $"tools[{i}].type: only functions of the caller; tools that an upstream runs itself pass no policy.")),
            };
            names.Add(name ?? throw new BadRequestException(string.Create(CultureInfo.InvariantCulture, $"tools[{i}]: a name is required.")));
        }

        return names;
    }
}
