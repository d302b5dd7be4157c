using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Gateway.Inference.Translation;
using Rynxs.Gateway.Inference.Upstreams;
using Rynxs.Gateway.Inference.Wire;
using Rynxs.Policy.Inference;

namespace Rynxs.Gateway.Inference.Relay;

/// <summary>An answer of an upstream broke a rule of its protocol, or ended before it was whole.</summary>
internal sealed class UpstreamBrokenException(string code, string message) : IOException(message)
{
    public string Code { get; } = code;
}

/// <summary>
/// Carries one answer from the upstream to the caller. Where both speak the same and no rule looks at the answer, the bytes go on as they came; otherwise
/// they are taken apart and written anew. Nothing is collected that need not be: each event goes on when it is whole.
/// </summary>
internal sealed class AnswerRelay(
    InferencePolicyConfig policy, WireRequest request, UpstreamReply reply, ICallerAnswer answer, PromptShield? shield, TimeProvider timeProvider)
{
    private const int MaxEventBytes = 1024 * 1024;

    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly Detector[] _detectors = [.. policy.Detectors.Where(detector => detector.Output)];
    private long _received;

    /// <summary>As far as it was told.</summary>
    public Usage Usage { get; private set; }

    /// <summary>When the first byte of the body went out; null when none did.</summary>
    public DateTimeOffset? FirstByte { get; private set; }

    /// <summary>Detectors that replaced something.</summary>
    public IReadOnlyCollection<string> Redacted { get; private set; } = [];

    /// <summary>SHA-256 of the body that the caller got.</summary>
    public string? Hash => FirstByte is null ? null : Convert.ToHexStringLower(_hash.GetCurrentHash());

    /// <summary>Whether answers of a policy are taken apart.</summary>
    public static bool Rebuilds(InferencePolicyConfig policy) => policy.Shield is { Output: true } || policy.Detectors.Any(detector => detector.Output);

    /// <exception cref="UpstreamBrokenException">The upstream broke a rule of its protocol.</exception>
    /// <exception cref="AnswerDeniedException">A rule on the answer refuses it.</exception>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            bool isStream = reply.Response.Content.Headers.ContentType?.MediaType == "text/event-stream";
            bool raw = reply.Speaks == request.Endpoint && !Rebuilds(policy);
            if (isStream && !request.Streams)
            {
                throw new UpstreamBrokenException("upstream_protocol", "The upstream of the model streams although nobody asked it to.");
            }

            if (!isStream)
            {
                await WholeAsync(raw, cancellationToken).ConfigureAwait(false);
            }
            else if (raw)
            {
                await PassAsync(cancellationToken).ConfigureAwait(false);
            }
            else
            {
                await RebuildAsync(cancellationToken).ConfigureAwait(false);
            }

            await answer.EndAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (JsonException)
        {
            throw new UpstreamBrokenException("upstream_protocol", "The upstream of the model sent what is not its protocol.");
        }
        catch (SseException e)
        {
            throw new UpstreamBrokenException("upstream_protocol", e.Message);
        }
    }

    /// <summary>
    /// Tells a caller whose stream has begun why it ends: by the error event of its API, without the API's sign of completion. The connection itself ends in
    /// order then, since a reset could overtake the event. Other answers are cut.
    /// </summary>
    public async Task BreakOffAsync(string code, string message, CancellationToken cancellationToken)
    {
        if (request.Streams)
        {
            await SendAsync(Encoder().WriteError(code, message), cancellationToken).ConfigureAwait(false);
            await answer.EndAsync(cancellationToken).ConfigureAwait(false);
            return;
        }

        answer.Abort();
    }

    private async Task PassAsync(CancellationToken cancellationToken)
    {
        StreamWatch watch = new(reply.Speaks, request.WantsUsage);
        await BeginAsync("text/event-stream", cancellationToken).ConfigureAwait(false);
        List<byte> ready = [];
        await foreach (SseEvent[] events in EventsAsync(cancellationToken).ConfigureAwait(false))
        {
            ready.Clear();
            foreach (SseEvent sseEvent in events)
            {
                if (watch.See(sseEvent))
                {
                    ready.AddRange(sseEvent.Raw.Span);
                }
            }

            Usage = watch.Usage;
            if (watch.HasFailed)
            {
                break; // Told by our own event, once.
            }

            await SendAsync(ready.ToArray(), cancellationToken).ConfigureAwait(false);
        }

        if (watch.HasFailed)
        {
            throw new UpstreamBrokenException("upstream_failed_in_stream", "The upstream of the model reported a failure within its answer.");
        }

        if (!watch.IsWhole)
        {
            throw new UpstreamBrokenException("upstream_truncated", "The upstream of the model ended its answer before it was whole.");
        }
    }

    private async Task RebuildAsync(CancellationToken cancellationToken)
    {
        IStreamDecoder decoder = reply.Speaks == InferenceEndpoint.Messages ? new MessagesStreamDecoder() : new ChatStreamDecoder();
        IStreamEncoder encoder = Encoder();
        OutputRules rules = new(_detectors, policy.HoldCharacters);
        List<byte> ready = [];
        bool holdsAll = policy.Shield is { Output: true };
        bool whole = false;
        await BeginAsync("text/event-stream", cancellationToken).ConfigureAwait(false);
        await foreach (SseEvent[] events in EventsAsync(cancellationToken).ConfigureAwait(false))
        {
            foreach (Delta delta in events.SelectMany(decoder.Read))
            {
                Note(delta);
                whole |= delta is Delta.End;
                foreach (Delta passed in rules.Next(delta))
                {
                    ready.AddRange(encoder.Write(passed).Span);
                }
            }

            Redacted = rules.Redacted;
            if (!holdsAll)
            {
                await SendAsync(ready.ToArray(), cancellationToken).ConfigureAwait(false);
                ready.Clear();
            }
        }

        if (!whole)
        {
            throw new UpstreamBrokenException("upstream_truncated", "The upstream of the model ended its answer before it was whole.");
        }

        if (holdsAll)
        {
            await ShieldAsync(rules.Texts, cancellationToken).ConfigureAwait(false);
            await SendAsync(ready.ToArray(), cancellationToken).ConfigureAwait(false);
        }
    }

    private async Task WholeAsync(bool raw, CancellationToken cancellationToken)
    {
        byte[] body = await ReadWholeAsync(cancellationToken).ConfigureAwait(false);
        JsonObject parsed = JsonFields.ParseObject(body);
        if (parsed.Has("error"))
        {
            throw new UpstreamBrokenException("upstream_failed_in_stream", "The upstream of the model reported a failure within its answer.");
        }

        Usage = Usage.Of(parsed.Object("usage"));
        if (raw && !request.Streams)
        {
            await BeginAsync("application/json", cancellationToken).ConfigureAwait(false);
            await SendAsync(body, cancellationToken).ConfigureAwait(false);
            return;
        }

        if (reply.Speaks is InferenceEndpoint.Embeddings or InferenceEndpoint.Responses)
        {
            // Numbers have no texts to search; a whole answer of responses to a request for a stream has no translation.
            if (request.Streams)
            {
                throw new UpstreamBrokenException("upstream_protocol", "The upstream of the model does not stream.");
            }

            await BeginAsync("application/json", cancellationToken).ConfigureAwait(false);
            await SendAsync(body, cancellationToken).ConfigureAwait(false);
            return;
        }

        OutputRules rules = new(_detectors, policy.HoldCharacters);
        Answer read = reply.Speaks == InferenceEndpoint.Messages ? MessagesAnswers.Read(parsed) : ChatAnswers.Read(parsed);
        read = read with
        {
            Choices = [.. read.Choices.Select(choice => choice with
            {
                Text = choice.Text is { } text ? rules.Whole(text) : null,
                Calls = [.. choice.Calls.Select(call => call with { Arguments = rules.Whole(call.Arguments) })],
            })],
        };
        Redacted = rules.Redacted;
        await ShieldAsync(rules.Texts, cancellationToken).ConfigureAwait(false);
        await BeginAsync(request.Streams ? "text/event-stream" : "application/json", cancellationToken).ConfigureAwait(false);
        await SendAsync(request.Streams ? Streamed(read) : JsonFields.Utf8(Written(read)), cancellationToken).ConfigureAwait(false);
    }

    private JsonObject Written(Answer read) => request.Endpoint switch
    {
        InferenceEndpoint.Messages => MessagesAnswers.Write(read, request.Facts.Model),
        InferenceEndpoint.Responses => ResponsesAnswers.Write(read, request.Facts.Model, timeProvider.GetUtcNow()),
        _ => ChatAnswers.Write(read, request.Facts.Model, timeProvider.GetUtcNow()),
    };

    /// <summary>A whole answer as the stream that was asked for.</summary>
    private byte[] Streamed(Answer read)
    {
        IStreamEncoder encoder = Encoder();
        List<Delta> deltas = [new Delta.Begin(read.Id, read.Model)];
        for (int i = 0; i < read.Choices.Count; i++)
        {
            AnswerChoice choice = read.Choices[i];
            if (choice.Text is { Length: > 0 } text)
            {
                deltas.Add(new Delta.Text(i, text));
            }

            for (int j = 0; j < choice.Calls.Count; j++)
            {
                deltas.Add(new Delta.CallBegin(i, j, choice.Calls[j].Id, choice.Calls[j].Name));
                deltas.Add(new Delta.CallArguments(i, j, choice.Calls[j].Arguments));
            }

            deltas.Add(new Delta.Finish(i, choice.Finish));
        }

        deltas.Add(new Delta.Used(read.Usage));
        deltas.Add(new Delta.End());
        return [.. deltas.SelectMany(delta => encoder.Write(delta).ToArray())];
    }

    private IStreamEncoder Encoder() => request.Endpoint switch
    {
        InferenceEndpoint.Messages => new MessagesStreamEncoder(request.Facts.Model),
        InferenceEndpoint.Responses => new ResponsesStreamEncoder(request.Facts.Model, timeProvider.GetUtcNow()),
        _ => new ChatStreamEncoder(request.Facts.Model, request.WantsUsage, timeProvider.GetUtcNow()),
    };

    private void Note(Delta delta)
    {
        switch (delta)
        {
            case Delta.Used used:
                Usage = Usage.With(used.Usage);
                break;
            case Delta.Failed:
                throw new UpstreamBrokenException("upstream_failed_in_stream", "The upstream of the model reported a failure within its answer.");
            default:
                break;
        }
    }

    private async Task ShieldAsync(List<string> texts, CancellationToken cancellationToken)
    {
        if (policy.Shield is { Output: true } && shield is not null && texts.Count > 0 && await shield.IsFlaggedAsync(policy.Shield, "output", texts, cancellationToken).ConfigureAwait(false))
        {
            throw new AnswerDeniedException("prompt-shield");
        }
    }

    /// <summary>The events of each piece that arrives, scrubbed and bounded.</summary>
    private async IAsyncEnumerable<SseEvent[]> EventsAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        SseReader reader = new(MaxEventBytes);
        await foreach (ReadOnlyMemory<byte> bytes in BytesAsync(cancellationToken).ConfigureAwait(false))
        {
            reader.Append(bytes.Span);
            if (Read(reader) is { Length: > 0 } events)
            {
                yield return events;
            }
        }

        reader.End();
        if (Read(reader) is { Length: > 0 } last)
        {
            yield return last;
        }
    }

    private static SseEvent[] Read(SseReader reader)
    {
        List<SseEvent> events = [];
        while (reader.TryRead(out SseEvent sseEvent))
        {
            events.Add(sseEvent);
        }

        return [.. events];
    }

    private async Task<byte[]> ReadWholeAsync(CancellationToken cancellationToken)
    {
        using MemoryStream all = new();
        await foreach (ReadOnlyMemory<byte> bytes in BytesAsync(cancellationToken).ConfigureAwait(false))
        {
            await all.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
        }

        return all.ToArray();
    }

    private async IAsyncEnumerable<ReadOnlyMemory<byte>> BytesAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        Stream stream = await reply.Response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        byte[] buffer = new byte[16 * 1024];
        using CancellationTokenSource idle = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        while (true)
        {
            int read;
            idle.CancelAfter(reply.Upstream.IdleTimeout);
            try
            {
                read = await stream.ReadAsync(buffer, idle.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
            {
                throw new UpstreamBrokenException("upstream_timeout", "The upstream of the model fell silent.");
            }
            catch (Exception e) when (e is IOException or HttpRequestException)
            {
                throw new UpstreamBrokenException("upstream_truncated", "The upstream of the model broke off within its answer.");
            }

            _received += read;
            if (_received > policy.MaxAnswerBytes)
            {
                throw new UpstreamBrokenException("upstream_too_large", $"The answer of the model is larger than {policy.MaxAnswerBytes} bytes.");
            }

            if (read == 0)
            {
                break;
            }

            ReadOnlyMemory<byte> bytes = reply.Scrubber?.Next(buffer.AsMemory(0, read)) ?? buffer.AsMemory(0, read);
            if (!bytes.IsEmpty)
            {
                yield return bytes;
            }
        }

        if (reply.Scrubber?.End() is { IsEmpty: false } rest)
        {
            yield return rest;
        }
    }

    private ValueTask BeginAsync(string contentType, CancellationToken cancellationToken) => answer.BeginAsync(200, contentType, [], cancellationToken);

    private async ValueTask SendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        if (bytes.IsEmpty)
        {
            return;
        }

        await answer.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
        FirstByte ??= timeProvider.GetUtcNow();
        _hash.AppendData(bytes.Span);
    }
}
