using System.Globalization;
using System.Net;
using System.Net.WebSockets;
using Rynxs.Kubernetes.Objects;

namespace Rynxs.Kubernetes.Requests;

public sealed partial class KubernetesApi
{
    /// <summary>The end of a container's log.</summary>
    /// <param name="inNamespace">Of the pod.</param>
    /// <param name="pod">Its name.</param>
    /// <param name="container">Null for the pod's only one.</param>
    /// <param name="tailLines">Lines from the end.</param>
    /// <param name="limitBytes">At most so many bytes, from the first of those lines; the server cuts.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    public Task<string> ReadLogAsync(string inNamespace, string pod, string? container, int tailLines, int limitBytes, CancellationToken cancellationToken) =>
        ReadTextAsync(
            ApiResources.Pods.Path(inNamespace, pod, "log") + Query(
                ("container", container), ("tailLines", tailLines.ToString(CultureInfo.InvariantCulture)),
                ("limitBytes", limitBytes.ToString(CultureInfo.InvariantCulture))),
            cancellationToken);

    /// <summary>A WebSocket of this client's identity. It counts as a write: what runs over it acts.</summary>
    internal async Task<ClientWebSocket> OpenSocketAsync(string path, string protocol, string what, CancellationToken cancellationToken)
    {
        var socket = new ClientWebSocket();
        try
        {
            socket.Options.HttpVersion = HttpVersion.Version11;
            socket.Options.HttpVersionPolicy = HttpVersionPolicy.RequestVersionExact;
            socket.Options.AddSubProtocol(protocol);
            socket.Options.CollectHttpResponseDetails = true;
            socket.Options.KeepAliveInterval = TimeSpan.FromSeconds(20);
            socket.Options.KeepAliveTimeout = TimeSpan.FromSeconds(20);
            if (await Options.Connection.Credential.TokenAsync(rejected: null, cancellationToken) is { } token)
            {
                socket.Options.SetRequestHeader("Authorization", $"Bearer {token}");
            }

            if (Options.MayWrite is { } mayWrite && !mayWrite())
            {
                throw new KubernetesException(KubernetesFailure.Refused, $"{what}: this process may not write any more");
            }

            var address = new UriBuilder(new Uri(Options.Connection.Server, path)) { Scheme = Options.Connection.Server.Scheme == "https" ? "wss" : "ws" };
            await socket.ConnectAsync(address.Uri, _transport.Invoker, cancellationToken);
            return socket.SubProtocol == protocol
                ? socket
                : throw new KubernetesException(KubernetesFailure.Malformed, $"{what}: the server does not speak {protocol} (Kubernetes 1.30 does)");
        }
        catch (WebSocketException exception) when (socket.HttpStatusCode is not (0 or HttpStatusCode.SwitchingProtocols))
        {
            HttpStatusCode code = socket.HttpStatusCode;
            socket.Dispose();
            throw Failures.Of(code, [], retryAfter: null, $"{what} ({exception.WebSocketErrorCode})");
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }
}
