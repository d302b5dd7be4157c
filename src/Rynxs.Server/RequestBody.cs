using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Rynxs.Server.Problems;

namespace Rynxs.Server;

/// <summary>Reads request bodies: bounded, JSON only, strict.</summary>
internal static class RequestBody
{
    /// <summary>The whole body.</summary>
    /// <exception cref="ProblemException">413, 415.</exception>
    public static async Task<byte[]> ReadAsync(HttpContext context, int maxBytes, CancellationToken cancellationToken)
    {
        // A page of another origin can post text/plain without asking first; JSON it cannot.
        if (!context.Request.HasJsonContentType())
        {
            throw new ProblemException(new Problem(
                StatusCodes.Status415UnsupportedMediaType, "unsupported_media_type", "The body must have 'Content-Type: application/json'."));
        }

        return await ReadRawAsync(context, maxBytes, cancellationToken);
    }

    /// <summary>The whole body, whatever it is.</summary>
    /// <exception cref="ProblemException">413, 415.</exception>
    public static async Task<byte[]> ReadRawAsync(HttpContext context, int maxBytes, CancellationToken cancellationToken)
    {
        if (context.Request.Headers.ContentEncoding.Count > 0)
        {
            throw new ProblemException(new Problem(
                StatusCodes.Status415UnsupportedMediaType, "unsupported_media_type", "The body must not be compressed: 'Content-Encoding' is not taken.", "Content-Encoding"));
        }

        if (context.Request.ContentLength > maxBytes)
        {
            throw new ProblemException(TooLarge(maxBytes));
        }

        using var buffer = new MemoryStream();
        byte[] chunk = new byte[16 * 1024];
        int read;
        while ((read = await context.Request.Body.ReadAsync(chunk, cancellationToken)) > 0)
        {
            if (buffer.Length + read > maxBytes)
            {
                throw new ProblemException(TooLarge(maxBytes));
            }

            buffer.Write(chunk, 0, read);
        }

        return buffer.ToArray();
    }

    /// <summary>The body as a type of ours.</summary>
    /// <exception cref="ProblemException">400, 413, 415, 422.</exception>
    public static async Task<T> ReadJsonAsync<T>(HttpContext context, JsonTypeInfo<T> type, int maxBytes, CancellationToken cancellationToken)
        where T : class
    {
        return Parse(await ReadAsync(context, maxBytes, cancellationToken), type);
    }

    /// <summary>A body as a type of ours.</summary>
    /// <exception cref="ProblemException">400, 422.</exception>
    public static T Parse<T>(byte[] body, JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            return JsonSerializer.Deserialize(body, type)
                ?? throw new ProblemException(new Problem(StatusCodes.Status400BadRequest, "invalid_json", "The body must be a JSON object."));
        }
        catch (JsonException exception)
        {
            // The path names the field; the serializer's own message would show type names of ours.
            string field = exception.Path is { Length: > 2 } path ? path[2..] : "";
            throw new ProblemException(field.Length > 0
                ? new Problem(StatusCodes.Status422UnprocessableEntity, "invalid_field", $"'{field}' is wrong: unknown, repeated or not of its type.", field)
                : new Problem(StatusCodes.Status400BadRequest, "invalid_json", "The body is not the JSON object that this endpoint takes, or lacks a required field."));
        }
    }

    private static Problem TooLarge(int maxBytes) =>
        new(StatusCodes.Status413PayloadTooLarge, "body_too_large", $"The body is larger than {maxBytes} bytes.");
}
