using Rynxs.Kubernetes.Credentials;

namespace Rynxs.Kubernetes.Requests;

/// <summary>Settings of a <see cref="KubernetesApi"/>.</summary>
public sealed record KubernetesApiOptions
{
    public required KubernetesConnection Connection { get; init; }

    /// <summary>A whole call with its retries, 30 s unless told. Watches, logs and programs in pods have limits of their own.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Attempts after the first, 4 unless told. Repeated are reads, whatever was refused with 429, or with 503 and Retry-After, and what never reached a
    /// connection: never a write that may have been carried out.
    /// </summary>
    public int MaxRetries { get; init; } = 4;

    /// <summary>Objects of one page of a list, 500 unless told.</summary>
    public int PageSize { get; init; } = 500;

    /// <summary>Bytes of one answer, 64 MiB unless told; a larger one fails as <see cref="KubernetesFailure.Malformed"/>.</summary>
    public int MaxAnswerBytes { get; init; } = 64 * 1024 * 1024;

    /// <summary>Owner of the fields that this client applies or changes. Default <c>rynxs</c>.</summary>
    public string FieldManager { get; init; } = "rynxs";

    /// <summary>
    /// Asked immediately before each write is put on the wire, repeated ones included; false refuses it as <see cref="KubernetesFailure.Refused"/>. A leader
    /// that was deposed sends nothing more this way.
    /// </summary>
    public Func<bool>? MayWrite { get; init; }

    /// <summary>Puts handlers around the connection, such as one that counts.</summary>
    public Func<HttpMessageHandler, HttpMessageHandler>? Wrap { get; init; }

    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Spreads waits.</summary>
    public Random Random { get; init; } = Random.Shared;
}
