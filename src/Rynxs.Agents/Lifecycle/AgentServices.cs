using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;
using Rynxs.Agents.Secrets;
using Rynxs.Agents.Tools;
using Rynxs.Ledger;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Images;

namespace Rynxs.Agents.Lifecycle;

/// <summary>What agents need from the process that hosts them.</summary>
public sealed record AgentServices
{
    /// <summary>Acts as the system principal: approvals and task status are written with it.</summary>
    public required IResourceClient Resources { get; init; }

    public required ILedger Ledger { get; init; }

    public required ISandboxRuntime Sandboxes { get; init; }

    /// <summary>Resolves <c>spec.image</c> to a root filesystem.</summary>
    public required ImageStore Images { get; init; }

    public required ISecretSource Secrets { get; init; }

    /// <summary>The gateway; null where there is none: then no sandbox has a way out, and <c>http.fetch</c> reaches nothing.</summary>
    public Egress.IAgentEgress? Egress { get; init; }

    /// <summary>
    /// Opens the way to the model that a spec names: the gateway, which decides, charges and adds the credential. Null sends requests straight to the
    /// provider's address with a key from <see cref="Secrets"/>: for tests of the loop alone.
    /// </summary>
    public Func<NamespacedName, ProviderSpec, HttpMessageHandler>? ModelTransport { get; init; }

    public required TimeProvider TimeProvider { get; init; }

    public required ILoggerFactory LoggerFactory { get; init; }

    /// <summary>Keeps the output of the agents' sandboxes; null keeps none.</summary>
    public IOutputRecordings? Recordings { get; init; }

    /// <summary>Null measures nothing.</summary>
    public IMeterFactory? MeterFactory { get; init; }

    /// <summary>Directory of <c>NAMESPACE/NAME/{inbox.jsonl,outbox.jsonl,audit.jsonl,files/}</c>.</summary>
    public required string WorkspacesDirectory { get; init; }

    /// <summary>Directory of <c>NAMESPACE/NAME/</c> with the loop's own files (cursor, journal). No sandbox ever mounts it.</summary>
    public required string AgentStateDirectory { get; init; }
}

/// <summary>Bounds of all agent loops of a process.</summary>
public sealed record AgentRuntimesOptions
{
    /// <summary>How long stopping waits for a running tool call before it is cancelled. Default 10 s.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How often an inbox is looked at without a hint from the file system. Default 1 s.</summary>
    public TimeSpan InboxPollInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Accepted messages that wait, per agent; beyond it the inbox is not read on. Default 10,000.</summary>
    public int MaxPendingMessages { get; init; } = 10_000;

    /// <summary>Open approvals per agent; beyond it a call that needs one is denied. Default 32.</summary>
    public int MaxOpenApprovals { get; init; } = 32;

    /// <summary>How long an approval stays open. Default 1 h.</summary>
    public TimeSpan ApprovalLifetime { get; init; } = TimeSpan.FromHours(1);
}
