namespace Rynxs.Ledger.Events;

/// <summary>A call of a model goes out through the gateway. One without its <see cref="InferenceCompleted"/> outlived its gateway and was charged in full.</summary>
public sealed record InferenceStarted : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(InferenceStarted);

    /// <summary>Id of the call.</summary>
    public required string Call { get; init; }

    /// <summary><c>chat_completions</c>, <c>responses</c>, <c>embeddings</c> or <c>messages</c>.</summary>
    public required string Endpoint { get; init; }

    /// <summary>The model as the caller named it, one that the policy lists.</summary>
    public required string Model { get; init; }

    /// <summary><c>NAMESPACE/NAME</c> of the policy that allowed it.</summary>
    public required string Policy { get; init; }

    /// <summary>SHA-256 of that policy's spec.</summary>
    public required string PolicyDigest { get; init; }

    /// <summary>SHA-256 of the request. It has no salt: whoever guesses a whole request can confirm it, and nobody reads it from this.</summary>
    public required string PromptSha256 { get; init; }

    /// <summary>Upper bound of the tokens, set aside before it went out.</summary>
    public required long ReservedTokens { get; init; }

    /// <summary>Upper bound of the cost in nano-USD.</summary>
    public required long ReservedNanoUsd { get; init; }

    /// <summary>The sandbox that it came from; null for the agent's own loop and for people.</summary>
    public string? Sandbox { get; init; }

    /// <summary>The request, where the policy asks for content.</summary>
    public CommittedText? Prompt { get; init; }
}

/// <summary>A call of a model ended.</summary>
public sealed record InferenceCompleted : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(InferenceCompleted);

    /// <summary>Id of the call.</summary>
    public required string Call { get; init; }

    /// <summary><c>completed</c>, <c>caller_left</c>, <c>upstream_failed</c>, <c>upstream_refused</c>, <c>denied</c> or <c>timed_out</c>.</summary>
    public required string Outcome { get; init; }

    /// <summary>Upstream that was asked last; null when none was.</summary>
    public string? Upstream { get; init; }

    /// <summary>HTTP status of its answer.</summary>
    public int? UpstreamStatus { get; init; }

    /// <summary>Upstreams that were asked.</summary>
    public required int Attempts { get; init; }

    /// <summary>As the upstream reported it; null when it did not.</summary>
    public long? InputTokens { get; init; }

    /// <summary>As the upstream reported it; null when it did not.</summary>
    public long? OutputTokens { get; init; }

    /// <summary>Tokens that were charged.</summary>
    public required long ChargedTokens { get; init; }

    /// <summary>Nano-USD that were charged.</summary>
    public required long ChargedNanoUsd { get; init; }

    /// <summary>The whole reservation was charged, since nobody said what was used.</summary>
    public bool? ChargedInFull { get; init; }

    /// <summary>Whole milliseconds to the first byte of the answer's body.</summary>
    public long? FirstByteMs { get; init; }

    /// <summary>Whole milliseconds to the end.</summary>
    public required long DurationMs { get; init; }

    /// <summary>Detectors that replaced something in the request or the answer.</summary>
    public IReadOnlyList<string>? Redacted { get; init; }

    /// <summary>SHA-256 of the answer as it was delivered.</summary>
    public string? AnswerSha256 { get; init; }
}

/// <summary>The gateway refused calls of models before anything went out. Equal refusals are told once a minute.</summary>
public sealed record InferenceDenied : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(InferenceDenied);

    /// <summary>Stable code, such as <c>budget_exceeded</c> or <c>model_not_allowed</c>.</summary>
    public required string Reason { get; init; }

    /// <summary>Endpoint.</summary>
    public string? Endpoint { get; init; }

    /// <summary>Policy that applied; null when none did.</summary>
    public string? Policy { get; init; }

    /// <summary>How many.</summary>
    public required long Count { get; init; }
}
