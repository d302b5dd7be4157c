using System.Text.Json.Serialization;
using Rynxs.Gateway.Channels;

namespace Rynxs.Gateway.Inference;

/// <summary>What a call of a model has to tell the ledger. It lies on the gateway's spool until the ledger has it.</summary>
[JsonPolymorphic(TypeDiscriminatorPropertyName = "type")]
[JsonDerivedType(typeof(Disclosed), "disclosed")]
[JsonDerivedType(typeof(Started), "started")]
[JsonDerivedType(typeof(Completed), "completed")]
[JsonDerivedType(typeof(Denied), "denied")]
public abstract record InferenceRecord
{
    private protected InferenceRecord()
    {
    }

    /// <summary>Whose call.</summary>
    public required GatewayCaller Caller { get; init; }

    /// <summary>A credential is used; durable before the caller gets any byte of the answer.</summary>
    public sealed record Disclosed : InferenceRecord
    {
        /// <summary>Name of the credential.</summary>
        public required string Credential { get; init; }

        /// <summary>Host and port that get it.</summary>
        public required string Recipient { get; init; }

        /// <summary><c>inference</c> or <c>mcp</c>.</summary>
        public required string Purpose { get; init; }

        /// <summary>The policy that allows it.</summary>
        public string? Rule { get; init; }
    }

    /// <summary>A call goes out. A start without its completion is a call that the gateway did not outlive: it was charged in full.</summary>
    public sealed record Started : InferenceRecord
    {
        /// <summary>Id of the call.</summary>
        public required string Call { get; init; }

        /// <summary>What for, such as <c>chat_completions</c>.</summary>
        public required string Endpoint { get; init; }

        /// <summary>The model as the caller named it; the policy allows it.</summary>
        public required string Model { get; init; }

        /// <summary><c>NAMESPACE/NAME</c> of the policy.</summary>
        public required string Policy { get; init; }

        /// <summary>Digest of the policy that was enforced.</summary>
        public required string PolicyDigest { get; init; }

        /// <summary>SHA-256 of the request as it went on, 64 lower case hexadecimal digits.</summary>
        public required string PromptSha256 { get; init; }

        /// <summary>Upper bound that was set aside, in tokens.</summary>
        public long ReservedTokens { get; init; }

        /// <summary>The same in nano-USD.</summary>
        public long ReservedNanoUsd { get; init; }

        /// <summary>The request, when the policy asks for content; null otherwise.</summary>
        public string? Prompt { get; init; }

        /// <summary>32 bytes of chance for its commitment, kept so that a repeated record is the same.</summary>
        public byte[]? PromptSalt { get; init; }

        /// <summary>Bytes of the whole request.</summary>
        public long PromptBytes { get; init; }
    }

    /// <summary>A call ended.</summary>
    public sealed record Completed : InferenceRecord
    {
        /// <summary>Id of the call.</summary>
        public required string Call { get; init; }

        /// <summary><c>completed</c>, <c>caller_left</c>, <c>upstream_failed</c>, <c>upstream_refused</c>, <c>denied</c> (by a rule on the answer), <c>timed_out</c>.</summary>
        public required string Outcome { get; init; }

        /// <summary>Upstream that answered last; null when none was reached.</summary>
        public string? Upstream { get; init; }

        /// <summary>Status of its answer; null when there was none.</summary>
        public int? UpstreamStatus { get; init; }

        /// <summary>Upstreams that were tried.</summary>
        public int Attempts { get; init; }

        /// <summary>As the upstream reported; null when it did not.</summary>
        public long? InputTokens { get; init; }

        /// <summary>As the upstream reported; null when it did not.</summary>
        public long? OutputTokens { get; init; }

        /// <summary>What was charged, in tokens.</summary>
        public long ChargedTokens { get; init; }

        /// <summary>What was charged, in nano-USD.</summary>
        public long ChargedNanoUsd { get; init; }

        /// <summary>Nobody said what was used, so the whole reservation was charged.</summary>
        public bool ChargedInFull { get; init; }

        /// <summary>Milliseconds to the first byte of the answer's body; null when there was none.</summary>
        public double? FirstByteMs { get; init; }

        /// <summary>Milliseconds to the end.</summary>
        public double DurationMs { get; init; }

        /// <summary>Detectors that replaced something in the request or the answer.</summary>
        public IReadOnlyList<string>? Redacted { get; init; }

        /// <summary>SHA-256 of the answer as the caller got it; null when nothing was delivered.</summary>
        public string? AnswerSha256 { get; init; }
    }

    /// <summary>Calls that were refused before anything went out. Equal ones are told once a minute with their number.</summary>
    public sealed record Denied : InferenceRecord
    {
        /// <summary>Stable code, such as <c>budget_exceeded</c>.</summary>
        public required string Reason { get; init; }

        /// <summary>What for; null when that was unknown, too.</summary>
        public string? Endpoint { get; init; }

        /// <summary>The policy that applied; null when none did.</summary>
        public string? Policy { get; init; }

        /// <summary>How many since it was last told.</summary>
        public long Count { get; init; } = 1;
    }
}

/// <summary>Where records go. The composition root connects it to the ledger.</summary>
public interface IInferenceLog
{
    /// <summary>Completes when the ledger has the record.</summary>
    /// <param name="record">The record.</param>
    /// <param name="idempotencyKey">The same record may come again after a crash: the key tells.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <exception cref="IOException">The ledger cannot take it now; it is offered again.</exception>
    ValueTask WriteAsync(InferenceRecord record, string idempotencyKey, CancellationToken cancellationToken);
}

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(InferenceRecord))]
internal sealed partial class InferenceRecordJson : JsonSerializerContext;
