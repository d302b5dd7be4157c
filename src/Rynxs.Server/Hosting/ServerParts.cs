using System.Diagnostics.Metrics;
using System.Text.Json.Nodes;
using Rynxs.Agents.Lifecycle;
using Rynxs.Agents.Tasks;
using Rynxs.Ledger;
using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Export;
using Rynxs.Ledger.Files;
using Rynxs.Operator.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.ResourceServer.Storage;
using Rynxs.Sandbox;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Namespaces;
using Rynxs.Server.Agents;
using Rynxs.Server.Audit;
using Rynxs.Server.Egress;
using Rynxs.Server.Execution;
using Rynxs.Server.Execution.Integration;
using Rynxs.Server.Execution.Stored;
using Rynxs.Server.Export;
using Rynxs.Server.Execution.Sessions;
using Rynxs.Server.Health;
using Rynxs.Server.Inference;
using Rynxs.Server.Identity;
using Rynxs.Server.Metrics;
using Rynxs.Server.Recording;
using Rynxs.Server.Secrets;
using Rynxs.Server.State;
using Rynxs.Server.Transparency;

namespace Rynxs.Server.Hosting;

/// <summary>
/// Everything between the state directory and HTTP, opened in order and closed in reverse: ledger, objects, sandboxes, agents, loops.
/// </summary>
internal sealed partial class ServerParts : IAsyncDisposable
{
    private readonly Stack<IAsyncDisposable> _opened = new();
    private readonly ILogger<ServerParts> _logger;
    private readonly ServerOptions _options;
    private readonly StateDirectory _state;
    private BackgroundParts? _background;

    private ServerParts(ServerOptions options, StateDirectory state, ILoggerFactory loggers)
    {
        _options = options;
        _state = state;
        _logger = loggers.CreateLogger<ServerParts>();
    }

    public required ServerMetrics Metrics { get; init; }
    public ILedgerChain Control { get; private set; } = null!; // Set by OpenAsync before anyone sees the instance.
    public CheckpointPublisher Publisher { get; private set; } = null!; // As above.
    public ResourceStore Store { get; private set; } = null!; // As above.
    public ImageStore Images { get; private set; } = null!; // As above.
    public ISandboxRuntime Runtime { get; private set; } = null!; // As above.
    public InferenceParts Inference { get; private set; } = null!; // As above.
    public AgentRuntimes Agents { get; private set; } = null!; // As above.
    public AgentChains Chains { get; private set; } = null!; // As above.
    public AgentWorkspaces Workspaces { get; private set; } = null!; // As above.
    public SandboxExecutor Executor { get; private set; } = null!; // As above.
    /// <summary>Null unless sessions are recorded.</summary>
    public SessionRecordings? Recordings { get; private set; }
    public EgressService Egress { get; private set; } = null!; // As above.
    public SandboxSessions Sessions { get; private set; } = null!; // As above.
    public ExecutionStore Executions { get; private set; } = null!; // As above.
    public ExecutionJobs Jobs { get; private set; } = null!; // As above.
    public DeniedRequestLog Denied { get; private set; } = null!; // As above.
    public ServerHealth Health { get; private set; } = null!; // As above.
    public LedgerWatch LedgerWatch { get; private set; } = null!; // As above.

    /// <summary>For whatever injects a credential into a request or a sandbox.</summary>
    public CredentialDisclosures Disclosures { get; private set; } = null!; // As above.
    public RedactionEndpoint Redaction { get; private set; } = null!; // As above.
    private TransparencyMetrics? _checkpointMetrics;
    public BackgroundParts Background => _background ?? throw new InvalidOperationException("The parts are not open.");

    /// <summary>Opens everything and starts the loops. On failure what was opened is closed again.</summary>
    public static async Task<ServerParts> OpenAsync(
        ServerOptions options, StateDirectory state, ServerMetrics metrics, IMeterFactory meters, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        var parts = new ServerParts(options, state, loggers) { Metrics = metrics };
        try
        {
            await parts.OpenAsync(meters, loggers, cancellationToken);
            return parts;
        }
        catch
        {
            await parts.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_background is not null)
        {
            await _background.StopAsync();
            _background.Dispose();
        }

        // One part that cannot close (its disk is gone) must not keep the others, above all the sandboxes, from being closed.
        var failures = new List<Exception>();
        while (_opened.TryPop(out IAsyncDisposable? part))
        {
            try
            {
                await part.DisposeAsync();
            }
            catch (Exception exception)
            {
                failures.Add(exception);
            }
        }

        Health?.Dispose();
        _checkpointMetrics?.Dispose();
        Recordings?.Dispose();
        LedgerWatch?.Dispose();
        if (failures.Count > 0)
        {
            throw new AggregateException("The server did not stop cleanly; the next start removes what is left.", failures);
        }
    }

    private async Task OpenAsync(IMeterFactory meters, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        Report("Opening the ledger");
        FileLedger files = await FileLedger.OpenAsync(
            new FileLedgerOptions { Directory = _state.LedgerDirectory, TimeProvider = _options.TimeProvider }, cancellationToken);
        _opened.Push(files);
        LedgerWatch = new LedgerWatch(meters);
        var ledger = new AnchoredLedger(LedgerWatch.Around(_options.LedgerDecorator?.Invoke(files) ?? files));
        Control = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken);
        Publisher = await CheckpointPublisher.OpenAsync(
            ledger, Control, _state.LedgerDirectory, _state.LedgerKeysDirectory, _options.Transparency, _options.TimeProvider,
            loggers.CreateLogger<CheckpointPublisher>(), cancellationToken);
        _opened.Push(Publisher);
        _checkpointMetrics = new TransparencyMetrics(meters, Publisher);
        Denied = new DeniedRequestLog(Control, _options.TimeProvider, loggers.CreateLogger<DeniedRequestLog>());

        Report("Opening the objects");
        Store = await ResourceStore.OpenAsync(
            new ResourceStoreOptions
            {
                Path = _state.ObjectsPath,
                TimeProvider = _options.TimeProvider,
                MutationLog = new LedgerMutationLog(Control),
                AllKinds = _options.AllKinds,
                RequireNamespaces = true,
                InitialNamespaces = _options.InitialNamespaces,
            },
            cancellationToken,
            loggers.CreateLogger<ResourceStore>());
        _opened.Push(Store);
        await Store.BurnVersionsThroughAsync(await LedgerMutationLog.HighestVersionAsync(Control, cancellationToken), cancellationToken);
        await Store.EnsureNamespacesAsync(cancellationToken);

        await OpenSandboxesAsync(meters, loggers, cancellationToken);
        Workspaces = new AgentWorkspaces(_state.WorkspacesDirectory);
        Chains = new AgentChains(ledger, Workspaces);
        if (_options.RecordSessions)
        {
            Recordings = new SessionRecordings(Path.Combine(_state.Path, "recordings"), Chains, _options.TimeProvider, meters, loggers.CreateLogger<SessionRecordings>());
        }

        Inference = await InferenceParts.OpenAsync(Store, _state, Chains, Control, _options.TimeProvider, meters, loggers, cancellationToken);
        _opened.Push(Inference);
        Egress = await EgressService.StartAsync(
            _state.Path, Store.For(Principal.System), Chains, Inference, _options.OpenedEgress, new EgressNames(_options.EgressHosts), meters, _options.TimeProvider, loggers, cancellationToken);
        _opened.Push(Egress);
        await OpenExecutorAsync(loggers, cancellationToken);
        OpenAgents(ledger, meters, loggers);
        Disclosures = new CredentialDisclosures(Chains);
        Redaction = new RedactionEndpoint(
            ledger,
            // An agent's chain is opened with its mirror, as everywhere else.
            async (id, token) => id is { AgentNamespace: { } agentNamespace, AgentName: { } agentName } ? await Chains.OpenAsync(agentNamespace, agentName, token) : Control,
            _state.LedgerDirectory, Path.Combine(_state.Path, "recordings"));
        Health = new ServerHealth(_state, Control, Store, Runtime, _options.TimeProvider, new LedgerHealth(LedgerWatch, Publisher), Inference.Gateway, CheckEgressAsync);
        Metrics.Observe(() => Gate.Queued, () => Agents.List().Count, () => Control.Head.Seq);
        OpenExports(meters, loggers);
        StartLoops(loggers);
    }

    private EgressController? _egress;

    private async Task<ReadinessCheck> CheckEgressAsync(CancellationToken cancellationToken)
    {
        (bool enforces, string answer) = await Egress.ProbeAsync(cancellationToken);
        bool current = _egress?.IsCurrent ?? false;
        return new ReadinessCheck("egress_gateway", enforces && current, current ? $"a name that nothing allows: {answer}" : "The policies could not be looked at for a minute.");
    }

    private LedgerExports? _exports;

    private void OpenExports(IMeterFactory meters, ILoggerFactory loggers)
    {
        if (_options.Exports.Count == 0)
        {
            return;
        }

        List<ExportDestination> destinations = [];
        foreach (string text in _options.Exports)
        {
            if (ExportDestination.TryParse(text, out ExportDestination? destination, out _))
            {
                destinations.Add(destination); // The others were refused with the options.
            }
        }

        try
        {
            _exports = LedgerExports.Open(
                destinations,
                _state.Path,
                new ExportTargetOptions
                {
                    Version = RynxsServer.Version,
                    BearerToken = _options.ExportTokenFile is { } file ? File.ReadAllText(file).Trim() : null,
                    CaFile = _options.ExportCaFile,
                },
                _options.TimeProvider, meters, loggers.CreateLogger<LedgerExports>());
            _opened.Push(_exports);
        }
        catch (ExportException exception)
        {
            throw new ServerStartException(StartFailure.StateCorrupt, $"--export: {exception.Message}", exception);
        }
    }

    private ExternalEndpoints? _external;

    private ExecutionGate Gate { get; set; } = null!; // As above.

    private async Task OpenSandboxesAsync(IMeterFactory meters, ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        Images = new ImageStore(new ImageStoreOptions { Directory = ImagesDirectory(_options), TimeProvider = _options.TimeProvider });
        var gvisor = new GVisorRuntime(
            new GVisorOptions
            {
                StateKey = GVisorOptions.StateKeyOf(_state.Path),
                DefaultPlatform = _options.SandboxPlatform,
                SpawnerCommand = SandboxSpawnerRole.CommandOfThisProgram(),
                Templates = ExecutionSandboxes.Templates(_options.WarmSandboxes),
                TimeProvider = _options.TimeProvider,
            },
            Images,
            loggers.CreateLogger<GVisorRuntime>(),
            meters);
        var namespaces = new NamespacesRuntime(
            new NamespacesOptions { StateKey = GVisorOptions.StateKeyOf(_state.Path), TimeProvider = _options.TimeProvider }, Images, loggers.CreateLogger<NamespacesRuntime>());
        Runtime = new SandboxTiers(gvisor, namespaces);
        _opened.Push(Runtime);

        Report("Removing what an earlier process left");
        SweepReport sweep = await Runtime.SweepAsync(cancellationToken);
        if (sweep.Removed.Count + sweep.Failed.Count > 0)
        {
            LogSwept(sweep.Removed.Count, sweep.Failed.Count);
        }

        try
        {
            Report("Checking the sandbox image");
            await Images.EnsureBuiltInAsync(_options.Progress is { } progress ? new ProgressText(progress) : null, cancellationToken);
            gvisor.StartPools();
        }
        catch (ImageException exception)
        {
            // Not fatal: objects, audit and the ledger can be read. Every execution is refused, and /readyz and doctor say why.
            LogNoImage(exception.Code, exception.Message);
        }
    }

    private async Task OpenExecutorAsync(ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        var pending = new PendingExecutions(_state.ExecutionsDirectory, loggers.CreateLogger<PendingExecutions>());
        int unknown = await pending.RecoverAsync(Chains, cancellationToken);
        if (unknown > 0)
        {
            LogUnknown(unknown);
        }

        Gate = new ExecutionGate(_options.MaxConcurrentExecutions ?? Environment.ProcessorCount * 4, _options.MaxQueuedExecutions, _options.TimeProvider);
        Executions = ExecutionStore.Open(Path.Combine(_state.Path, "executions.db"), _options.TimeProvider);
        _opened.Push(new ClosedLast(Executions));
        _external = new ExternalEndpoints(_options.External, Executions, _options.ConstitutionalHash, _options.TimeProvider, loggers.CreateLogger<ExternalEndpoints>());
        _opened.Push(_external);
        Executor = new SandboxExecutor(
            new SandboxExecutorServices(
                Runtime, Images, Chains, new ExecutionPolicy(Store.For(Principal.System), _options.TimeProvider), Gate, pending, _external, Metrics, _options.TimeProvider,
                _options.SecurityDebug, Recordings, Egress),
            loggers.CreateLogger<SandboxExecutor>());
        _opened.Push(Executor);
        Jobs = new ExecutionJobs(Executions, _options.TimeProvider, loggers.CreateLogger<ExecutionJobs>());
        _opened.Push(Jobs);
        Sessions = new SandboxSessions(Executor, Jobs, Executions, Path.Combine(_state.Path, "sessions"), _options.TimeProvider, loggers.CreateLogger<SandboxSessions>());
        await Sessions.RemoveLeftFilesAsync(cancellationToken);
    }

    private void OpenAgents(ILedger ledger, IMeterFactory meters, ILoggerFactory loggers)
    {
        IResourceClient system = Store.For(Principal.System);
        var services = new AgentServices
        {
            Resources = system,
            Ledger = ledger,
            Sandboxes = Runtime,
            Images = Images,
            Secrets = new FileSecretSource(_state.SecretsDirectory),
            Egress = Egress,
            ModelTransport = Inference.TransportOf,
            TimeProvider = _options.TimeProvider,
            LoggerFactory = loggers,
            MeterFactory = meters,
            WorkspacesDirectory = _state.WorkspacesDirectory,
            AgentStateDirectory = _state.AgentsDirectory,
            Recordings = Recordings,
        };
        Agents = new AgentRuntimes(services, new AgentRuntimesOptions { DrainTimeout = TimeSpan.FromSeconds(_options.DrainSeconds) });
        _opened.Push(Agents);
        _tasks = new TaskController(services, Agents);
    }

    private TaskController? _tasks;

    private void StartLoops(ILoggerFactory loggers)
    {
        TaskController tasks = _tasks ?? throw new InvalidOperationException("Agents are opened first.");
        var agents = new AgentController(
            new AgentControllerOptions
            {
                Resources = Store.For(Principal.System),
                Chain = Control,
                Executor = new LocalExecutor(Workspaces, Chains, Images, Agents),
                TimeProvider = _options.TimeProvider,
            },
            loggers.CreateLogger<AgentController>());
        _background = new BackgroundParts(loggers.CreateLogger<BackgroundParts>());
        _background.Start("agent-controller", agents.RunAsync);
        _background.Start("task-controller", tasks.RunAsync);
        var desk = new EgressDesk(Store.For(Principal.System), Chains, Egress.Ledger, _options.TimeProvider, loggers.CreateLogger<EgressDesk>());
        _egress = new EgressController(Store.For(Principal.System), Egress, desk, _options.TimeProvider, loggers.CreateLogger<EgressController>());
        _background.Start("egress-offers", desk.RunAsync);
        _background.Start("egress-controller", _egress.RunAsync);
        _background.Start("sandbox-sessions", Sessions.RunAsync);
        if (_external is { } external)
        {
            _background.Start("external-audit", external.RunAsync);
        }

        _background.Start("denied-requests", Denied.RunAsync);
        _background.Start("inference-policies", Inference.Policies.RunAsync);
        _background.Start("checkpoint-publisher", Publisher.RunAsync);
        if (_exports is not null)
        {
            _background.Start("ledger-exports", _exports.RunAsync);
        }
    }

    /// <summary>A service account as it is now; one that is being deleted is gone.</summary>
    public async ValueTask<ServiceAccount?> FindServiceAccountAsync(string resourceNamespace, string name, CancellationToken cancellationToken)
    {
        JsonObject? document = await Store.FindDocumentAsync("", "serviceaccounts", new NamespacedName(resourceNamespace, name), cancellationToken);
        return document is null ? null : ServiceAccount.Read(document);
    }

    private static string ImagesDirectory(ServerOptions options)
    {
        if (options.ImagesDirectory is { Length: > 0 } chosen)
        {
            return chosen;
        }

        string? environment = Environment.GetEnvironmentVariable("RYNXS_IMAGES");
        return environment is { Length: > 0 } ? environment : Path.Combine(ServerOptions.DefaultStateDirectory, "images");
    }

    private void Report(string what)
    {
        _options.Progress?.Invoke(what);
        LogStep(what);
    }

    /// <summary>Closed when everything that was opened after it is.</summary>
    private sealed class ClosedLast(IDisposable part) : IAsyncDisposable
    {
        public ValueTask DisposeAsync()
        {
            part.Dispose();
            return ValueTask.CompletedTask;
        }
    }

    /// <summary>Unlike Progress&lt;T&gt;, tells on the caller's thread, in order.</summary>
    private sealed class ProgressText(Action<string> report) : IProgress<string>
    {
        public void Report(string value) => report(value);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Step}")]
    private partial void LogStep(string step);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Removed {Removed} leftovers of an earlier process; {Failed} could not be removed")]
    private partial void LogSwept(int removed, int failed);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} executions were cut off with the earlier process; their outcome is recorded as unknown")]
    private partial void LogUnknown(int count);

    [LoggerMessage(Level = LogLevel.Error, Message = "No sandbox image ({Code}): {Reason} Executions are refused until it is there")]
    private partial void LogNoImage(string code, string reason);
}
