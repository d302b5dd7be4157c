using System.IO.Pipelines;
using System.Net;
using System.Net.Http.Headers;

namespace Rynxs.Gateway.Inference;

/// <summary>The answer of a call as an HTTP message for a reader in this process.</summary>
internal sealed class InProcessAnswer : ICallerAnswer
{
    // Little is kept: a reader that does not read holds the upstream back, as a socket would.
    private readonly Pipe _pipe = new(new PipeOptions(pauseWriterThreshold: 64 * 1024, resumeWriterThreshold: 32 * 1024));
    private readonly TaskCompletionSource<HttpResponseMessage> _head = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public bool HasStarted => _head.Task.IsCompleted;

    public bool HasEnded { get; private set; }

    /// <summary>Completes with the head.</summary>
    public Task<HttpResponseMessage> Head => _head.Task;

    public ValueTask BeginAsync(int status, string contentType, IReadOnlyList<KeyValuePair<string, string>> headers, CancellationToken cancellationToken)
    {
        HttpResponseMessage response = new((HttpStatusCode)status) { Content = new StreamContent(_pipe.Reader.AsStream()) };
        response.Content.Headers.ContentType = new MediaTypeHeaderValue(contentType);
        foreach ((string name, string value) in headers)
        {
            response.Headers.TryAddWithoutValidation(name, value);
        }

        _head.TrySetResult(response);
        return default;
    }

    public async ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken)
    {
        FlushResult flushed = await _pipe.Writer.WriteAsync(bytes, cancellationToken).ConfigureAwait(false);
        if (flushed.IsCompleted)
        {
            throw new OperationCanceledException("The reader has left.");
        }
    }

    public ValueTask EndAsync(CancellationToken cancellationToken)
    {
        HasEnded = true;
        return _pipe.Writer.CompleteAsync();
    }

    public void Abort()
    {
        HasEnded = true;
        IOException broken = new("The gateway broke the answer off.");
        _pipe.Writer.Complete(broken);
        _head.TrySetException(new HttpRequestException("The gateway broke the answer off.", broken));
    }
}
