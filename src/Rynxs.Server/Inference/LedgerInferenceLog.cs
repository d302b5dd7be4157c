using System.Text;
using Rynxs.Gateway.Channels;
using Rynxs.Gateway.Inference;
using Rynxs.Ledger;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;
using Rynxs.Server.Audit;

namespace Rynxs.Server.Inference;

/// <summary>Writes the gateway's records into the chain of the agent that they are about; those of nobody's go to the control chain.</summary>
internal sealed class LedgerInferenceLog(AgentChains chains, ILedgerChain control) : IInferenceLog
{
    /// <inheritdoc/>
    public async ValueTask WriteAsync(InferenceRecord record, string idempotencyKey, CancellationToken cancellationToken)
    {
        GatewayCaller caller = record.Caller;
        try
        {
            ILedgerChain chain = caller.Agent is { } agent ? await chains.OpenAsync(caller.Namespace, AgentChains.ChainNameOf(agent), cancellationToken) : control;
            SideBlob? prompt = record is InferenceRecord.Started { Prompt: { } text, PromptSalt: { } salt } ? SideBlob.Open(salt, Encoding.UTF8.GetBytes(text)) : null;
            await chain.AppendAsync(
                new LedgerEntry
                {
                    Payload = PayloadOf(record, prompt),
                    AggregateId = $"{caller.Namespace}/{caller.Agent ?? caller.Sandbox ?? "-"}",
                    Principal = caller.Principal,
                    IdempotencyKey = idempotencyKey,
                    Blobs = prompt is null ? [] : [prompt],
                },
                cancellationToken);
        }
        catch (LedgerUnavailableException unavailable)
        {
            throw new IOException("The ledger takes no records now.", unavailable);
        }
    }

    private static LedgerPayload PayloadOf(InferenceRecord record, SideBlob? prompt) => record switch
    {
        InferenceRecord.Disclosed disclosed => new CredentialDisclosed
        {
            Credential = disclosed.Credential,
            Recipient = disclosed.Recipient,
            Purpose = disclosed.Purpose,
            Rule = disclosed.Rule,
        },
        InferenceRecord.Started started => new InferenceStarted
        {
            Call = started.Call,
            Endpoint = started.Endpoint,
            Model = started.Model,
            Policy = started.Policy,
            PolicyDigest = started.PolicyDigest,
            PromptSha256 = started.PromptSha256,
            ReservedTokens = started.ReservedTokens,
            ReservedNanoUsd = started.ReservedNanoUsd,
            Sandbox = started.Caller.Sandbox,
            Prompt = prompt is null
                ? null
                : new CommittedText(prompt.Commitment.Value, started.PromptBytes, prompt.Content.Length < started.PromptBytes ? started.PromptBytes - prompt.Content.Length : null),
        },
        InferenceRecord.Completed completed => new InferenceCompleted
        {
            Call = completed.Call,
            Outcome = completed.Outcome,
            Upstream = completed.Upstream,
            UpstreamStatus = completed.UpstreamStatus,
            Attempts = completed.Attempts,
            InputTokens = completed.InputTokens,
            OutputTokens = completed.OutputTokens,
            ChargedTokens = completed.ChargedTokens,
            ChargedNanoUsd = completed.ChargedNanoUsd,
            ChargedInFull = completed.ChargedInFull ? true : null,
            FirstByteMs = (long?)completed.FirstByteMs,
            DurationMs = (long)completed.DurationMs,
            Redacted = completed.Redacted,
            AnswerSha256 = completed.AnswerSha256,
        },
        InferenceRecord.Denied denied => new InferenceDenied { Reason = denied.Reason, Endpoint = denied.Endpoint, Policy = denied.Policy, Count = denied.Count },
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
