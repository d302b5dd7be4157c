using System.Buffers;
using System.Globalization;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Rynxs.Kubernetes.Objects;
using Rynxs.Resources.Client;

namespace Rynxs.Kubernetes.Requests;

/// <summary>One change of a watch.</summary>
/// <param name="Type">What happened; of a bookmark only the version is meaningful.</param>
/// <param name="Item">The object after it, or as it was when it was deleted.</param>
public sealed record KubeEvent(WatchEventType Type, KubeObject Item);

public sealed partial class KubernetesApi
{
    /// <summary>Bytes of one event: more than any object that a server takes.</summary>
    private const int MaxEventBytes = 8 * 1024 * 1024;

    /// <summary>
    /// One watch, until the server ends it (5 to 10 minutes, chosen by chance so that many watches do not end together) or it breaks. Ends without an
    /// exception when the server closed it; to go on, watch again from the version seen last.
    /// </summary>
    /// <exception cref="KubernetesException"><c>Gone</c>: the version is older than the kept history; list again.</exception>
    public async IAsyncEnumerable<KubeEvent> WatchOnceAsync(
        ApiResource resource, ResourceQuery query, string fromVersion, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(resource);
        ArgumentNullException.ThrowIfNull(query);
        int seconds = 300 + Options.Random.Next(300);
        string what = $"watch {resource}";
        string path = resource.Path(query.Namespace) + Query(
            ("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", fromVersion), ("labelSelector", query.LabelSelector),
            ("fieldSelector", query.FieldSelector), ("timeoutSeconds", seconds.ToString(CultureInfo.InvariantCulture)));

        // A server that forgets to end it does not keep us: half a minute of grace, then it is cut here.
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(seconds + 30), Options.TimeProvider);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken);
        using HttpResponseMessage response = await _transport.OpenAsync(new ApiRequest(HttpMethod.Get, path, what), cancellationToken);
        await using Stream stream = await response.Content.ReadAsStreamAsync(cancellationToken);
        PipeReader reader = PipeReader.Create(stream, new StreamPipeReaderOptions(bufferSize: 32 * 1024));
        try
        {
            while (true)
            {
                ReadResult read;
                try
                {
                    read = await reader.ReadAsync(either.Token);
                }
                catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
                {
                    yield break;
                }
                catch (Exception exception) when (exception is HttpRequestException or IOException)
                {
                    throw new KubernetesException(KubernetesFailure.Unreachable, $"{what}: the connection broke: {exception.Message}", exception);
                }

                ReadOnlySequence<byte> buffer = read.Buffer;
                while (TryLine(ref buffer, out ReadOnlySequence<byte> line))
                {
                    yield return Event(line, what);
                }

                reader.AdvanceTo(buffer.Start, buffer.End);
                if (buffer.Length > MaxEventBytes)
                {
                    throw new KubernetesException(KubernetesFailure.Malformed, $"{what}: an event is larger than {MaxEventBytes} bytes");
                }

                if (read.IsCompleted)
                {
                    yield break; // half an event at the end was never said
                }
            }
        }
        finally
        {
            await reader.CompleteAsync();
        }
    }

    /// <summary>
    /// Changes after a version, in order, each once, until cancelled: watches that end or break are begun again from the last version seen, with growing waits
    /// while they fail.
    /// </summary>
    /// <exception cref="KubernetesException"><c>Gone</c>: list again. <c>Forbidden</c>, <c>NotFound</c> and others that a repetition does not cure.</exception>
    public async IAsyncEnumerable<KubeEvent> WatchAsync(
        ApiResource resource, ResourceQuery query, string fromVersion, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        string version = fromVersion;
        int failures = 0;
        while (true)
        {
            cancellationToken.ThrowIfCancellationRequested();
            await using IAsyncEnumerator<KubeEvent> events = WatchOnceAsync(resource, query, version, cancellationToken).GetAsyncEnumerator(cancellationToken);
            bool any = false;
            while (true)
            {
                try
                {
                    if (!await events.MoveNextAsync())
                    {
                        break;
                    }
                }
                catch (KubernetesException exception) when (exception.IsTransient)
                {
                    break;
                }

                any = true;
                failures = 0;
                if (events.Current.Item.ResourceVersion.Length > 0)
                {
                    version = events.Current.Item.ResourceVersion;
                }

                yield return events.Current;
            }

            if (!any)
            {
                // Ended without a word: a server that does so at once must not be asked at full speed.
                await Task.Delay(Backoff.Watches.After(++failures, Options.Random), Options.TimeProvider, cancellationToken);
            }
        }
    }

    private static bool TryLine(ref ReadOnlySequence<byte> buffer, out ReadOnlySequence<byte> line)
    {
        while (buffer.PositionOf((byte)'\n') is { } end)
        {
            line = buffer.Slice(0, end);
            buffer = buffer.Slice(buffer.GetPosition(1, end));
            if (line.Length > 0)
            {
                return true;
            }
        }

        line = default;
        return false;
    }

    private static KubeEvent Event(ReadOnlySequence<byte> line, string what)
    {
        JsonElement document;
        try
        {
            var reader = new Utf8JsonReader(line, new JsonReaderOptions { MaxDepth = 128 });
            document = JsonElement.ParseValue(ref reader);
        }
        catch (JsonException exception)
        {
            throw new KubernetesException(KubernetesFailure.Malformed, $"{what}: an event is not JSON", exception);
        }

        if (document.ValueKind != JsonValueKind.Object || !document.TryGetProperty("type", out JsonElement type) || !document.TryGetProperty("object", out JsonElement content))
        {
            throw new KubernetesException(KubernetesFailure.Malformed, $"{what}: an event has no type or no object");
        }

        return type.GetString() switch
        {
            "ADDED" => new KubeEvent(WatchEventType.Added, KubeObject.Of(content)),
            "MODIFIED" => new KubeEvent(WatchEventType.Modified, KubeObject.Of(content)),
            "DELETED" => new KubeEvent(WatchEventType.Deleted, KubeObject.Of(content)),
            "BOOKMARK" => new KubeEvent(WatchEventType.Bookmark, KubeObject.Of(content)),
            "ERROR" => throw Failures.Of(content, what),
            _ => throw new KubernetesException(KubernetesFailure.Malformed, $"{what}: an event of an unknown type"),
        };
    }
}
