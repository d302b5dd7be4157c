using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Gateway.Credentials;
using Rynxs.Gateway.Inference.Wire;

namespace Rynxs.Gateway.Inference.Relay;

/// <summary>The shield did not answer as it must: the call is refused.</summary>
internal sealed class ShieldUnavailableException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>Asks the configured service whether texts try to take a model over. No answer is a no.</summary>
internal sealed class PromptShield(HttpMessageInvoker http, ICredentialSource credentials, Action<CredentialRef, string> disclosed, TimeProvider timeProvider)
{
    private const int MaxAnswerBytes = 64 * 1024;

    /// <exception cref="ShieldUnavailableException">It did not answer, or not as it must.</exception>
    public async Task<bool> IsFlaggedAsync(PromptShieldConfig config, string direction, IReadOnlyList<string> texts, CancellationToken cancellationToken)
    {
        JsonObject question = new() { ["direction"] = direction, ["texts"] = new JsonArray([.. texts.Select(text => (JsonNode?)text)]) };
        using CancellationTokenSource timeout = new(config.Timeout, timeProvider);
        using CancellationTokenSource linked = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken, timeout.Token);
        try
        {
            using HttpRequestMessage request = new(HttpMethod.Post, config.Url) { Content = new ByteArrayContent(JsonFields.Utf8(question)) };
            request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
            if (config.Credential is { } reference)
            {
                Credential credential = await credentials.GetAsync(reference, linked.Token).ConfigureAwait(false);
                disclosed(reference, config.Url.Authority);
                request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", credential.Value);
            }

            using HttpResponseMessage response = await http.SendAsync(request, linked.Token).ConfigureAwait(false);
            if (response.StatusCode == System.Net.HttpStatusCode.OK)
            {
                return JsonFields.ParseObject(await BoundedBody.ReadAsync(response.Content, MaxAnswerBytes, linked.Token).ConfigureAwait(false)).Bool("flagged")
                    ?? throw new ShieldUnavailableException("The prompt shield did not say whether it flags the texts.");
            }

            throw new ShieldUnavailableException($"The prompt shield answered {(int)response.StatusCode}.");
        }
        catch (Exception e) when (e is HttpRequestException or IOException or JsonException or BodyTooLargeException or CredentialException
            || (e is OperationCanceledException && !cancellationToken.IsCancellationRequested))
        {
            throw new ShieldUnavailableException("The prompt shield does not answer.", e);
        }
    }
}
