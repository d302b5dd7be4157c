using System.Globalization;
using Rynxs.Ledger;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Remote;
using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;
using Rynxs.Server.Metrics;
using Rynxs.Server.Problems;

namespace Rynxs.Server.LedgerRole;

/// <summary>
/// Append and read over HTTP. Admins and operators write; readers of evidence read. A token that is limited to namespaces reaches the chains of
/// their agents; the control chain and the list need one that is not.
/// </summary>
internal sealed class LedgerRoleEndpoints(RoleParts parts, LedgerRoleOptions options, CancellationToken stopping)
{
    private const string Control = "/v1/chains/control";
    private const string Agent = "/v1/chains/agents/{ns}/{name}";
    private const int AnswerBytes = 8 * 1024 * 1024;

    private readonly RoleChains _chains = parts.Chains;

    public void Map(IEndpointRouteBuilder endpoints)
    {
        endpoints.MapGet("/livez", () => Results.Text("ok"));
        endpoints.MapGet("/readyz", () => _chains.IsDeposed ? Results.Text("deposed", statusCode: StatusCodes.Status503ServiceUnavailable) : Results.Text("ok"));
        endpoints.MapGet("/metrics", (HttpContext context) =>
        {
            RequestAccess.Require(context, RequestAccess.Readers);
            return Results.Text(parts.Exporter.Write(), PrometheusExporter.ContentType);
        });
        endpoints.MapGet("/v1/chains", (HttpContext context) =>
        {
            RequireEverywhere(context, RequestAccess.Auditors, Role.Operator);
            return Results.Json(new RemoteChains([.. _chains.List().Select(id => id.RelativePath)]), RemoteJson.Default.RemoteChains);
        });
        foreach (string chain in new[] { Control, Agent })
        {
            // As delegates: a method that takes a context alone would be taken for a handler without a result.
            endpoints.MapPost(chain + "/claim", (Delegate)ClaimAsync);
            endpoints.MapPost(chain + "/append", (Delegate)AppendAsync);
            endpoints.MapGet(chain + "/head", (Delegate)HeadAsync);
            endpoints.MapGet(chain + "/records", (Delegate)RecordsAsync);
            endpoints.MapGet(chain + "/blobs/{commitment}", (Delegate)BlobAsync);
        }
    }

    private async Task<IResult> ClaimAsync(HttpContext context)
    {
        (ChainId id, Principal principal) = Writer(context);
        RemoteClaim claim = await RequestBody.ReadJsonAsync(context, RemoteJson.Default.RemoteClaim, 1024, context.RequestAborted);
        if (claim.Writer is { } writer && !IsWriterName(writer))
        {
            return Invalid("writer", "1 to 64 letters, digits and '-' are required.");
        }

        if (claim.Name is { } shown && (shown.Length is 0 or > 253 || shown.Any(char.IsControl)))
        {
            return Invalid("name", "1 to 253 characters without control characters are required.");
        }

        IClaimableChain chain = await _chains.OpenAsync(id, context.RequestAborted);
        try
        {
            if (claim.AfterSeq is { } seq && await RoleChains.WasClaimedAfterAsync(chain, Math.Max(-1, seq), claim.Writer, context.RequestAborted))
            {
                parts.Metrics.Fenced();
                await RoleChains.RecordFencedAsync(chain, principal.Name, claim.Name ?? claim.Writer, Math.Max(-1, seq), context.RequestAborted);
                return new Problem(StatusCodes.Status409Conflict, RemoteProblem.Fenced, $"Another writer has claimed the chain {id}.");
            }

            long epoch = await chain.ClaimAsync(principal.Name, claim.Writer, context.RequestAborted);
            parts.Metrics.Claimed();
            ChainHead head = chain.Head;
            return Results.Json(new RemoteHead(epoch, head.Seq, head.EventHash), RemoteJson.Default.RemoteHead);
        }
        catch (LedgerUnavailableException exception)
        {
            return Unavailable(context, exception);
        }
    }

    private async Task<IResult> AppendAsync(HttpContext context)
    {
        (ChainId id, _) = Writer(context);
        long bytes = Math.Min(context.Request.ContentLength ?? RemoteLimits.MaxBodyBytes, RemoteLimits.MaxBodyBytes);
        if (!parts.Metrics.TryEnter(bytes, options.MaxAppends, options.MaxAppendBytes))
        {
            parts.Metrics.Appended(AppendOutcome.Busy, 0, default);
            return new Problem(StatusCodes.Status429TooManyRequests, "too_many_appends", "As many appends as the role holds at once are in work; try again.");
        }

        AppendOutcome outcome = AppendOutcome.Refused;
        int count = 0;
        long started = options.TimeProvider.GetTimestamp();
        try
        {
            RemoteAppend append = await RequestBody.ReadJsonAsync(context, RemoteJson.Default.RemoteAppend, RemoteLimits.MaxBodyBytes, context.RequestAborted);
            if (append.Entries.Count is 0 or > RemoteLimits.MaxEntries)
            {
                return Invalid("entries", $"1 to {RemoteLimits.MaxEntries} entries are required.");
            }

            LedgerEntry[] entries = [.. append.Entries.Select(entry => entry.ToEntry())];
            IClaimableChain chain = await _chains.OpenAsync(id, context.RequestAborted);
            if (append.Epoch != chain.Epoch)
            {
                outcome = AppendOutcome.EpochChanged;
                return new Problem(StatusCodes.Status409Conflict, RemoteProblem.EpochChanged, $"The chain {id} is in epoch {chain.Epoch}, not {append.Epoch}.");
            }

            IReadOnlyList<AppendedRecord> records = await chain.AppendAsync(entries, append.Epoch, context.RequestAborted);
            (outcome, count) = (AppendOutcome.Ok, records.Count);
            return Results.Json(
                new RemoteAppended([.. records.Select(record => new RemoteRecord(record.Seq, record.EventHash, record.PrevHash))]), RemoteJson.Default.RemoteAppended);
        }
        catch (IdempotencyConflictException exception)
        {
            return new Problem(StatusCodes.Status422UnprocessableEntity, RemoteProblem.KeyConflict, exception.Message, "key");
        }
        catch (ArgumentException exception)
        {
            return Invalid("entries", exception.Message);
        }
        catch (LedgerUnavailableException exception)
        {
            outcome = exception is LedgerFencedException ? AppendOutcome.EpochChanged : AppendOutcome.Unavailable;
            return Unavailable(context, exception);
        }
        finally
        {
            parts.Metrics.Leave(bytes);
            parts.Metrics.Appended(outcome, count, options.TimeProvider.GetElapsedTime(started));
        }
    }

    private async Task<IResult> HeadAsync(HttpContext context)
    {
        ILedgerChain chain = await ReaderAsync(context);
        if (context.Request.Query.TryGetValue("after", out var after))
        {
            if (!long.TryParse(after, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long seq))
            {
                return Invalid("after", "a sequence is required.");
            }

            using var until = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
            until.CancelAfter(options.MaxWait);
            try
            {
                await chain.WaitForAppendAsync(seq, until.Token);
            }
            catch (OperationCanceledException) when (!context.RequestAborted.IsCancellationRequested)
            {
                // The head as it is: the client asks again.
            }
        }

        ChainHead head = chain.Head;
        return Results.Json(new RemoteHead(chain.Epoch, head.Seq, head.EventHash), RemoteJson.Default.RemoteHead);
    }

    /// <summary>Record lines as they are stored, so that the reader can recompute every hash.</summary>
    private async Task<IResult> RecordsAsync(HttpContext context)
    {
        if (!long.TryParse(context.Request.Query["from"], NumberStyles.None, CultureInfo.InvariantCulture, out long fromSeq))
        {
            return Invalid("from", "a sequence is required.");
        }

        ILedgerChain chain = await ReaderAsync(context);
        using var lines = new MemoryStream();
        int count = 0;
        await foreach (LedgerRecord record in chain.ReadAsync(fromSeq, context.RequestAborted))
        {
            lines.Write(record.ToLine());
            if (++count == RemoteLimits.MaxRecords || lines.Length > AnswerBytes)
            {
                break;
            }
        }

        return Results.Bytes(lines.ToArray(), "application/x-ndjson");
    }

    private async Task<IResult> BlobAsync(HttpContext context)
    {
        ILedgerChain chain = await ReaderAsync(context);
        SideBlob? blob = await chain.ReadBlobAsync(new Commitment(context.Request.RouteValues["commitment"]?.ToString() ?? ""), context.RequestAborted);
        return blob is null ? Problem.NotFound("Blob") : Results.Bytes(blob.ToLine(), "application/json");
    }

    private async Task<ILedgerChain> ReaderAsync(HttpContext context)
    {
        ChainId id = Id(context);
        if (id.AgentNamespace is { } agentNamespace)
        {
            RequestAccess.RequireIn(context, agentNamespace, "Chain", [.. RequestAccess.Auditors, Role.Operator]);
        }
        else
        {
            RequireEverywhere(context, RequestAccess.Auditors, Role.Operator);
        }

        // Reading opens no chain: a name that a reader makes up must not become one.
        return _chains.List().Contains(id) ? await _chains.OpenAsync(id, context.RequestAborted) : throw new ProblemException(Problem.NotFound("Chain"));
    }

    private static (ChainId Id, Principal Principal) Writer(HttpContext context)
    {
        ChainId id = Id(context);
        return (id, id.AgentNamespace is { } agentNamespace
            ? RequestAccess.RequireIn(context, agentNamespace, "Chain", Role.Admin, Role.Operator)
            : RequireEverywhere(context, [], Role.Admin, Role.Operator));
    }

    private static Principal RequireEverywhere(HttpContext context, Role[] roles, params Role[] more)
    {
        if (context.Principal().Namespaces is not null)
        {
            throw new ProblemException(Problem.NotFound("Chain"));
        }

        return RequestAccess.Require(context, [.. roles, .. more]);
    }

    private static ChainId Id(HttpContext context)
    {
        string? agentNamespace = context.Request.RouteValues["ns"]?.ToString();
        return agentNamespace is null ? ChainId.Control
            : ChainId.TryAgent(agentNamespace, context.Request.RouteValues["name"]?.ToString() ?? "") ?? throw new ProblemException(Problem.NotFound("Chain"));
    }

    private static Problem Invalid(string field, string message) => new(StatusCodes.Status422UnprocessableEntity, "invalid_field", $"{field}: {message}", field);

    private static Problem Unavailable(HttpContext context, LedgerUnavailableException exception)
    {
        if (exception is LedgerFencedException)
        {
            // Of the entry's epoch, or of this whole process by another role; either way the writer looks at the chain again.
            return new Problem(StatusCodes.Status409Conflict, RemoteProblem.EpochChanged, exception.Message);
        }

        context.Response.Headers.RetryAfter = "1";
        return IsFull(exception)
            ? new Problem(StatusCodes.Status507InsufficientStorage, "storage_full", "The ledger's disk is full; nothing was recorded.")
            : new Problem(StatusCodes.Status503ServiceUnavailable, "ledger_unavailable", exception.Message);
    }

    private static bool IsFull(Exception exception)
    {
        const int NoSpace = 28, QuotaExceeded = 122;
        for (Exception? cause = exception; cause is not null; cause = cause.InnerException)
        {
            if (cause is IOException { HResult: var code } && (code & 0xffff) is NoSpace or QuotaExceeded)
            {
                return true;
            }
        }

        return false;
    }

    private static bool IsWriterName(string name) => name.Length is > 0 and <= 64 && name.All(character => char.IsAsciiLetterOrDigit(character) || character == '-');
}
