using Microsoft.AspNetCore.Http;
using Rynxs.ResourceServer.Faults;

namespace Rynxs.ResourceServer.Http;

/// <summary>Settings of the HTTP face of the resource API.</summary>
public sealed record ResourceApiOptions
{
    /// <summary>Largest request body in bytes; default 3 MiB, as the real server's.</summary>
    public int MaxBodyBytes { get; init; } = 3 * 1024 * 1024;

    /// <summary>Watches that are open at a time, all callers together; one more answers 429. Default 4096.</summary>
    public int MaxWatches { get; init; } = 4096;

    /// <summary>Watches that one principal may have open at a time; one more answers 429. Default 2048.</summary>
    public int MaxWatchesPerPrincipal { get; init; } = 2048;

    /// <summary>A watch whose client does not take an event within this time ends. Default one minute.</summary>
    public TimeSpan WatchSendTimeout { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Answers from this size on are compressed for clients that take gzip. Default 128 KiB, as the real server's.</summary>
    public int CompressFromBytes { get; init; } = 128 * 1024;

    /// <summary>Resources that others serve and that discovery shall name, such as access reviews.</summary>
    public IReadOnlyList<DiscoveredResource> OtherResources { get; init; } = [];

    /// <summary>Also answer <c>/healthz</c>, <c>/livez</c> and <c>/readyz</c>, for servers that are nothing but a resource server. Default false.</summary>
    public bool MapHealth { get; init; }

    /// <summary>
    /// Called when a request is answered 404 because its caller may not see what it asks for: a refusal that the answer does not show and that an audit wants.
    /// </summary>
    public Action<HttpContext>? OnHidden { get; init; }

    /// <summary>Faults for tests; null in production, always.</summary>
    public FaultInjector? DangerousFaults { get; init; }
}

/// <summary>A resource that discovery names and that is served elsewhere.</summary>
/// <param name="Group">API group.</param>
/// <param name="Version">Such as <c>v1</c>.</param>
/// <param name="Plural">Such as <c>selfsubjectaccessreviews</c>.</param>
/// <param name="Singular">Such as <c>selfsubjectaccessreview</c>.</param>
/// <param name="Kind">Such as <c>SelfSubjectAccessReview</c>.</param>
/// <param name="Namespaced">Whether it lives in namespaces.</param>
/// <param name="Verbs">Such as <c>create</c>.</param>
public sealed record DiscoveredResource(string Group, string Version, string Plural, string Singular, string Kind, bool Namespaced, IReadOnlyList<string> Verbs);
