using System.Globalization;
using Rynxs.Ledger;
using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;
using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Transparency;

/// <summary>
/// <c>POST /api/v1/ledger/redact</c>: erases texts beside a chain while the server works, and the recordings of the same calls. Who asked and why is on the
/// chain before anything is removed. Administrators that are not limited to namespaces only.
/// </summary>
internal sealed class RedactionEndpoint(AnchoredLedger ledger, Func<ChainId, CancellationToken, ValueTask<ILedgerChain>> open, string ledgerDirectory, string recordings)
{
    private const int MaxBodyBytes = 64 * 1024;
    private const int MaxItems = 256;

    public void Map(IEndpointRouteBuilder endpoints) => endpoints.MapPost("/api/v1/ledger/redact", (Delegate)RedactAsync);

    private async Task<IResult> RedactAsync(HttpContext context)
    {
        Principal principal = RequestAccess.Require(context, Role.Admin);
        if (principal.Namespaces is not null)
        {
            throw new ProblemException(Problem.NotFound("Chain"));
        }

        RedactionBody body = await RequestBody.ReadJsonAsync(context, ServerJson.Default.RedactionBody, MaxBodyBytes, context.RequestAborted);
        if (body.Reason is not { Length: > 0 and <= BlobErasure.MaxReasonLength })
        {
            return Invalid("reason", $"1 to {BlobErasure.MaxReasonLength} characters are required.");
        }

        ChainId? id = ChainId.TryParse(body.Chain);
        IReadOnlyList<long> records = body.Records ?? [];
        IReadOnlyList<string> given = body.Commitments ?? [];
        if (id is null || !ledger.ListChains().Contains(id))
        {
            return Invalid("chain", "control, or agents/NAMESPACE/NAME of a chain that there is, is required.");
        }

        if (records.Count + given.Count is 0 or > MaxItems)
        {
            return Invalid("records", string.Create(CultureInfo.InvariantCulture, $"1 to {MaxItems} records and commitments are required."));
        }

        if (given.Any(text => text is not { Length: 71 } || !text.StartsWith("sha256:", StringComparison.Ordinal) || !text.Skip(7).All(char.IsAsciiHexDigitLower)))
        {
            return Invalid("commitments", "sha256: and 64 hexadecimal digits are required.");
        }

        ILedgerChain chain = await open(id, context.RequestAborted);
        List<Commitment> commitments = [.. given.Select(text => new Commitment(text))];
        HashSet<string> calls = [];
        foreach (long seq in records)
        {
            if (await FindAsync(chain, seq, context.RequestAborted) is not { } record || BlobErasure.CommitmentsOf(record) is not { Count: > 0 } found)
            {
                return Invalid("records", string.Create(CultureInfo.InvariantCulture, $"There is no record {seq} with a text beside the chain."));
            }

            commitments.AddRange(found);
            if (record.Payload.TryGetProperty("call_id"u8, out System.Text.Json.JsonElement call) && call.GetString() is { } callId)
            {
                calls.Add(callId);
            }
        }

        int erased = await BlobErasure.EraseAsync(ledgerDirectory, chain, commitments, principal.Name, body.Reason, context.RequestAborted);
        int removed = id.AgentNamespace is { } agentNamespace && id.AgentName is { } agentName && calls.Count > 0
            ? await RemoveRecordingsAsync(chain, calls, Path.Combine(recordings, agentNamespace, agentName), context.RequestAborted)
            : 0;
        return Results.Json(new RedactionAnswer(commitments.Count, erased, removed), ServerJson.Default.RedactionAnswer);
    }

    private static async Task<LedgerRecord?> FindAsync(ILedgerChain chain, long seq, CancellationToken cancellationToken)
    {
        if (seq >= 0)
        {
            await foreach (LedgerRecord record in chain.ReadAsync(seq, cancellationToken))
            {
                return record;
            }
        }

        return null;
    }

    /// <summary>The output of a call is in its recording, too. The chain's record of the recording stays: a missing file is told as missing, not as forged.</summary>
    private static async Task<int> RemoveRecordingsAsync(ILedgerChain chain, HashSet<string> calls, string directory, CancellationToken cancellationToken)
    {
        int removed = 0;
        await foreach (LedgerRecord record in chain.ReadAsync(0, cancellationToken))
        {
            if (record.Type == nameof(SessionRecorded)
                && record.Payload.TryGetProperty("call_id"u8, out System.Text.Json.JsonElement call) && calls.Contains(call.GetString() ?? "")
                && record.Payload.TryGetProperty("recording"u8, out System.Text.Json.JsonElement name) && Path.GetFileName(name.GetString()) is { Length: > 0 } file
                && File.Exists(Path.Combine(directory, file)))
            {
                File.Delete(Path.Combine(directory, file));
                removed++;
            }
        }

        return removed;
    }

    private static Problem Invalid(string field, string message) => new(StatusCodes.Status422UnprocessableEntity, "invalid_field", $"{field}: {message}", field);
}

/// <summary>Body of <c>POST /api/v1/ledger/redact</c>.</summary>
/// <param name="Chain"><c>control</c> or <c>agents/NAMESPACE/NAME</c>.</param>
/// <param name="Reason">Why: 1 to 500 characters; recorded, not secret.</param>
/// <param name="Records">Sequences of records all of whose texts are erased.</param>
/// <param name="Commitments">Commitments (<c>sha256:HEX</c>) whose texts are erased.</param>
internal sealed record RedactionBody(string Chain, string Reason, IReadOnlyList<long>? Records = null, IReadOnlyList<string>? Commitments = null);

/// <summary>Answer.</summary>
/// <param name="Commitments">How many erasures were recorded.</param>
/// <param name="Erased">How many texts were there, and are gone.</param>
/// <param name="Recordings">How many recordings of the same calls were removed.</param>
internal sealed record RedactionAnswer(int Commitments, int Erased, int Recordings);
