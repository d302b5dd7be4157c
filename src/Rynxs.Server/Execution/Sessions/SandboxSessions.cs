using System.Collections.Concurrent;
using System.Diagnostics;
using Rynxs.Resources.Identity;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Files;
using Rynxs.Server.Audit;
using Rynxs.Server.Execution.Stored;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution.Sessions;

/// <summary>
/// Sandboxes that callers keep. They live as long as this process: the next start ends them on the record (<c>host_restarted</c>), removes their files, and their ids tell what became of them.
/// </summary>
internal sealed partial class SandboxSessions(SandboxExecutor executor, ExecutionJobs jobs, ExecutionStore store, string directory, TimeProvider time, ILogger<SandboxSessions> logger)
{
    /// <summary>Sessions at once, over all callers; each holds memory even when it does nothing.</summary>
    internal const int MaxSessions = 256;

    private static readonly TimeSpan ReapInterval = TimeSpan.FromSeconds(1);
    private readonly ConcurrentDictionary<string, (SandboxSession Session, ExecutionAudit Audit)> _sessions = new(StringComparer.Ordinal);
    private int _count;

    public IReadOnlyList<SandboxSession> List() => [.. _sessions.Values.Select(entry => entry.Session).OrderBy(session => session.Created)];

    public SandboxSession? TryGet(string id) => _sessions.TryGetValue(id, out (SandboxSession Session, ExecutionAudit) entry) ? entry.Session : null;

    /// <summary>Sessions that have ended, newest first.</summary>
    public IReadOnlyList<StoredSession> Ended() => store.EndedSessions();

    /// <summary>Removes the files of sessions of an earlier process; called before the first one is made.</summary>
    public async Task RemoveLeftFilesAsync(CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(directory, State.StateDirectory.PrivateDirectory);
        foreach (string left in Directory.EnumerateDirectories(directory))
        {
            await RemoveTreeAsync(left, cancellationToken);
        }
    }

    /// <exception cref="ProblemException">429: there are too many.</exception>
    public async Task<SandboxSession> CreateAsync(SessionRequest request, string agentNamespace, Principal principal, CancellationToken cancellationToken)
    {
        if (Interlocked.Increment(ref _count) > MaxSessions)
        {
            Interlocked.Decrement(ref _count);
            throw new ProblemException(new Problem(StatusCodes.Status429TooManyRequests, "too_many_sessions", $"There are {MaxSessions} sessions; end one first."));
        }

        string id = Guid.NewGuid().ToString();
        string? files = request.Template == SessionRequest.Workspace ? Path.Combine(directory, id, "files") : null;
        try
        {
            if (files is not null)
            {
                Directory.CreateDirectory(files, State.StateDirectory.PrivateDirectory);
            }

            ExecutionAudit audit = await executor.AuditAsync(agentNamespace, request.AgentId, principal, id, cancellationToken);
            SandboxSpec spec = ExecutionSandboxes.SessionSpec(request, agentNamespace, AgentChains.ChainNameOf(request.AgentId), (await executor.ImageAsync(cancellationToken)).Image, files);
            ISandbox sandbox = await executor.OpenSessionAsync(id, spec, audit, cancellationToken);
            var session = new SandboxSession(id, agentNamespace, request.AgentId, principal.Name, sandbox, request, time.GetUtcNow())
            {
                Files = files is null ? null : WorkspaceFiles.Open(files, ExecutionSandboxes.SessionFilesBytes, time),
            };
            session.Processes = new SessionProcesses(session, this, jobs, time);
            store.BeginSession(SessionView.Of(session));
            _sessions[id] = (session, audit);
            return session;
        }
        catch
        {
            Interlocked.Decrement(ref _count);
            if (files is not null)
            {
                await RemoveTreeAsync(Path.Combine(directory, id), CancellationToken.None);
            }

            throw;
        }
    }

    /// <summary>Runs a program in a session, in a new interpreter or in the one that keeps its state.</summary>
    /// <exception cref="ProblemException">409: it is paused.</exception>
    public Task<ExecuteResponse> ExecuteAsync(
        SandboxSession session, ExecutionOrder order, bool keepsState, string executionId, Action running, CancellationToken cancellationToken) => ExecuteAsync(
            session, order, (request, token) => keepsState ? session.RunKeptAsync(WithLog(request, session.Log), token) : session.Sandbox.ExecuteAsync(WithLog(request, session.Log), token), executionId, running, cancellationToken);

    /// <summary>Runs a program in a session by a way of the caller's.</summary>
    /// <exception cref="ProblemException">409: it is paused.</exception>
    public Task<ExecuteResponse> ExecuteAsync(
        SandboxSession session, ExecutionOrder order, Func<ExecutionRequest, CancellationToken, Task<ExecutionResult>> run, string executionId, Action running, CancellationToken cancellationToken) =>
        session.IsPaused
            ? throw new ProblemException(new Problem(StatusCodes.Status409Conflict, "session_paused", "The session is paused; resume it first."))
            : session.UseAsync(time, () => executor.ExecuteInSessionAsync(order, executionId, running, session, run, cancellationToken));

    /// <summary>Ends a session; its record is written when its sandbox is gone, and its files are removed then.</summary>
    public void End(SandboxSession session, string reason)
    {
        if (!session.TryEnd())
        {
            return;
        }

        store.EndSession(session.Id, reason); // first, so that its id is never unknown
        if (_sessions.TryRemove(session.Id, out (SandboxSession Session, ExecutionAudit Audit) entry))
        {
            Interlocked.Decrement(ref _count);
            LogEnded(session.Id, reason);
            executor.EndSession(session.Id, session.Sandbox, entry.Audit, reason, () => RemoveFilesAsync(session));
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

    private static ExecutionRequest WithLog(ExecutionRequest request, OutputLog log)
    {
        Action<OutputChunk>? others = request.OnOutput;
        return request with
        {
            OnOutput = chunk =>
            {
                others?.Invoke(chunk);
                log.Write(request.ExecutionId, chunk.IsError, chunk.Data.ToArray());
            },
        };
    }

    private async Task RemoveFilesAsync(SandboxSession session)
    {
        session.Log.End();
        if (session.Files is { } files)
        {
            files.Dispose();
            await RemoveTreeAsync(Path.Combine(directory, session.Id), CancellationToken.None);
        }
    }

    /// <summary>By the system's own program: names of guests need not be text, nor their trees shallow. Its sandbox is gone, so nobody changes them meanwhile.</summary>
    private async Task RemoveTreeAsync(string path, CancellationToken cancellationToken)
    {
        using Process? remover = Process.Start(new ProcessStartInfo("/bin/rm", ["-rf", "--one-file-system", "--", path]));
        if (remover is not null)
        {
            await remover.WaitForExitAsync(cancellationToken);
        }

        if (Directory.Exists(path))
        {
            LogNotRemoved(path);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Session {Session} ends: {Reason}")]
    private partial void LogEnded(string session, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "The files of a session could not be removed: {Directory}")]
    private partial void LogNotRemoved(string directory);
}
