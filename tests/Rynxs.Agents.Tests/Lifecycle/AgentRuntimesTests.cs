using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Agents.Lifecycle;
using Rynxs.Agents.Outbox;
using Rynxs.Agents.Secrets;
using Rynxs.Agents.Tasks;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Files;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;
using Rynxs.ResourceServer.Storage;
using Rynxs.Sandbox;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Images;

namespace Rynxs.Agents.Tests.Lifecycle;

/// <summary>Whole agents and the task controller over the real ledger, the real store and real gVisor sandboxes.</summary>
public sealed class AgentRuntimesTests : IAsyncLifetime
{
    private static readonly NamespacedName Id = new("rynxs", "my-agent");

    private readonly TemporaryDirectory _directory = new();
    private readonly CancellationTokenSource _stop = new();
    private FileLedger? _ledger;
    private ResourceStore? _store;
    private GVisorRuntime? _sandboxes;
    private AgentRuntimes? _runtimes;
    private Task _controller = Task.CompletedTask;

    private IResourceClient Client => (_store ?? throw new InvalidOperationException("Not started.")).For(Principal.System);

    private AgentRuntimes Runtimes => _runtimes ?? throw new InvalidOperationException("Not started.");

    public async ValueTask InitializeAsync()
    {
        SandboxRequirement.Require();
        var images = new ImageStore(new ImageStoreOptions { Directory = SandboxRequirement.ImagesDirectory });
        await images.EnsureBuiltInAsync(null, CancellationToken.None);
        Directory.CreateDirectory(_directory.File("state"));
        _sandboxes = new GVisorRuntime(new GVisorOptions { StateKey = GVisorOptions.StateKeyOf(_directory.File("state")) }, images, NullLogger<GVisorRuntime>.Instance);
        RuntimeProbe probe = await _sandboxes.ProbeAsync(CancellationToken.None);
        Assert.SkipUnless(probe.Available, $"gVisor does not run here: {probe.Detail}");
        _ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory.File("ledger") }, CancellationToken.None);
        _store = await ResourceStore.OpenAsync(new ResourceStoreOptions { Path = _directory.File("objects.db") }, CancellationToken.None);
        var services = new AgentServices
        {
            Resources = _store.For(Principal.System),
            Ledger = _ledger,
            Sandboxes = _sandboxes,
            Images = images,
            Secrets = new NoSecrets(),
            TimeProvider = TimeProvider.System,
            LoggerFactory = NullLoggerFactory.Instance,
            WorkspacesDirectory = _directory.File("workspaces"),
            AgentStateDirectory = _directory.File("agents"),
        };
        _runtimes = new AgentRuntimes(services, new AgentRuntimesOptions { InboxPollInterval = TimeSpan.FromMilliseconds(100) });
        _controller = new TaskController(services, _runtimes).RunAsync(_stop.Token);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _controller.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        foreach (IAsyncDisposable? part in new IAsyncDisposable?[] { _runtimes, _sandboxes, _store, _ledger })
        {
            await (part?.DisposeAsync() ?? ValueTask.CompletedTask);
        }

        _stop.Dispose();
        _directory.Dispose();
    }

    [Fact]
    public async Task The_seed_s_agent_runs_uname_in_gvisor_as_a_task()
    {
        await StartAgentAsync();

        TaskResource done = await RunTaskAsync("uname", "run uname -a in sandbox then run dmesg | head -3 in sandbox");

        done.Status!.Phase.ShouldBe("Completed", done.Status.Error);
        done.Status.Result!.Value.GetProperty("text").GetString()!.ShouldContain("gVisor");
        (done.Status.AssignedAgent, done.Status.Attempts).ShouldBe(("my-agent", 1));
        done.Status.StartTime.ShouldNotBeNull();
        done.Status.CompletionTime.ShouldNotBeNull();
    }

    [Fact]
    public async Task Tools_work_on_the_same_files_and_A_paths_out_of_the_workspace_are_refused()
    {
        await StartAgentAsync();

        TaskResource done = await RunTaskAsync("files", "write data/in.txt: 20\npython:\n```\nprint(int(open('data/in.txt').read()) + 22)\n```\n");
        TaskResource escape = await RunTaskAsync("escape", "read ../inbox.jsonl");
        TaskResource absolute = await RunTaskAsync("absolute", "read /etc/shadow");
        TaskResource link = await RunTaskAsync("link", "run ln -s ../../audit.jsonl out in sandbox then read out");

        done.Status!.Result!.Value.GetProperty("text").GetString()!.Trim().ShouldBe("42");
        new[] { escape, absolute, link }.ShouldAllBe(task => task.Status!.Phase == "Failed");
        escape.Status!.Error!.ShouldContain("..");
    }

    [Fact]
    public async Task A_person_s_program_is_on_the_record_in_the_person_s_name()
    {
        await StartAgentAsync();
        var ann = new Principal("user:ann", new HashSet<Role> { Role.Developer }, null);

        ExecutionResult result = await Runtimes.ExecuteInAgentSandboxAsync(
            Id, new ExecutionRequest { ExecutionId = "e1", Arguments = ["/bin/echo", "hello"] }, ann, TestContext.Current.CancellationToken);

        System.Text.Encoding.UTF8.GetString(result.StandardOutput.Span).ShouldBe("hello\n");
        ILedgerChain chain = await _ledger!.OpenAsync(ChainId.Agent(Id.Namespace, Id.Name), new ChainOptions(), CancellationToken.None); // Set by InitializeAsync.
        var types = new List<(string, string?)>();
        await foreach (LedgerRecord record in chain.ReadAsync(0, CancellationToken.None))
        {
            types.Add((record.Type, record.Meta.TryGetProperty("principal", out var name) ? name.GetString() : null));
        }

        types.ShouldContain((nameof(ToolIntent), "user:ann"));
        types.ShouldContain((nameof(ToolOutcome), "user:ann"));
        types.ShouldContain((nameof(SandboxStarted), "agent:rynxs/my-agent"));
    }

    [Fact]
    public async Task Dependencies_retries_and_cancellation_reach_their_final_phases()
    {
        await StartAgentAsync();
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;

        await CreateAsync("second", "say second", spec => spec with { Dependencies = ["first"] });
        await CreateAsync("after-failure", "say never", spec => spec with { Dependencies = ["fails"] });
        await CreateAsync("fails", "run false in sandbox", spec => spec with { MaxAttempts = 2 });
        await CreateAsync("slow", "run sleep 50 in sandbox");
        await CreateAsync("first", "say first", spec => spec with { Priority = "critical" });
        TaskResource slow = await UntilAsync("slow", task => task.Status?.Phase == "InProgress");
        await Client.UpdateAsync(slow with { Spec = slow.Spec with { Cancel = true } }, cancellationToken);

        (await FinalAsync("slow")).Status!.Phase.ShouldBe("Cancelled");
        (await FinalAsync("second")).Status!.Phase.ShouldBe("Completed");
        TaskResource failed = await FinalAsync("fails");
        (failed.Status!.Phase, failed.Status.Attempts).ShouldBe(("Failed", 2));
        (await FinalAsync("after-failure")).Status!.Error!.ShouldContain("DependencyFailed");
    }

    [Fact]
    public async Task A_changed_spec_restarts_the_loop_and_a_stopped_agent_keeps_its_messages()
    {
        AgentResource agent = await StartAgentAsync();
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        AgentResource changed = await Client.UpdateAsync(agent with { Spec = agent.Spec with { Tools = new ToolsSpec { Allow = ["fs.*"] } } }, cancellationToken);
        await Runtimes.EnsureRunningAsync(changed, cancellationToken);
        Runtimes.List().Single().State.ShouldBeOneOf(AgentRuntimeState.Running, AgentRuntimeState.Starting);

        await Runtimes.StopAsync(Id, cancellationToken);
        string id = await Runtimes.SendAsync(Id, "say kept", cancellationToken);
        Runtimes.List().ShouldBeEmpty();
        var answered = new TaskCompletionSource<OutboxLine>();
        Runtimes.Progress += progress =>
        {
            if (progress.MessageId == id && progress.Answer is { } answer)
            {
                answered.TrySetResult(answer);
            }
        };
        await Runtimes.EnsureRunningAsync(changed, cancellationToken);

        (await answered.Task.WaitAsync(TimeSpan.FromSeconds(60), cancellationToken)).Output!.Text.ShouldBe("kept");
    }

    private async Task<AgentResource> StartAgentAsync()
    {
        AgentResource agent = await Client.CreateAsync(
            new AgentResource
            {
                Metadata = new ObjectMeta { Name = Id.Name, Namespace = Id.Namespace },
                Spec = new AgentSpec { Role = "sandbox", Image = new ImageReference { Repository = "python", Tag = "3.11-slim" } },
            },
            TestContext.Current.CancellationToken);
        AgentImage image = await Runtimes.EnsureRunningAsync(agent, TestContext.Current.CancellationToken);
        image.Substituted.ShouldBeTrue();
        return agent;
    }

    private async Task<TaskResource> RunTaskAsync(string name, string description)
    {
        await CreateAsync(name, description);
        return await FinalAsync(name);
    }

    private Task<TaskResource> CreateAsync(string name, string description, Func<TaskSpec, TaskSpec>? change = null)
    {
        var spec = new TaskSpec { Title = name, Description = description };
        return Client.CreateAsync(
            new TaskResource { Metadata = new ObjectMeta { Name = name, Namespace = Id.Namespace }, Spec = change?.Invoke(spec) ?? spec },
            TestContext.Current.CancellationToken);
    }

    private Task<TaskResource> FinalAsync(string name) => UntilAsync(name, task => task.Status?.Phase is "Completed" or "Failed" or "Cancelled");

    private async Task<TaskResource> UntilAsync(string name, Func<TaskResource, bool> reached)
    {
        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(120));
        var query = new ResourceQuery { Namespace = Id.Namespace, FieldSelector = $"metadata.name={name}" };
        ResourceList<TaskResource> now = await Client.ListAsync<TaskResource>(query, timeout.Token);
        if (now.Items is [var there] && reached(there))
        {
            return there;
        }

        await foreach (WatchEvent<TaskResource> change in Client.WatchAsync<TaskResource>(query, now.ResourceVersion, timeout.Token))
        {
            if (change.Type != WatchEventType.Bookmark && reached(change.Resource))
            {
                return change.Resource;
            }
        }

        throw new TimeoutException($"Task '{name}' did not get there.");
    }

    private sealed class NoSecrets : ISecretSource
    {
        public ValueTask<string?> TryGetAsync(string secretNamespace, string name, string key, CancellationToken cancellationToken) => ValueTask.FromResult<string?>(null);
    }
}
