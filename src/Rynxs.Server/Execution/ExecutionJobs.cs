using System.Collections.Concurrent;
using System.Security.Cryptography;
using Rynxs.Resources.Identity;
using Rynxs.Server.Execution.Stored;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution;

/// <summary>How an execution was asked for.</summary>
/// <param name="Request">Validated.</param>
/// <param name="Namespace">Of the agent id.</param>
/// <param name="Principal">Who asks.</param>
/// <param name="HashVerified">The request pinned the constitutional hash and it was equal.</param>
/// <param name="IdempotencyKey">The caller's; null when there is none.</param>
/// <param name="Fingerprint">SHA-256 of what was asked.</param>
/// <param name="SessionId">The session that it runs in; null for a sandbox of its own.</param>
internal sealed record ExecutionOrder(
    ExecuteRequest Request, string Namespace, Principal Principal, bool HashVerified, string? IdempotencyKey, byte[] Fingerprint, string? SessionId = null)
{
    /// <summary>What two requests under one key are compared by.</summary>
    public static byte[] FingerprintOf(string target, ReadOnlySpan<byte> body) => SHA256.HashData([.. System.Text.Encoding.UTF8.GetBytes(target), 0, .. body]);
}

/// <summary>Runs one execution: its id, a call for the moment before anything is done, and what ends it early.</summary>
internal delegate Task<ExecuteResponse> RunExecution(string executionId, Action running, CancellationToken cancellationToken);

/// <summary>The answer to an order.</summary>
/// <param name="Response">Null where it was asked for asynchronously and is not known yet.</param>
/// <param name="ExecutionId">Of the execution that answers.</param>
/// <param name="Replayed">It was asked for before, under the same key.</param>
internal sealed record OrderAnswer(string ExecutionId, ExecuteResponse? Response, bool Replayed);

/// <summary>
/// Executions under way: noted before they begin, joined by who asks again under the same key, cancelled by id. One with a key, and one asked for asynchronously, outlives its
/// connection; any other ends with it. A stop cancels all and waits for them.
/// </summary>
internal sealed partial class ExecutionJobs(ExecutionStore store, TimeProvider time, ILogger<ExecutionJobs> logger) : IAsyncDisposable
{
    private readonly ConcurrentDictionary<string, Job> _jobs = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _stopping = new();

    /// <summary>Under way now.</summary>
    public int Count => _jobs.Count;

    /// <exception cref="ProblemException">409 when the key belongs to an execution whose outcome is unknown, 422 when it belongs to another request; else what the execution is refused with.</exception>
    public async Task<OrderAnswer> RunAsync(ExecutionOrder order, RunExecution run, bool isAsynchronous, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_stopping.IsCancellationRequested, this);
        var job = new Job();
        string id = Guid.NewGuid().ToString();
        _jobs[id] = job; // before the row: whoever finds the row finds the job
        StoredExecution? existing;
        try
        {
            existing = store.Begin(
                new StoredExecution
                {
                    ExecutionId = id, Namespace = order.Namespace, AgentId = order.Request.AgentId, Principal = order.Principal.Name, SessionId = order.SessionId,
                    CreatedAt = time.GetUtcNow(), IdempotencyKey = order.IdempotencyKey, Fingerprint = order.IdempotencyKey is null ? null : order.Fingerprint,
                },
                durable: isAsynchronous || order.IdempotencyKey is not null);
        }
        catch
        {
            _jobs.TryRemove(id, out _);
            throw;
        }

        if (existing is not null)
        {
            _jobs.TryRemove(id, out _);
            return await ReplayAsync(existing, order, isAsynchronous, cancellationToken);
        }

        bool outlives = isAsynchronous || order.IdempotencyKey is not null;
        Task work = Task.Run(() => WorkAsync(id, job, run, durable: outlives, outlives ? CancellationToken.None : cancellationToken), CancellationToken.None);
        if (isAsynchronous)
        {
            return new OrderAnswer(id, null, Replayed: false);
        }

        if (!outlives)
        {
            await work; // with its clean-up
        }

        return new OrderAnswer(id, await job.Ended.WaitAsync(cancellationToken), Replayed: false);
    }

    /// <summary>Asks an execution to end. False when it is not under way.</summary>
    public bool TryCancel(string executionId)
    {
        if (!_jobs.TryGetValue(executionId, out Job? job))
        {
            return false;
        }

        job.Cancel();
        return true;
    }

    /// <summary>Waits until it is not under way any more, or the time is over.</summary>
    public async Task WaitAsync(string executionId, TimeSpan atMost, CancellationToken cancellationToken)
    {
        if (_jobs.TryGetValue(executionId, out Job? job))
        {
            await Task.WhenAny(job.Ended, Task.Delay(atMost, time, cancellationToken));
            cancellationToken.ThrowIfCancellationRequested();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        foreach (Job job in _jobs.Values)
        {
            await ((Task)job.Ended).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        _stopping.Dispose();
    }

    private async Task<OrderAnswer> ReplayAsync(StoredExecution existing, ExecutionOrder order, bool isAsynchronous, CancellationToken cancellationToken)
    {
        if (existing.Fingerprint is null || !existing.Fingerprint.AsSpan().SequenceEqual(order.Fingerprint))
        {
            throw new ProblemException(new Problem(
                StatusCodes.Status422UnprocessableEntity, "idempotency_key_reused", "This Idempotency-Key belongs to another request of yours.", "Idempotency-Key"));
        }

        if (isAsynchronous)
        {
            return new OrderAnswer(existing.ExecutionId, null, Replayed: true);
        }

        if (existing.Response is { } known)
        {
            return new OrderAnswer(existing.ExecutionId, known, Replayed: true);
        }

        if (_jobs.TryGetValue(existing.ExecutionId, out Job? underWay))
        {
            return new OrderAnswer(existing.ExecutionId, await underWay.Ended.WaitAsync(cancellationToken), Replayed: true);
        }

        return store.TryGet(existing.ExecutionId) is { Response: { } finished }
            ? new OrderAnswer(existing.ExecutionId, finished, Replayed: true)
            : throw new ProblemException(new Problem(
                StatusCodes.Status409Conflict, "outcome_unknown",
                $"The server was cut off while execution {existing.ExecutionId} of this Idempotency-Key ran. It is not repeated; the audit has what is known. Use another key to run it again."));
    }

    /// <summary>Never throws: how it ended is the job's.</summary>
    private async Task WorkAsync(string id, Job job, RunExecution run, bool durable, CancellationToken connection)
    {
        bool began = false;
        try
        {
            using var either = CancellationTokenSource.CreateLinkedTokenSource(connection, job.Cancelled, _stopping.Token);
            ExecuteResponse response = await run(id, () => { store.SetRunning(id); began = true; }, either.Token);
            store.Finish(id, response, durable);
            job.End(response);
        }
        catch (Exception failed)
        {
            // Whatever it was, the row must say so; then it goes on to whoever waits.
            Close(id, began, failed, job.IsCancelled);
            if (failed is OperationCanceledException && job.IsCancelled && !connection.IsCancellationRequested)
            {
                failed = new ProblemException(new Problem(StatusCodes.Status409Conflict, "execution_cancelled", "The execution was cancelled before its program began."));
            }

            job.Fail(failed);
        }
        finally
        {
            _jobs.TryRemove(id, out _);
            job.Dispose();
        }
    }

    private void Close(string id, bool began, Exception failed, bool wasCancelled)
    {
        (string code, string detail) = ProblemMapping.TryMap(failed) is { } problem ? (problem.Code, problem.Detail)
            : failed is OperationCanceledException ? ("cancelled", wasCancelled ? "It was cancelled." : "Its caller left, or the server stopped.")
            : ("internal_error", "The server failed.");
        try
        {
            // What began and failed without an answer may have run: only the audit can tell. A program that did not start, or was refused, has not.
            if (began && failed is not (OperationCanceledException or ProblemException or Sandbox.SandboxStartException or Sandbox.SandboxRefusedException or Sandbox.Images.ImageException))
            {
                store.Lose(id, code, detail);
            }
            else
            {
                store.NotStarted(id, code, detail);
            }
        }
        catch (IOException full)
        {
            // The next start closes the row.
            LogNotClosed(full, id);
        }

        if (code == "internal_error")
        {
            LogFailed(failed, id);
        }
    }

    /// <summary>One under way. Cancelling after its end does nothing.</summary>
    private sealed class Job : IDisposable
    {
        private readonly CancellationTokenSource _cancel = new();
        private readonly TaskCompletionSource<ExecuteResponse> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly Lock _gate = new();
        private bool _over;

        public CancellationToken Cancelled => _cancel.Token;

        public bool IsCancelled => _cancel.IsCancellationRequested;

        public Task<ExecuteResponse> Ended => _ended.Task;

        public void End(ExecuteResponse response) => _ended.SetResult(response);

        public void Fail(Exception exception)
        {
            _ended.SetException(exception);
            _ = _ended.Task.Exception; // seen: nobody may be waiting
        }

        public void Cancel()
        {
            lock (_gate)
            {
                if (!_over)
                {
                    _cancel.Cancel();
                }
            }
        }

        public void Dispose()
        {
            lock (_gate)
            {
                _over = true;
            }

            _cancel.Dispose();
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "Execution {Execution} failed")]
    private partial void LogFailed(Exception exception, string execution);

    [LoggerMessage(Level = LogLevel.Error, Message = "How execution {Execution} ended cannot be stored; the next start marks it")]
    private partial void LogNotClosed(Exception exception, string execution);
}
