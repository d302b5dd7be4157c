namespace Rynxs.Server.Execution.Stored;

/// <summary>How far an execution is.</summary>
internal enum ExecutionState
{
    /// <summary>Accepted; it waits for a place.</summary>
    Queued,

    /// <summary>Its intent is about to be recorded, or its program runs.</summary>
    Running,

    /// <summary>Its program ended, however; there is an answer.</summary>
    Finished,

    /// <summary>No program of it ever ran: refused, cancelled in the queue, or cut off there by a restart.</summary>
    NotStarted,

    /// <summary>The server was cut off while it ran. Nobody knows what it did; it is never repeated by itself.</summary>
    Unknown,
}

/// <summary>An execution as it is kept.</summary>
internal sealed record StoredExecution
{
    public required string ExecutionId { get; init; }

    /// <summary>Grows with each execution of this state directory; the order of lists.</summary>
    public long Number { get; init; }
    public required string Namespace { get; init; }
    public required string AgentId { get; init; }

    /// <summary>Who asked.</summary>
    public required string Principal { get; init; }

    /// <summary>The session that it ran in; null for a sandbox of its own.</summary>
    public string? SessionId { get; init; }
    public ExecutionState State { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? EndedAt { get; init; }

    /// <summary>Given by the caller; null when there was none.</summary>
    public string? IdempotencyKey { get; init; }

    /// <summary>SHA-256 of what was asked under the key.</summary>
    public byte[]? Fingerprint { get; init; }

    /// <summary>Left out in lists.</summary>
    public ExecuteResponse? Response { get; init; }
    public string? TerminationReason { get; init; }
    public bool? Success { get; init; }

    /// <summary>Code of the problem that was answered instead.</summary>
    public string? ProblemCode { get; init; }

    public string? ProblemDetail { get; init; }
}

/// <summary>Which executions to list: newest first.</summary>
/// <param name="CanSee">Namespaces that the reader may see; null sees all.</param>
/// <param name="Principal">Only what this principal asked for; null for everybody's.</param>
/// <param name="AgentId">Only of this agent id.</param>
/// <param name="SessionId">Only of this session.</param>
/// <param name="State">Only in this state.</param>
/// <param name="Before">Only with a smaller number.</param>
/// <param name="Limit">1 to <see cref="MaxLimit"/>.</param>
internal sealed record ExecutionQuery(
    IReadOnlySet<string>? CanSee, string? Principal, string? AgentId, string? SessionId, ExecutionState? State, long Before, int Limit)
{
    public const int MaxLimit = 500;
}

/// <summary>An execution in lists and as the answer to an asynchronous request.</summary>
internal sealed record ExecutionView(
    string ExecutionId, string AgentId, string Namespace, string Principal, string? SessionId, string State, DateTimeOffset CreatedAt, DateTimeOffset? EndedAt,
    string? TerminationReason, bool? Success, string? Code, string? Detail)
{
    public static ExecutionView Of(StoredExecution stored) => new(
        stored.ExecutionId, stored.AgentId, stored.Namespace, stored.Principal, stored.SessionId, ExecutionStates.Of(stored.State), stored.CreatedAt, stored.EndedAt,
        stored.TerminationReason, stored.Success, stored.ProblemCode, stored.ProblemDetail);
}

/// <summary>An execution with its answer: null while there is none, and for ever where no program ran or the outcome is unknown.</summary>
internal sealed record ExecutionDetail(ExecutionView Execution, ExecuteResponse? Result);

/// <summary>GET /api/v1/sandbox/executions.</summary>
/// <param name="Executions">Newest first.</param>
/// <param name="Continue">For the next page; null on the last.</param>
internal sealed record ExecutionList(IReadOnlyList<ExecutionView> Executions, string? Continue);

/// <summary>GET /api/v1/sandbox/executions/ID/violations.</summary>
internal sealed record ViolationList(string ExecutionId, IReadOnlyList<ViolationView> SecurityViolations, int TotalCount);

/// <summary>States on the wire.</summary>
internal static class ExecutionStates
{
    public static string Of(ExecutionState state) => state switch
    {
        ExecutionState.Queued => "queued",
        ExecutionState.Running => "running",
        ExecutionState.Finished => "finished",
        ExecutionState.NotStarted => "not_started",
        ExecutionState.Unknown => "unknown",
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    public static ExecutionState? Parse(string text)
    {
        foreach (ExecutionState state in Enum.GetValues<ExecutionState>())
        {
            if (Of(state) == text)
            {
                return state;
            }
        }

        return null;
    }
}
