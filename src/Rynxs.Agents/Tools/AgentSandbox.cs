using System.Text;
using System.Text.Json;
using Rynxs.Agents.Loop;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Recording;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Agents.Tools;

/// <summary>
/// The one long-lived sandbox of an agent: brought up at the first need and again after it ended, each time with its controls on the
/// record before anything runs in it.
/// </summary>
internal sealed class AgentSandbox(
    ISandboxRuntime runtime, SandboxSpec spec, AuditTrail audit, IOutputRecordings? recordings = null,
    Func<CancellationToken, Task<Sandbox.Egress.ISandboxEgress?>>? egressAsync = null) : IAsyncDisposable
{
    private readonly SemaphoreSlim _oneAtATime = new(1, 1);
    private ISandbox? _current;
    private bool _disposed;

    /// <summary>Id of the sandbox that is up.</summary>
    public string? CurrentId => _current is { Ended.IsCancellationRequested: false } sandbox ? sandbox.Id.Value : null;

    /// <summary>Brings the sandbox up unless it is. Returns its id and the digest of its root filesystem.</summary>
    /// <exception cref="SandboxRefusedException">It cannot be had; nothing ran.</exception>
    public async Task<(string Id, string ImageDigest)> EnsureAsync(CancellationToken cancellationToken)
    {
        await _oneAtATime.WaitAsync(cancellationToken);
        try
        {
            ISandbox sandbox = await EnsureLockedAsync(cancellationToken);
            return (sandbox.Id.Value, sandbox.Image.Digest);
        }
        finally
        {
            _oneAtATime.Release();
        }
    }

    /// <summary>
    /// Runs one program, recording what it tried. Waits while another runs. When the sandbox ended since <see cref="EnsureAsync"/>, a new one is brought up.
    /// </summary>
    /// <exception cref="SandboxRefusedException">It cannot be had; nothing ran.</exception>
    /// <exception cref="SandboxStartException">The program never started.</exception>
    public async Task<ExecutionResult> ExecuteAsync(ExecutionRequest request, CancellationToken cancellationToken)
    {
        await _oneAtATime.WaitAsync(cancellationToken);
        try
        {
            ISandbox sandbox = await EnsureLockedAsync(cancellationToken);
            // Whoever listens to the output already records it, under a name of its own.
            SessionRecorder? recorder = request.OnOutput is null ? recordings?.Start() : null;
            if (recorder is not null)
            {
                request = request with { OnOutput = chunk => recorder.Write(chunk.IsError, chunk.Data.Span) };
            }

            ExecutionResult result = await sandbox.ExecuteAsync(request, cancellationToken);
            if (recorder is not null && recordings is not null)
            {
                (string agentNamespace, string agentName) = (spec.Owner.Namespace, spec.Owner.Name);
                await recordings.KeepAsync(recorder, agentNamespace, agentName, $"agent:{agentNamespace}/{agentName}", request.ExecutionId, sandbox.Id.Value);
            }

            // The program ran: what it did is recorded even when the caller no longer waits.
            foreach (Violation violation in result.Violations)
            {
                await RecordAsync(sandbox, request.ExecutionId, violation, CancellationToken.None);
            }

            if (sandbox.Ended.IsCancellationRequested)
            {
                await EndAsync(SandboxOutput.WireName(result.Reason), CancellationToken.None);
            }

            return result;
        }
        finally
        {
            _oneAtATime.Release();
        }
    }

    /// <summary>Ends the sandbox; the files stay.</summary>
    public async ValueTask DisposeAsync()
    {
        await _oneAtATime.WaitAsync();
        try
        {
            _disposed = true;
            await EndAsync("agent_stopped", CancellationToken.None);
        }
        catch (LedgerUnavailableException)
        {
            // The sandbox is gone all the same; recovery at the next start finds that its end is missing and records it.
        }
        finally
        {
            _oneAtATime.Release();
        }
    }

    private async Task<ISandbox> EnsureLockedAsync(CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_current is { Ended.IsCancellationRequested: true })
        {
            await EndAsync("ended", cancellationToken);
        }

        if (_current is not null)
        {
            return _current;
        }

        // Which policies speak of the agent is asked for each sandbox anew.
        SandboxSpec asked = egressAsync is null ? spec : spec with { Egress = await egressAsync(cancellationToken) };
        ISandbox sandbox = await runtime.CreateAsync(asked, cancellationToken);
        try
        {
            await audit.AppendAsync(
                new SandboxStarted
                {
                    Sandbox = sandbox.Id.Value,
                    Runtime = sandbox.Runtime,
                    Image = sandbox.Image.Name,
                    ImageDigest = sandbox.Image.Digest,
                    Controls = sandbox.Controls,
                },
                CancellationToken.None);
        }
        catch
        {
            // Not on the record, so nothing may run in it.
            await sandbox.DisposeAsync();
            throw;
        }

        return _current = sandbox;
    }

    private async Task EndAsync(string reason, CancellationToken cancellationToken)
    {
        if (_current is not { } sandbox)
        {
            return;
        }

        _current = null;
        await sandbox.DisposeAsync();
        await audit.AppendAsync(new SandboxEnded { Sandbox = sandbox.Id.Value, Reason = reason }, cancellationToken);
    }

    private async Task RecordAsync(ISandbox sandbox, string callId, Violation violation, CancellationToken cancellationToken)
    {
        RecordedText indicators = AuditTrail.Preview(
            Encoding.UTF8.GetString(JsonSerializer.SerializeToUtf8Bytes(violation.Indicators.ToDictionary(), IndicatorsContext.Default.DictionaryStringString)));
        await audit.AppendAsync(
            new SandboxViolation
            {
                ViolationId = violation.ViolationId,
                Sandbox = sandbox.Id.Value,
                CallId = callId,
                ViolationType = violation.ViolationType,
                Severity = violation.Severity.ToString().ToLowerInvariant(),
                DetectionLayer = JsonNamingPolicy.SnakeCaseUpper.ConvertName(violation.DetectionLayer.ToString()),
                Blocked = violation.Blocked,
                Indicators = indicators.Committed,
            },
            cancellationToken,
            indicators);
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(Dictionary<string, string>))]
internal sealed partial class IndicatorsContext : System.Text.Json.Serialization.JsonSerializerContext;
