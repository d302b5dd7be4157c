using System.Collections.Concurrent;
using System.Text.Json;
using System.Threading.Channels;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Agents.Approvals;
using Rynxs.Agents.Lifecycle;
using Rynxs.Agents.Loop;
using Rynxs.Agents.Outbox;
using Rynxs.Agents.Policies;
using Rynxs.Agents.Providers;
using Rynxs.Agents.Tasks;
using Rynxs.Agents.Tools;
using Rynxs.Ledger;
using Rynxs.Ledger.Files;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.Agents.Tests.AgentLoops;

/// <summary>
/// One agent's loop over the real ledger, the real resource store and real files. Its tools have effects that can be counted; a sandbox is
/// not among them, so it runs everywhere. <see cref="RestartAsync"/> drops everything in memory, as a crash does.
/// </summary>
internal sealed class AgentBench : IAsyncDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private AgentLoop? _loop;
    private FileLedger? _ledger;

    private AgentBench()
    {
    }

    public static NamespacedName Agent { get; } = new("rynxs", "my-agent");

    public AgentSpec Spec { get; set; } = new() { Role = "sandbox", Tools = new ToolsSpec { Allow = ["effect.*", "task.complete"] } };

    public IModelProvider Provider { get; set; } = new ScriptedProvider();

    public EffectTool Effect { get; } = new();

    public AgentRuntimesOptions Options { get; set; } = new() { InboxPollInterval = TimeSpan.FromMilliseconds(50), DrainTimeout = TimeSpan.FromSeconds(5) };

    public ResourceStore Store { get; private set; } = null!; // Set by StartAsync, the only way to get a bench.

    public AgentPaths Paths { get; private set; } = null!; // As above.

    public AuditTrail Audit { get; private set; } = null!; // As above.

    public AgentLoop Loop => _loop ?? throw new InvalidOperationException("The loop was not started.");

    public BlockingCollection<OutboxLine> Answers { get; } = [];

    public static async Task<AgentBench> StartAsync(Action<AgentBench>? arrange = null, bool startLoop = true)
    {
        var bench = new AgentBench();
        bench.Store = await ResourceStore.OpenAsync(new ResourceStoreOptions { Path = bench._directory.File("objects.db") }, CancellationToken.None);
        bench.Paths = AgentPaths.Of(bench._directory.File("workspaces"), bench._directory.File("agents"), Agent);
        bench.Paths.Create();
        arrange?.Invoke(bench);
        await bench.OpenAsync();
        if (startLoop)
        {
            bench.Loop.Start();
        }

        return bench;
    }

    /// <summary>Everything in memory is gone; files stay as they are.</summary>
    public async Task RestartAsync()
    {
        await StopAsync();
        await OpenAsync();
        Loop.Start();
    }

    public async Task StopAsync()
    {
        if (_loop is not null)
        {
            await _loop.DisposeAsync();
            await _ledger!.DisposeAsync(); // Opened together with the loop.
            _loop = null;
        }
    }

    /// <summary>As a person does it: <c>echo '{…}' >> inbox.jsonl</c>.</summary>
    public void AppendByHand(string line) => File.AppendAllText(Paths.Inbox, line);

    public OutboxLine NextAnswer() =>
        Answers.TryTake(out OutboxLine? answer, TimeSpan.FromSeconds(60)) ? answer : throw new TimeoutException("No answer came.");

    public IReadOnlyList<JsonElement> OutboxLines() =>
        File.Exists(Paths.Outbox) ? [.. File.ReadLines(Paths.Outbox).Select(line => JsonDocument.Parse(line).RootElement)] : [];

    public async Task<IReadOnlyList<LedgerRecord>> RecordsAsync()
    {
        var records = new List<LedgerRecord>();
        await foreach (LedgerRecord record in Audit.Chain.ReadAsync(0, CancellationToken.None))
        {
            records.Add(record);
        }

        return records;
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await Store.DisposeAsync();
        Answers.Dispose();
        _directory.Dispose();
    }

    private async Task OpenAsync()
    {
        _ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory.File("ledger") }, CancellationToken.None);
        ILedgerChain chain = await _ledger.OpenAsync(ChainId.Agent(Agent.Namespace, Agent.Name), new ChainOptions { MirrorPath = Paths.Audit }, CancellationToken.None);
        string principal = Principal.ForAgent(Agent.Namespace, Agent.Name).Name;
        Audit = new AuditTrail(chain, Agent, principal);
        var gate = new PolicyGate(TimeProvider.System) { Model = AgentPolicy.Build(Spec, null) };
        var sandbox = new AgentSandbox(new RefusingRuntime(), RefusingRuntime.Spec(Agent), Audit);
        var context = new AgentContext
        {
            Agent = Agent,
            Spec = Spec,
            Provider = Provider,
            Tools = new ToolRegistry([Effect, new CompleteTaskTool(), new ShellTool(sandbox, new ExecutionDefaults(TimeSpan.FromSeconds(1), 1024))]),
            Sandbox = sandbox,
            Audit = Audit,
            Approvals = new ApprovalDesk(Store.For(Principal.System), Agent, principal, TimeProvider.System, Options.ApprovalLifetime, Options.MaxOpenApprovals),
            Gate = gate,
            RefreshPolicyAsync = _ => Task.CompletedTask,
            JournalPath = Paths.Journal,
            TimeProvider = TimeProvider.System,
        };
        _loop = new AgentLoop(context, Paths, Options, new TaskGuard(Store.For(Principal.System)), OnProgress, NullLogger.Instance);
    }

    private void OnProgress(MessageProgress progress)
    {
        if (progress.Answer is { } answer)
        {
            Answers.Add(answer);
        }
    }
}

/// <summary>A tool whose effect can be counted and held.</summary>
internal sealed class EffectTool : IAgentTool
{
    private readonly Channel<string> _begun = Channel.CreateUnbounded<string>();

    public ConcurrentQueue<string> Effects { get; } = new();

    /// <summary>The next calls wait for this.</summary>
    public TaskCompletionSource? Hold { get; set; }

    public ToolDefinition Definition { get; } = new("effect.do", "Does something once.", [new ToolParameter("what", ToolParameterType.Text, true, "What.", 0, 1000)]);

    public bool NeedsSandbox => false;

    public async Task WaitUntilBegunAsync() => await _begun.Reader.ReadAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(60));

    public async Task<ToolResult> ExecuteAsync(string callId, JsonElement arguments, CancellationToken cancellationToken)
    {
        string what = arguments.GetProperty("what").GetString() ?? "";
        Effects.Enqueue(what);
        _begun.Writer.TryWrite(what);
        if (Hold is { } hold)
        {
            await hold.Task.WaitAsync(cancellationToken);
        }

        return what == "fail" ? ToolResult.Failed("failed", "it failed") : ToolResult.Succeeded($"did {what}");
    }
}
