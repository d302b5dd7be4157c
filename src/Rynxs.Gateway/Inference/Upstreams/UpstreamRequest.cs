using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using Rynxs.Gateway.Credentials;
using Rynxs.Gateway.Inference.Translation;
using Rynxs.Gateway.Inference.Wire;
using Rynxs.Policy.Inference;

namespace Rynxs.Gateway.Inference.Upstreams;

/// <summary>A request as one upstream takes it.</summary>
/// <param name="Speaks">What its answer is in.</param>
/// <param name="Url">Where.</param>
/// <param name="Body">The body.</param>
internal sealed record UpstreamRequest(InferenceEndpoint Speaks, Uri Url, byte[] Body)
{
    /// <summary>Writes a caller's request for an upstream: the model's name there, the bound on the output, usage in streams.</summary>
    /// <param name="upstream">The upstream.</param>
    /// <param name="route">The model's name there.</param>
    /// <param name="request">The caller's request; it is not changed.</param>
    /// <param name="verdict">Its bounds.</param>
    /// <param name="rebuilt">The answer will be taken apart (rules on it), so it must be one that can be.</param>
    /// <exception cref="BadRequestException">The upstream has no counterpart for something that was asked.</exception>
    public static UpstreamRequest Of(UpstreamConfig upstream, ModelRoute route, WireRequest request, InferenceVerdict.Allow verdict, bool rebuilt)
    {
        InferenceEndpoint speaks = (upstream.Kind, request.Endpoint) switch
        {
            (UpstreamKind.Anthropic, InferenceEndpoint.Embeddings) => throw new BadRequestException("model: its upstream has no embeddings."),
            (UpstreamKind.Anthropic, _) => InferenceEndpoint.Messages,
            (_, InferenceEndpoint.Embeddings) => InferenceEndpoint.Embeddings,
            (UpstreamKind.OpenAi or UpstreamKind.AzureOpenAi, InferenceEndpoint.Responses) when !rebuilt => InferenceEndpoint.Responses,
            _ => InferenceEndpoint.ChatCompletions,
        };
        JsonObject body = (request.Endpoint, speaks) switch
        {
            (var asked, var spoken) when asked == spoken => (JsonObject)request.Body.DeepClone(),
            (InferenceEndpoint.Messages, _) => ChatRequests.FromMessages(request.Body),
            (InferenceEndpoint.Responses, InferenceEndpoint.ChatCompletions) => ChatRequests.FromResponses(request.Body),
            (InferenceEndpoint.Responses, _) => MessagesRequests.FromChat(ChatRequests.FromResponses(request.Body)),
            _ => MessagesRequests.FromChat(request.Body),
        };
        body["model"] = route.Model;
        switch (speaks)
        {
            case InferenceEndpoint.ChatCompletions:
                // OpenAI refuses both at once and, for new models, the old name; small servers know only the old one.
                bool old = upstream.Kind is UpstreamKind.Ollama or UpstreamKind.LlamaCpp || (body.Has("max_tokens") && !body.Has("max_completion_tokens"));
                body.Remove(old ? "max_completion_tokens" : "max_tokens");
                if (verdict.OutputTokens is { } most)
                {
                    body[old ? "max_tokens" : "max_completion_tokens"] = most;
                }

                body.Remove("stream_options");
                if (request.Streams)
                {
                    body["stream_options"] = new JsonObject { ["include_usage"] = true };
                }

                break;
            case InferenceEndpoint.Messages:
                body["max_tokens"] = verdict.OutputTokens;

                // Writing to a cache costs more than the price of input (E6).
                RemoveAll(body, "cache_control");
                break;
            case InferenceEndpoint.Responses:
                if (verdict.OutputTokens is { } bound)
                {
                    body["max_output_tokens"] = bound;
                }

                body["store"] = false;
                break;
            default:
                break;
        }

        return new UpstreamRequest(speaks, UrlOf(upstream, speaks, route.Model), JsonFields.Utf8(body));
    }

    /// <summary>The header that carries a credential.</summary>
    public static void Authorize(UpstreamKind kind, HttpRequestHeaders headers, CredentialRef reference, string value)
    {
        switch (kind)
        {
            case UpstreamKind.AzureOpenAi when reference is not CredentialRef.OAuth:
                headers.TryAddWithoutValidation("api-key", value);
                break;
            case UpstreamKind.Anthropic when reference is not CredentialRef.OAuth:
                headers.TryAddWithoutValidation("x-api-key", value);
                break;
            default:
                headers.Authorization = new AuthenticationHeaderValue("Bearer", value);
                break;
        }
    }

    private static Uri UrlOf(UpstreamConfig upstream, InferenceEndpoint speaks, string model)
    {
        string root = upstream.BaseUrl.AbsoluteUri.TrimEnd('/');
        string path = speaks switch
        {
            InferenceEndpoint.ChatCompletions => "/chat/completions",
            InferenceEndpoint.Responses => "/responses",
            InferenceEndpoint.Embeddings => "/embeddings",
            _ => root.EndsWith("/v1", StringComparison.Ordinal) ? "/messages" : "/v1/messages",
        };
        return new Uri(upstream.Kind == UpstreamKind.AzureOpenAi
            ? speaks == InferenceEndpoint.Responses
                ? $"{root}/openai/responses?api-version={Uri.EscapeDataString(upstream.ApiVersion)}"
                : $"{root}/openai/deployments/{Uri.EscapeDataString(model)}{path}?api-version={Uri.EscapeDataString(upstream.ApiVersion)}"
            : root + path);
    }

    private static void RemoveAll(JsonNode? node, string name)
    {
        switch (node)
        {
            case JsonObject value:
                value.Remove(name);
                foreach ((_, JsonNode? member) in value)
                {
                    RemoveAll(member, name);
                }

                break;
            case JsonArray list:
                foreach (JsonNode? item in list)
                {
                    RemoveAll(item, name);
                }

                break;
            default:
                break;
        }
    }
}
