namespace Rynxs.Ledger.Events;

/// <summary>A credential left our hands for a use that the policy allowed. The credential itself is never recorded, in any form.</summary>
public sealed record CredentialDisclosed : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(CredentialDisclosed);

    /// <summary>Name of the credential in its source, such as <c>NAMESPACE/SECRET/KEY</c>.</summary>
    public required string Credential { get; init; }

    /// <summary>Where it went: a host of an upstream, never a sandbox.</summary>
    public required string Recipient { get; init; }

    /// <summary><c>inference</c>, <c>egress</c>, <c>mcp</c> or <c>image_pull</c>.</summary>
    public required string Purpose { get; init; }

    /// <summary>The rule that allowed it; null when none had to.</summary>
    public string? Rule { get; init; }

    /// <summary>The tool call that it was for; null outside tool calls.</summary>
    public string? CallId { get; init; }
}

/// <summary>The output of a program in a sandbox was kept as a recording: the file lies beside the ledger and is known by its hash.</summary>
public sealed record SessionRecorded : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(SessionRecorded);

    /// <summary>Name of the file below the recordings of its agent, such as <c>CALL.cast</c>.</summary>
    public required string Recording { get; init; }

    /// <summary>The tool call whose output it is; null for a session that is none.</summary>
    public string? CallId { get; init; }

    /// <summary>The sandbox that it ran in.</summary>
    public string? Sandbox { get; init; }

    /// <summary><c>asciicast/2</c>.</summary>
    public required string Format { get; init; }

    /// <summary>Lowercase hexadecimal SHA-256 of the file.</summary>
    public required string Sha256 { get; init; }

    /// <summary>Length of the file.</summary>
    public required long Bytes { get; init; }

    /// <summary>How many bytes of output were left out because the recording was full; null when none.</summary>
    public long? CutBytes { get; init; }

    /// <summary>How many places were replaced by the redaction; null when none.</summary>
    public long? Redactions { get; init; }

    public required long DurationMs { get; init; }
}
