using System.Collections.Concurrent;
using Rynxs.Resources.Identity;
using Rynxs.Sandbox;
using Rynxs.Server.Audit;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution.Sessions;

/// <summary>
/// Sandboxes that callers keep. They live as long as this process: after a restart the next start ends them on the record (<c>host_restarted</c>), and their ids answer 404.
/// </summary>
internal sealed partial class SandboxSessions(SandboxExecutor executor, TimeProvider time, ILogger<SandboxSessions> logger)
{
    /// <summary>Sessions at once, over all callers; each holds memory even when it does nothing.</summary>
    internal const int MaxSessions = 256;

    private static readonly TimeSpan ReapInterval = TimeSpan.FromSeconds(1);
    private readonly ConcurrentDictionary<string, (SandboxSession Session, ExecutionAudit Audit)> _sessions = new(StringComparer.Ordinal);
    private int _count;

    public IReadOnlyList<SandboxSession> List() => [.. _sessions.Values.Select(entry => entry.Session).OrderBy(session => session.Created)];

    public SandboxSession? TryGet(string id) => _sessions.TryGetValue(id, out (SandboxSession Session, ExecutionAudit) entry) ? entry.Session : null;

    /// <exception cref="ProblemException">429: there are too many.</exception>
    public async Task<SandboxSession> CreateAsync(SessionRequest request, string agentNamespace, Principal principal, CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref _count) > MaxSessions)
        {
            Interlocked.Decrement(ref _count);
            throw new ProblemException(new Problem(StatusCodes.Status429TooManyRequests, "too_many_sessions", $"There are {MaxSessions} sessions; end one first."));
        }

        try
        {
            string id = Guid.NewGuid().ToString();
            ExecutionAudit audit = await executor.AuditAsync(agentNamespace, request.AgentId, principal, id, cancellationToken);
            SandboxSpec spec = ExecutionSandboxes.SessionSpec(request, agentNamespace, AgentChains.ChainNameOf(request.AgentId), (await executor.ImageAsync(cancellationToken)).Image);
            ISandbox sandbox = await executor.OpenSessionAsync(id, spec, audit, cancellationToken);
            var session = new SandboxSession(id, agentNamespace, request.AgentId, principal.Name, sandbox, request, time.GetUtcNow());
            _sessions[id] = (session, audit);
            return session;
        }
        catch
        {
            Interlocked.Decrement(ref _count);
            throw;
        }
    }

    /// <summary>Runs a program in a session, in a new interpreter or in the one that keeps its state.</summary>
    /// <exception cref="ProblemException">409: it is paused.</exception>
    public Task<ExecuteResponse> ExecuteAsync(
        SandboxSession session, ExecutionOrder order, bool keepsState, string executionId, Action running, CancellationToken cancellationToken) =>
        session.IsPaused
            ? throw new ProblemException(new Problem(StatusCodes.Status409Conflict, "session_paused", "The session is paused; resume it first."))
            : session.UseAsync(time, () => executor.ExecuteInSessionAsync(
                order, executionId, running, session, keepsState ? session.RunKeptAsync : session.Sandbox.ExecuteAsync, cancellationToken));

    /// <summary>Ends a session; its record is written when its sandbox is gone.</summary>
    public void End(SandboxSession session, string reason)
    {
        if (session.TryEnd() && _sessions.TryRemove(session.Id, out (SandboxSession Session, ExecutionAudit Audit) entry))
        {
            Interlocked.Decrement(ref _count);
            LogEnded(session.Id, reason);
            executor.EndSession(session.Id, session.Sandbox, entry.Audit, reason);
        }
    }

    /// <summary>Ends what has expired, was idle too long, or lost its sandbox; ends all when it is cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            using var timer = new PeriodicTimer(ReapInterval, time);
            while (await timer.WaitForNextTickAsync(cancellationToken))
            {
                DateTimeOffset now = time.GetUtcNow();
                foreach (SandboxSession session in List())
                {
                    if (session.EndAt(now) is { } reason)
                    {
                        End(session, reason);
                    }
                }
            }
        }
        finally
        {
            foreach (SandboxSession session in List())
            {
                End(session, "host_stopped");
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Session {Session} ends: {Reason}")]
    private partial void LogEnded(string session, string reason);
}
