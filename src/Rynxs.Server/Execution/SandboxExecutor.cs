using System.Collections.Concurrent;
using Rynxs.Ledger;
using Rynxs.Ledger.Recording;
using Rynxs.Resources.Identity;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Images;
using Rynxs.Server.Audit;
using Rynxs.Server.Execution.Integration;
using Rynxs.Server.Metrics;
using Rynxs.Server.Recording;

namespace Rynxs.Server.Execution;

/// <summary>What executions need.</summary>
internal sealed record SandboxExecutorServices(
    ISandboxRuntime Runtime, ImageStore Images, AgentChains Chains, ExecutionPolicy Policy, ExecutionGate Gate, PendingExecutions Pending,
    ExternalEndpoints External, ServerMetrics Metrics, TimeProvider TimeProvider, bool SecurityDebug = false, SessionRecordings? Recordings = null,
    Egress.EgressService? Egress = null);

/// <summary>
/// Runs code once, each time in a sandbox of its own that is destroyed afterwards. Policy, intent, effect and outcome in this order; an
/// intent that cannot be recorded refuses the execution.
/// </summary>
internal sealed partial class SandboxExecutor(SandboxExecutorServices services, ILogger<SandboxExecutor> logger) : IAsyncDisposable
{
    /// <summary>How the sandbox of an execution ended that has no answer.</summary>
    private const string Failed = "failed";

    private readonly ConcurrentDictionary<string, (string ExecutionId, string AgentId)> _active = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<Task, bool> _cleanups = new();

    /// <summary>Runs it and waits for its end.</summary>
    /// <param name="order">What is asked for.</param>
    /// <param name="executionId">Its id.</param>
    /// <param name="running">Called when it has its place, before anything is recorded or done.</param>
    /// <param name="cancellationToken">The caller left, or cancelled it: the program is killed.</param>
    public async Task<ExecuteResponse> ExecuteAsync(ExecutionOrder order, string executionId, Action running, CancellationToken cancellationToken)
    {
        (ExecuteRequest request, string agentNamespace, Principal principal, bool hashVerified, _, _, _) = order;
        using IDisposable place = await services.Gate.EnterAsync($"{agentNamespace}/{request.AgentId}", cancellationToken);
        ILedgerChain chain = await services.Chains.OpenAsync(agentNamespace, AgentChains.ChainNameOf(request.AgentId), cancellationToken);
        var audit = new ExecutionAudit(chain, $"{agentNamespace}/{request.AgentId}", principal.Name, executionId);
        await services.Policy.RequireAllowedAsync(request, agentNamespace, audit, cancellationToken);
        await services.External.RequireAllowedAsync(request, executionId, cancellationToken);
        running();
        ImageResolution image = await services.Images.ResolveAsync(ImageStore.BuiltInName, cancellationToken);
        RequireNetwork(request, principal);
        ISandbox sandbox = await BeginAsync(request, agentNamespace, principal, image.Image, audit, executionId, cancellationToken);
        _active[sandbox.Id.Value] = (executionId, request.AgentId);
        string ended = Failed;
        try
        {
            // The record of the start needs no answer before the program runs: the intent is durable, and that is the promise.
            Task started = audit.StartedAsync(sandbox, CancellationToken.None);
            SessionRecorder? recorder = services.Recordings?.Start();
            ExecuteResponse response = await RunAsync(
                new SandboxProgram(request, executionId, sandbox, sandbox.ColdStart, sandbox.ExecuteAsync), started, audit, hashVerified, recorder, cancellationToken);
            if (recorder is not null && services.Recordings is { } recordings)
            {
                await recordings.KeepAsync(recorder, agentNamespace, AgentChains.ChainNameOf(request.AgentId), principal.Name, executionId, sandbox.Id.Value);
            }

            ended = response.TerminationReason;
            return response;
        }
        finally
        {
            Own(EndAsync(sandbox, audit, executionId, ended));
        }
    }

    /// <summary>Sandboxes that are alive, with the execution of each where it has one.</summary>
    public IReadOnlyList<ActiveSandbox> List()
    {
        DateTimeOffset now = services.TimeProvider.GetUtcNow();
        return
        [
            .. services.Runtime.List().Select(sandbox =>
            {
                bool ours = _active.TryGetValue(sandbox.Id.Value, out (string ExecutionId, string AgentId) execution);
                return new ActiveSandbox(
                    ours ? execution.ExecutionId : null, ours ? execution.AgentId : sandbox.Owner.Name, sandbox.Owner.Namespace, sandbox.Runtime,
                    Math.Max(0, (now - sandbox.StartedAt).TotalSeconds), sandbox.Id.Value);
            }),
        ];
    }

    /// <summary>Waits for the sandboxes that are being destroyed.</summary>
    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(_cleanups.Keys);
        services.Gate.Dispose();
    }

    /// <summary>Every public host is for those who also write the policies.</summary>
    private static void RequireNetwork(ExecuteRequest request, Principal principal)
    {
        if (request.Network == Egress.EgressMode.Full && !principal.Roles.Contains(Role.Admin) && !principal.Roles.Contains(Role.Operator))
        {
            throw new Problems.ProblemException(new Problems.Problem(
                StatusCodes.Status403Forbidden, "network_policy_forbidden", "network_policy full needs the role admin or operator; restricted reaches what policies and approvals allow.", "network_policy"));
        }
    }

    /// <summary>Note, intent, sandbox: each durable before the next.</summary>
    private async Task<ISandbox> BeginAsync(
        ExecuteRequest request, string agentNamespace, Principal principal, ImageDescriptor image, ExecutionAudit audit, string executionId, CancellationToken cancellationToken)
    {
        services.Pending.Add(executionId, agentNamespace, AgentChains.ChainNameOf(request.AgentId));
        try
        {
            await audit.IntentAsync(request.Code, image.Digest, cancellationToken);
            await services.External.RequestedAsync(request, executionId, cancellationToken);
            return await StartAsync(request, agentNamespace, principal, image, audit, cancellationToken);
        }
        catch (Exception exception) when (exception is not LedgerUnavailableException)
        {
            if (exception is SandboxRefusedException)
            {
                services.External.Ended(request, executionId, "start_failed", result: null);
            }

            services.Pending.Remove(executionId);
            throw;
        }
    }

    private async Task<ISandbox> StartAsync(
        ExecuteRequest request, string agentNamespace, Principal principal, ImageDescriptor image, ExecutionAudit audit, CancellationToken cancellationToken)
    {
        SandboxSpec spec = ExecutionSandboxes.Spec(request, agentNamespace, AgentChains.ChainNameOf(request.AgentId), image) with
        {
            Egress = request.Network == Egress.EgressMode.None ? null : services.Egress?.ForExecution(agentNamespace, request.AgentId, request.Network, principal.Name),
        };
        try
        {
            return await services.Runtime.CreateAsync(spec, cancellationToken);
        }
        catch (SandboxRefusedException)
        {
            services.Metrics.ExecutionRejected("sandbox_refused");
            await audit.NotStartedAsync("start_failed");
            throw;
        }
        catch (OperationCanceledException)
        {
            services.Metrics.ExecutionRejected("cancelled");
            await audit.NotStartedAsync("cancelled");
            throw;
        }
    }

    /// <summary>Runs a program in a sandbox of a session: policy, intent, effect and outcome as in a sandbox of its own.</summary>
    public async Task<ExecuteResponse> ExecuteInSessionAsync(
        ExecutionOrder order, string executionId, Action running, Sessions.SandboxSession session, Func<ExecutionRequest, CancellationToken, Task<ExecutionResult>> run,
        CancellationToken cancellationToken)
    {
        (ExecuteRequest request, _, Principal principal, bool hashVerified, _, _, _) = order;
        if (request.Network != Egress.EgressMode.None)
        {
            throw new Problems.ProblemException(new Problems.Problem(
                StatusCodes.Status422UnprocessableEntity, "network_policy_unavailable", "A session's sandbox has no network; execute in a sandbox of its own for that.", "network_policy"));
        }

        // No place of the gate: the sandbox is there already, bounded by the number of sessions, and a process may run in it for hours.
        string chainName = AgentChains.ChainNameOf(request.AgentId);
        ILedgerChain chain = await services.Chains.OpenAsync(session.Namespace, chainName, cancellationToken);
        var audit = new ExecutionAudit(chain, $"{session.Namespace}/{request.AgentId}", principal.Name, executionId);
        await services.Policy.RequireAllowedAsync(request, session.Namespace, audit, cancellationToken);
        await services.External.RequireAllowedAsync(request, executionId, cancellationToken);
        running();
        services.Pending.Add(executionId, session.Namespace, chainName);
        await audit.IntentAsync(request.Code, session.Sandbox.Image.Digest, cancellationToken);
        await services.External.RequestedAsync(request, executionId, cancellationToken);
        SessionRecorder? recorder = services.Recordings?.Start();
        ExecuteResponse response = await RunAsync(
            new SandboxProgram(request, executionId, session.Sandbox, TimeSpan.Zero, run), Task.CompletedTask, audit, hashVerified, recorder, cancellationToken);
        if (recorder is not null && services.Recordings is { } recordings)
        {
            await recordings.KeepAsync(recorder, session.Namespace, chainName, principal.Name, executionId, session.Sandbox.Id.Value);
        }

        services.Pending.Remove(executionId);
        return response;
    }

    /// <summary>Brings up the sandbox of a session, noted and recorded like one of an execution.</summary>
    public async Task<ISandbox> OpenSessionAsync(string sessionId, SandboxSpec spec, ExecutionAudit audit, CancellationToken cancellationToken)
    {
        services.Pending.Add(sessionId, spec.Owner.Namespace, spec.Owner.Name);
        ISandbox? sandbox = null;
        try
        {
            sandbox = await services.Runtime.CreateAsync(spec, cancellationToken);
            await audit.StartedAsync(sandbox, cancellationToken);
            return sandbox;
        }
        catch
        {
            if (sandbox is not null)
            {
                await sandbox.DisposeAsync();
            }

            services.Pending.Remove(sessionId);
            throw;
        }
    }

    /// <summary>Ends the sandbox of a session off the caller's path.</summary>
    public void EndSession(string sessionId, ISandbox sandbox, ExecutionAudit audit, string reason, Func<Task> removeFiles) => Own(EndSessionAsync(sessionId, sandbox, audit, reason, removeFiles));

    private async Task EndSessionAsync(string sessionId, ISandbox sandbox, ExecutionAudit audit, string reason, Func<Task> removeFiles)
    {
        await EndAsync(sandbox, audit, sessionId, reason);
        await removeFiles();
    }

    /// <summary>The audit of something on an agent's chain.</summary>
    public async Task<ExecutionAudit> AuditAsync(string agentNamespace, string agentId, Principal principal, string callId, CancellationToken cancellationToken) =>
        new(await services.Chains.OpenAsync(agentNamespace, AgentChains.ChainNameOf(agentId), cancellationToken), $"{agentNamespace}/{agentId}", principal.Name, callId);

    public Task<ImageResolution> ImageAsync(CancellationToken cancellationToken) => services.Images.ResolveAsync(ImageStore.BuiltInName, cancellationToken);

    private async Task<ExecuteResponse> RunAsync(
        SandboxProgram program, Task started, ExecutionAudit audit, bool hashVerified, SessionRecorder? recorder, CancellationToken cancellationToken)
    {
        (ExecuteRequest request, string executionId, ISandbox sandbox, TimeSpan acquired, _) = program;
        DateTimeOffset startedAt = services.TimeProvider.GetUtcNow();
        ExecutionResult result;
        try
        {
            result = await program.Run(
                CodeCommand.Build(request) with
                {
                    ExecutionId = executionId,
                    Timeout = TimeSpan.FromSeconds(request.TimeoutSeconds),
                    OnOutput = recorder is null ? null : chunk => recorder.Write(chunk.IsError, chunk.Data.Span),
                    Environment = new Dictionary<string, string>(request.Environment)
                    {
                        ["EXECUTION_ID"] = executionId,
                        ["AGENT_ID"] = request.AgentId,
                    },
                },
                cancellationToken);
        }
        catch (SandboxStartException)
        {
            await started;
            services.Metrics.ExecutionRejected("start_failed");
            await audit.NotStartedAsync("start_failed");
            services.External.Ended(request, executionId, "start_failed", result: null);
            throw;
        }

        await started;
        await audit.OutcomeAsync(sandbox, result);
        if (recorder is { HasOutput: false })
        {
            // A live interpreter hands its output over when the program has ended: it is one piece, at that moment.
            recorder.Write(isError: false, result.StandardOutput.Span);
            recorder.Write(isError: true, result.StandardError.Span);
        }

        services.External.Ended(request, executionId, WireNames.Of(result.Reason), result);
        if (services.SecurityDebug)
        {
            LogSecurityDebug(executionId, sandbox, result);
        }

        string stdout = ExecuteResponse.Text(result.StandardOutput);
        string stderr = ExecuteResponse.Text(result.StandardError);
        return new ExecuteResponse
        {
            ExecutionId = executionId,
            AgentId = request.AgentId,
            Success = result.Reason == TerminationReason.Completed,
            Output = stdout + stderr,
            Error = ExecuteResponse.ErrorOf(result),
            SecurityViolations = [.. result.Violations.Select(ViolationView.Of)],
            ExecutionTimeSeconds = Math.Round(result.Duration.TotalSeconds, 6),
            ColdStartTimeMs = Math.Round((acquired + (result.FirstInstruction ?? TimeSpan.Zero)).TotalMilliseconds, 3),
            SandboxStart = WireNames.Of(sandbox.Start),
            ResourceUsage = ResourceUsageView.Of(result),
            TerminationReason = WireNames.Of(result.Reason),
            RuntimeUsed = sandbox.Runtime,
            ConstitutionalHashVerified = hashVerified,
            ExitCode = result.ExitCode,
            Stdout = stdout,
            Stderr = stderr,
            StdoutTruncated = result.StandardOutputTruncated,
            StderrTruncated = result.StandardErrorTruncated,
            StartedAt = startedAt,
            Image = sandbox.Image.Name,
            ImageDigest = sandbox.Image.Digest,
            Controls = sandbox.Controls,
            SecurityDebug = services.SecurityDebug ? SecurityDebugView.Of(sandbox, result) : null,
        };
    }

    private void LogSecurityDebug(string executionId, ISandbox sandbox, ExecutionResult result)
    {
        LogWatched(executionId, sandbox.Id.Value, result.Trace?.Events ?? 0, result.Trace?.Dropped ?? 0, result.Violations.Count);
        foreach (Sandbox.Violations.Violation violation in result.Violations)
        {
            LogViolation(
                executionId, violation.ViolationType, violation.Severity, violation.DetectionLayer, violation.Blocked,
                string.Join(", ", violation.Indicators.Select(pair => $"{pair.Key}={pair.Value}")));
        }
    }

    /// <param name="Request">What the caller asked for.</param>
    /// <param name="ExecutionId">Of this run.</param>
    /// <param name="Sandbox">Where.</param>
    /// <param name="Acquired">How long it took to get it; part of the cold start.</param>
    /// <param name="Run">Runs a program there.</param>
    private sealed record SandboxProgram(
        ExecuteRequest Request, string ExecutionId, ISandbox Sandbox, TimeSpan Acquired, Func<ExecutionRequest, CancellationToken, Task<ExecutionResult>> Run);

    private async Task EndAsync(ISandbox sandbox, ExecutionAudit audit, string executionId, string reason)
    {
        // Off the caller's path; the set of cleanups owns it, and a failure here is ours to tell.
        await Task.Yield();
        try
        {
            await sandbox.DisposeAsync();
            await audit.EndedAsync(sandbox.Id.Value, reason);
            if (reason != Failed)
            {
                services.Pending.Remove(executionId); // Else its outcome may be missing; the next start looks.
            }
        }
        catch (Exception exception)
        {
            LogCleanupFailed(exception, sandbox.Id.Value);
        }
        finally
        {
            _active.TryRemove(sandbox.Id.Value, out _);
        }
    }

    private void Own(Task cleanup)
    {
        _cleanups[cleanup] = true;
        cleanup.ContinueWith(ended => _cleanups.TryRemove(ended, out _), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Security debug: execution {Execution} in sandbox {Sandbox}: {Events} events seen, {Dropped} lost, {Violations} violations")]
    private partial void LogWatched(string execution, string sandbox, long events, long dropped, int violations);

    [LoggerMessage(Level = LogLevel.Information, Message = "Security debug: execution {Execution}: {Type} ({Severity}, {Layer}, blocked: {Blocked}): {Indicators}")]
    private partial void LogViolation(
        string execution, string type, Sandbox.Violations.Severity severity, Sandbox.Violations.DetectionLayer layer, bool blocked, string indicators);

    [LoggerMessage(Level = LogLevel.Error, Message = "Sandbox {Sandbox} could not be cleaned up; the next start sweeps it")]
    private partial void LogCleanupFailed(Exception exception, string sandbox);
}
