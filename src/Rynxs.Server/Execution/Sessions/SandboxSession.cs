using Rynxs.Sandbox;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution.Sessions;

/// <summary>A sandbox that a caller keeps: its times, its state, and its interpreter where there is one.</summary>
internal sealed class SandboxSession(string id, string agentNamespace, string agentId, string principal, ISandbox sandbox, SessionRequest asked, DateTimeOffset created)
{
    private const int LogBytes = 1024 * 1024;

    /// <summary>They run one at a time; so many may wait.</summary>
    private const int MaxPrograms = 64;
    private readonly Lock _gate = new();
    private Task<ILiveInterpreter>? _interpreter;
    private DateTimeOffset _lastUse = created;
    private int _busy;
    private bool _ended;

    private int _executions;

    public string Id { get; } = id;

    public string Template { get; } = asked.Template;

    public IReadOnlyDictionary<string, string> Labels { get; } = asked.Labels ?? new Dictionary<string, string>();

    /// <summary>Its files; null where its workspace lies in the sandbox's memory.</summary>
    public Rynxs.Sandbox.Files.WorkspaceFiles? Files { get; init; }

    /// <summary>The newest output of all its programs.</summary>
    public OutputLog Log { get; } = new(LogBytes);

    /// <summary>Set once, by who makes it.</summary>
    public SessionProcesses? Processes { get; set; }

    /// <summary>Programs that began.</summary>
    public int Executions => Volatile.Read(ref _executions);

    public string Namespace { get; } = agentNamespace;

    public string AgentId { get; } = agentId;

    /// <summary>Who made it.</summary>
    public string Principal { get; } = principal;

    public ISandbox Sandbox { get; } = sandbox;

    public DateTimeOffset Created { get; } = created;

    public DateTimeOffset Expires { get; } = created.AddSeconds(asked.TtlSeconds);

    public bool IsPaused { get; private set; }

    /// <summary>Why it is to end now: <c>expired</c>, <c>idle</c>, or <c>failed</c> when its sandbox ended by itself; null while it may stay.</summary>
    public string? EndAt(DateTimeOffset now)
    {
        lock (_gate)
        {
            return Sandbox.Ended.IsCancellationRequested ? "failed"
                : now >= Expires ? "expired"
                : _busy == 0 && !IsPaused && now - _lastUse >= TimeSpan.FromSeconds(asked.IdleSeconds) ? "idle"
                : null;
        }
    }

    /// <summary>True for the one caller that may end it.</summary>
    public bool TryEnd()
    {
        lock (_gate)
        {
            (bool first, _ended) = (!_ended, true);
            return first;
        }
    }

    /// <summary>Runs something in it; it is not idle meanwhile.</summary>
    public async Task<T> UseAsync<T>(TimeProvider time, Func<Task<T>> use)
    {
        lock (_gate)
        {
            if (_busy >= MaxPrograms)
            {
                throw new ProblemException(new Problem(StatusCodes.Status429TooManyRequests, "queue_full", $"{MaxPrograms} programs of this session run or wait; try again later."));
            }

            _busy++;
            _executions++;
        }

        try
        {
            return await use();
        }
        finally
        {
            lock (_gate)
            {
                _busy--;
                _lastUse = time.GetUtcNow();
            }
        }
    }

    /// <summary>The interpreter that keeps its state; started by the first who asks, and anew after it ended.</summary>
    /// <exception cref="SandboxStartException">It cannot be started.</exception>
    public async Task<ExecutionResult> RunKeptAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        Task<ILiveInterpreter> opening;
        lock (_gate)
        {
            // Not bound to this caller: others may wait for the same one.
            _interpreter ??= Sandbox.OpenInterpreterAsync(CancellationToken.None);
            opening = _interpreter;
        }

        try
        {
            ILiveInterpreter interpreter = await opening.WaitAsync(cancellationToken);
            return await interpreter.RunAsync(request with { Environment = new Dictionary<string, string>(), StandardInput = default }, cancellationToken);
        }
        catch (SandboxStartException)
        {
            // Said to this caller; the next one gets a new interpreter, with nothing of the old one's state.
            _ = Interlocked.CompareExchange(ref _interpreter, null, opening);
            throw;
        }
    }

    public async Task SetPausedAsync(bool paused, CancellationToken cancellationToken)
    {
        await (paused ? Sandbox.PauseAsync(cancellationToken) : Sandbox.ResumeAsync(cancellationToken));
        IsPaused = paused;
    }
}

/// <summary>What a session is made with.</summary>
/// <param name="AgentId">Kubernetes label value; whom it works for.</param>
/// <param name="Template"><c>workspace</c> (files on disk, reachable through the API) or <c>memory</c> (private files in memory; from the warm pool where there is one).</param>
/// <param name="Labels">At most 16; names and values of Kubernetes labels without a prefix.</param>
/// <param name="MemoryLimitMb">16 to 2048, default 512.</param>
/// <param name="CpuLimit">0.01 to 2.0, default 0.5.</param>
/// <param name="TtlSeconds">Its longest life, 10 to 86400, default 3600.</param>
/// <param name="IdleSeconds">It ends after so long without a program, 10 to 86400, default 600. A paused one only expires.</param>
internal sealed record SessionRequest(string AgentId, int MemoryLimitMb = 512, double CpuLimit = 0.5, int TtlSeconds = 3600, int IdleSeconds = 600, string Template = SessionRequest.Workspace,
    IReadOnlyDictionary<string, string>? Labels = null)
{
    public const string Workspace = "workspace";
    public const string Memory = "memory";
}

/// <summary>A session as the API shows it.</summary>
internal sealed record SessionView(
    string SessionId, string AgentId, string Namespace, string Principal, string Sandbox, string SandboxStart, string State, DateTimeOffset CreatedAt, DateTimeOffset ExpiresAt,
    string? EndReason, DateTimeOffset? EndedAt, string Template, IReadOnlyDictionary<string, string> Labels, string ImageDigest, IReadOnlyList<Rynxs.Ledger.Events.SandboxControl> Controls)
{
    public static SessionView Of(SandboxSession session) => new(
        session.Id, session.AgentId, session.Namespace, session.Principal, session.Sandbox.Id.Value, WireNames.Of(session.Sandbox.Start), session.IsPaused ? "paused" : "running",
        session.Created, session.Expires, null, null, session.Template, session.Labels, session.Sandbox.Image.Digest, session.Sandbox.Controls);
}

/// <summary>GET /api/v1/sandbox/sessions.</summary>
internal sealed record SessionList(IReadOnlyList<SessionView> Sessions);
