using System.Net.ServerSentEvents;
using System.Text;
using System.Text.Json;

namespace Rynxs.Agents.Providers;

/// <summary>Reads a chat completions answer: the whole body, or a stream of deltas put together.</summary>
internal sealed class ChatResponseReader(ToolNames names, int maxCalls)
{
    /// <summary>Reads a body.</summary>
    /// <exception cref="ModelProviderException"><c>model_protocol</c>: it is not what the protocol says.</exception>
    public async Task<ModelReply> ReadBodyAsync(Stream body, CancellationToken cancellationToken)
    {
        ChatResponse response;
        try
        {
            response = await JsonSerializer.DeserializeAsync(body, ChatContext.Default.ChatResponse, cancellationToken) ?? new ChatResponse();
        }
        catch (JsonException malformed)
        {
            throw new ModelProviderException("model_protocol", "The model's answer is not JSON of the chat completions API.", malformed) { Retryable = true };
        }

        var answer = new Answer(maxCalls);
        answer.AddChunk(response, response.Choices is [{ Message: { } message } first, ..] ? first with { Delta = message } : null);
        return answer.ToReply(names);
    }

    /// <summary>Reads server-sent events until <c>[DONE]</c> or the end.</summary>
    /// <exception cref="ModelProviderException"><c>model_protocol</c>: a chunk is not JSON, or the stream ended before the answer did.</exception>
    public async Task<ModelReply> ReadStreamAsync(Stream stream, CancellationToken cancellationToken)
    {
        var answer = new Answer(maxCalls);
        await foreach (SseItem<string> item in SseParser.Create(stream).EnumerateAsync(cancellationToken))
        {
            if (item.Data == "[DONE]")
            {
                break;
            }

            ChatResponse chunk;
            try
            {
                chunk = JsonSerializer.Deserialize(item.Data, ChatContext.Default.ChatResponse) ?? new ChatResponse();
            }
            catch (JsonException malformed)
            {
                throw new ModelProviderException("model_protocol", "A chunk of the model's stream is not JSON of the chat completions API.", malformed) { Retryable = true };
            }

            answer.AddChunk(chunk, chunk.Choices is [var first, ..] ? first : null);
        }

        return answer.ToReply(names);
    }

    /// <summary>What has arrived so far.</summary>
    private sealed class Answer(int maxCalls)
    {
        private readonly StringBuilder _text = new();
        private readonly SortedDictionary<int, (StringBuilder Name, StringBuilder Arguments)> _calls = [];
        private bool _finished;
        private string? _model;
        private ChatUsage? _usage;

        public void AddChunk(ChatResponse chunk, ChatChoice? choice)
        {
            if (chunk.Error is not null)
            {
                throw new ModelProviderException("model_unavailable", "The model reported an error inside its answer.") { Retryable = true };
            }

            _model = chunk.Model ?? _model;
            _usage = chunk.Usage ?? _usage;
            if (choice is null || choice.Index != 0)
            {
                return;
            }

            _finished |= choice.FinishReason is not null;
            _text.Append(choice.Delta?.Content ?? choice.Delta?.Refusal);
            int position = 0;
            foreach (ChatToolCall call in choice.Delta?.ToolCalls ?? [])
            {
                // Whole bodies carry no index: there the position is it.
                AddCall(call.Index ?? position, call.Function);
                position++;
            }
        }

        public ModelReply ToReply(ToolNames names)
        {
            if (!_finished)
            {
                throw new ModelProviderException("model_protocol", "The model's answer ended before it was complete.") { Retryable = true };
            }

            return new ModelReply
            {
                Text = _text.Length > 0 ? _text.ToString() : null,
                Calls = [.. _calls.Values.Select(call => (names.FromWire(call.Name.ToString()), call.Arguments.ToString()))],
                Model = _model,
                PromptTokens = _usage?.PromptTokens,
                CompletionTokens = _usage?.CompletionTokens,
            };
        }

        private void AddCall(int index, ChatFunction? function)
        {
            if (!_calls.TryGetValue(index, out (StringBuilder Name, StringBuilder Arguments) call))
            {
                if (_calls.Count == maxCalls)
                {
                    throw new ModelProviderException("model_protocol", $"The model asked for more than {maxCalls} calls at once.");
                }

                call = (new StringBuilder(), new StringBuilder());
                _calls.Add(index, call);
            }

            call.Name.Append(function?.Name);
            call.Arguments.Append(function?.Arguments);
        }
    }
}
