using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;

namespace Rynxs.Agents.Tools;

/// <summary>
/// Fetches one resource through the gateway: the agent's egress policy decides, the agent's chain has the record. Size, time and kind of content are bounded; a
/// redirect is told and not followed, so that each host is decided on by name.
/// </summary>
internal sealed class HttpFetchTool(Func<CancellationToken, Task<HttpMessageInvoker>>? fetcherAsync, TimeSpan timeout) : IAgentTool
{
    public const string Name = "http.fetch";

    private const int DefaultBytes = 32 * 1024;
    private const int MaxBytes = 1024 * 1024;
    private const int MaxProblemBytes = 1024;

    /// <summary>Text that a model can read; everything else is refused by its type.</summary>
    private static readonly HashSet<string> Readable = new(StringComparer.OrdinalIgnoreCase)
    {
        "application/json", "application/problem+json", "application/ld+json", "application/xml", "application/xhtml+xml", "application/yaml", "application/x-yaml",
        "application/javascript", "application/toml", "image/svg+xml",
    };

    public ToolDefinition Definition { get; } = new(Name, "Fetches a URL (GET or HEAD) and returns its text. Only hosts that the egress policy allows can be reached; redirects are not followed.",
    [
        new ToolParameter("url", ToolParameterType.Text, Required: true, "http or https, a host name, no user information.", 0, 2048),
        new ToolParameter("method", ToolParameterType.Text, Required: false, "GET (default) or HEAD.", 0, 4),
        new ToolParameter("max_bytes", ToolParameterType.Integer, Required: false, "Most bytes of the body, default 32768.", 1, MaxBytes),
    ]);

    public bool NeedsSandbox => false;

    public async Task<ToolResult> ExecuteAsync(string callId, JsonElement arguments, CancellationToken cancellationToken)
    {
        if (fetcherAsync is null)
        {
            return ToolResult.Failed("no_gateway", "There is no egress gateway here, so nothing can be fetched.");
        }

        string method = arguments.TryGetProperty("method", out JsonElement given) ? given.GetString() ?? "" : "GET";
        int most = arguments.TryGetProperty("max_bytes", out JsonElement bytes) ? bytes.GetInt32() : DefaultBytes;
        if (method is not ("GET" or "HEAD"))
        {
            return ToolResult.Failed("invalid_method", "'method' must be GET or HEAD.");
        }

        string text = arguments.GetProperty("url").GetString() ?? "";
        if (!Uri.TryCreate(text, UriKind.Absolute, out Uri? url) || url.Scheme is not ("http" or "https") || url.UserInfo.Length > 0 || url.HostNameType != UriHostNameType.Dns)
        {
            return ToolResult.Failed("invalid_url", "'url' must be an http or https URL of a host name, without user information.");
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(timeout);
        try
        {
            HttpMessageInvoker fetcher = await fetcherAsync(limit.Token);
            using var request = new HttpRequestMessage(new HttpMethod(method), url);
            request.Headers.UserAgent.Add(new ProductInfoHeaderValue("rynxs-fetch", "1"));
            using HttpResponseMessage response = await fetcher.SendAsync(request, limit.Token);
            return await ReadAsync(response, most, limit.Token);
        }
        catch (HttpRequestException failed)
        {
            // A refused CONNECT ends here; its status says who refused.
            return failed.StatusCode is { } status
                ? ToolResult.Failed("egress_denied", $"The gateway answered {(int)status}: this host, port or protocol is not allowed, or cannot be reached.")
                : ToolResult.Failed("fetch_failed", $"The request failed: {failed.HttpRequestError}.");
        }
        catch (IOException)
        {
            return ToolResult.Failed("fetch_failed", "The answer broke off.");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return ToolResult.Failed("timeout", $"No whole answer within {timeout.TotalSeconds.ToString("0.#", CultureInfo.InvariantCulture)} s.");
        }
    }

    private static async Task<ToolResult> ReadAsync(HttpResponseMessage response, int most, CancellationToken cancellationToken)
    {
        string type = response.Content.Headers.ContentType?.MediaType ?? "";
        string head = string.Create(CultureInfo.InvariantCulture, $"{(int)response.StatusCode} {type}\n");
        if (response.Headers.Location is { } location && (int)response.StatusCode is >= 300 and < 400)
        {
            return ToolResult.Succeeded($"{head}redirect to {location}; fetch it if you want it");
        }

        bool readable = type.Length == 0 || type.StartsWith("text/", StringComparison.OrdinalIgnoreCase) || Readable.Contains(type);
        if (!readable)
        {
            return ToolResult.Failed("content_type", $"The content is '{(type.Length > 128 ? type[..128] : type)}', which is no text.");
        }

        bool refused = response.StatusCode == HttpStatusCode.Forbidden && type == "application/problem+json";
        await using Stream body = await response.Content.ReadAsStreamAsync(cancellationToken);
        byte[] content = new byte[(refused ? MaxProblemBytes : most) + 1];
        int length = await body.ReadAtLeastAsync(content, content.Length, throwOnEndOfStream: false, cancellationToken);
        bool cut = length == content.Length;
        string text = Encoding.UTF8.GetString(content, 0, cut ? length - 1 : length);
        return refused
            ? ToolResult.Failed("egress_denied", text)
            : ToolResult.Succeeded(head + text + (cut ? "\n[cut: there is more]" : ""));
    }
}
