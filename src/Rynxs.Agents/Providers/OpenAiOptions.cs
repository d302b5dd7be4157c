namespace Rynxs.Agents.Providers;

/// <summary>How to reach an OpenAI-compatible API.</summary>
internal sealed record OpenAiOptions
{
    /// <summary>Such as <c>http://127.0.0.1:8080/v1</c>; <c>chat/completions</c> is appended.</summary>
    public required Uri BaseUrl { get; init; }

    public required string Model { get; init; }

    /// <summary>Of one request, connection and stream included.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(60);

    public int MaxRetries { get; init; } = 3;

    /// <summary>First delay between attempts; doubles, with jitter, up to <see cref="MaxDelay"/>.</summary>
    public TimeSpan BaseDelay { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Longest delay, also when Retry-After asks for more.</summary>
    public TimeSpan MaxDelay { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Largest response body, 8 MiB.</summary>
    public int MaxResponseBytes { get; init; } = 8 * 1024 * 1024;

    /// <summary>Most calls of one answer; the rest is an error.</summary>
    public int MaxCalls { get; init; } = 64;
}
