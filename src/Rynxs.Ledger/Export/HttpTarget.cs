using System.Globalization;
using System.Net.Http.Headers;
using System.Text.Json;

namespace Rynxs.Ledger.Export;

/// <summary>OCSF JSON lines or OTLP logs over HTTP: a batch has arrived when the answer is 2xx and, for OTLP, rejects none of it.</summary>
internal sealed class HttpTarget : IExportTarget
{
    private const int MaxAnswerBytes = 64 * 1024;

    private readonly ExportDestination _destination;
    private readonly ExportTargetOptions _options;
    private readonly HttpClient _client;

    public HttpTarget(ExportDestination destination, ExportTargetOptions options)
    {
        (_destination, _options) = (destination, options);
        var handler = new SocketsHttpHandler
        {
            // A redirect would send records, and the token, to a place that nobody configured.
            AllowAutoRedirect = false,
            UseCookies = false,
            PooledConnectionLifetime = TimeSpan.FromMinutes(5),
            ConnectTimeout = options.Timeout,
        };
        if (destination.Transport.Scheme == "https")
        {
            handler.SslOptions = TrustedRoots.For(destination.Transport.IdnHost, options.CaFile);
        }

        _client = new HttpClient(handler) { Timeout = options.Timeout, MaxResponseContentBufferSize = MaxAnswerBytes };
        if (options.BearerToken is { } token)
        {
            _client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }
    }

    public async Task SendAsync(IReadOnlyList<ExportedEvent> batch, CancellationToken cancellationToken)
    {
        try
        {
            using var content = new ByteArrayContent(Body(batch));
            content.Headers.ContentType = new MediaTypeHeaderValue(_destination.Form == ExportForm.Otlp ? "application/json" : "application/x-ndjson");
            using HttpResponseMessage answer = await _client.PostAsync(_destination.Transport, content, cancellationToken).ConfigureAwait(false);
            byte[] body = await answer.Content.ReadAsByteArrayAsync(cancellationToken).ConfigureAwait(false);
            if (!answer.IsSuccessStatusCode)
            {
                throw new ExportException(string.Create(CultureInfo.InvariantCulture, $"{_destination.Transport.Host} answered {(int)answer.StatusCode}."));
            }

            if (_destination.Form == ExportForm.Otlp && Rejected(body) is { } rejected and > 0)
            {
                throw new ExportException(string.Create(CultureInfo.InvariantCulture, $"{_destination.Transport.Host} rejected {rejected} of {batch.Count} log records."));
            }
        }
        catch (HttpRequestException exception)
        {
            throw new ExportException($"{_destination.Transport.Host}: {exception.InnerException?.Message ?? exception.Message}", exception);
        }
        catch (OperationCanceledException exception) when (!cancellationToken.IsCancellationRequested)
        {
            throw new ExportException($"{_destination.Transport.Host}: no answer within {_options.Timeout.TotalSeconds:0} s", exception);
        }
    }

    public ValueTask DisposeAsync()
    {
        _client.Dispose();
        return ValueTask.CompletedTask;
    }

    private byte[] Body(IReadOnlyList<ExportedEvent> batch)
    {
        if (_destination.Form == ExportForm.Otlp)
        {
            return OtlpLogsFormat.Format(batch, _options.Version);
        }

        using var lines = new MemoryStream();
        foreach (ExportedEvent exported in batch)
        {
            lines.Write(OcsfFormat.Format(exported));
            lines.WriteByte((byte)'\n');
        }

        return lines.ToArray();
    }

    /// <summary>partialSuccess.rejectedLogRecords; an answer that is no JSON rejects nothing.</summary>
    private static long? Rejected(byte[] body)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(body);
            return document.RootElement.ValueKind == JsonValueKind.Object
                && document.RootElement.TryGetProperty("partialSuccess", out JsonElement partial) && partial.ValueKind == JsonValueKind.Object
                && partial.TryGetProperty("rejectedLogRecords", out JsonElement rejected)
                ? rejected.ValueKind == JsonValueKind.Number ? rejected.GetInt64() : long.TryParse(rejected.GetString(), NumberStyles.None, CultureInfo.InvariantCulture, out long count) ? count : null
                : null;
        }
        catch (Exception exception) when (exception is JsonException or FormatException or InvalidOperationException)
        {
            return null;
        }
    }
}
