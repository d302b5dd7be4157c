using System.Text.Json;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;
using Rynxs.Resources.Universes;
using static Rynxs.Resources.Tests.StoreScenario;
using TaskStatus = Rynxs.Resources.Tasks.TaskStatus;

namespace Rynxs.Resources.Tests;

public sealed class StoreTests
{
    [Fact]
    public async Task A_created_object_has_what_only_the_server_writes()
    {
        await using StoreScenario scenario = await OpenAsync();

        TaskResource created = await scenario.System.CreateAsync(Task("a") with { Status = new TaskStatus { Phase = "Completed" } }, Ct);

        created.Metadata.Uid.ShouldNotBeNullOrEmpty();
        created.Metadata.Generation.ShouldBe(1);
        created.Metadata.ResourceVersion.ShouldBe("1");
        created.Metadata.CreationTimestamp.ShouldNotBeNull();
        created.Status.ShouldNotBeNull().Phase.ShouldBe("Pending");
        (await scenario.System.GetAsync<TaskResource>(created.Id, Ct)).ShouldBeEquivalentTo(created);
        await Refused(ResourceErrorReason.AlreadyExists, () => scenario.System.CreateAsync(Task("a"), Ct));
        await Refused(ResourceErrorReason.BadRequest, () => scenario.System.CreateAsync(created, Ct));
        await Refused(ResourceErrorReason.NotFound, () => scenario.System.GetAsync<TaskResource>(new NamespacedName("ns", "b"), Ct));
        (await scenario.System.TryGetAsync<AgentResource>(created.Id, Ct)).ShouldBeNull();
    }

    [Fact]
    public async Task A_typed_object_that_breaks_rules_is_refused_with_every_cause()
    {
        await using StoreScenario scenario = await OpenAsync();
        TaskResource bad = Task("a") with { Spec = new TaskSpec { Title = "", Description = "x", Priority = "hihg", MaxAttempts = 99 } };

        ResourceException e = await Refused(ResourceErrorReason.Invalid, () => scenario.System.CreateAsync(bad, Ct));

        // The last says, as the real server does, that the rules in CEL were not looked at.
        e.Causes.Select(cause => cause.Field).ShouldBe(["spec.title", "spec.priority", "spec.maxAttempts", "<nil>"], ignoreOrder: true);
        scenario.Store.CurrentVersion.ShouldBe(0);
    }

    [Fact]
    public async Task Update_changes_spec_alone_and_update_status_changes_status_alone()
    {
        await using StoreScenario scenario = await OpenAsync();
        TaskResource v1 = await scenario.System.CreateAsync(Task("a"), Ct);

        TaskResource v2 = await scenario.System.UpdateAsync(
            v1 with { Spec = v1.Spec with { Description = "y" }, Status = new TaskStatus { Phase = "Failed" } }, Ct);
        v2.Metadata.Generation.ShouldBe(2);
        v2.Status?.Phase.ShouldBe("Pending");

        TaskResource v3 = await scenario.System.UpdateStatusAsync(
            v2 with { Spec = v2.Spec with { Description = "ignored" }, Status = new TaskStatus { Phase = "InProgress" } }, Ct);
        v3.Metadata.Generation.ShouldBe(2);
        v3.Spec.Description.ShouldBe("y");
        v3.Status?.Phase.ShouldBe("InProgress");
        v3.Metadata.Uid.ShouldBe(v1.Metadata.Uid);
        v3.Metadata.CreationTimestamp.ShouldBe(v1.Metadata.CreationTimestamp);

        // No-op: no version, no event.
        (await scenario.System.UpdateAsync(v3, Ct)).Metadata.ResourceVersion.ShouldBe(v3.Metadata.ResourceVersion);
        scenario.Store.CurrentVersion.ShouldBe(3);
        await Refused(ResourceErrorReason.Conflict, () => scenario.System.UpdateAsync(v1, Ct));
        await Refused(ResourceErrorReason.Conflict, () => scenario.System.UpdateStatusAsync(v2, Ct));
    }

    [Fact]
    public async Task A_merge_patch_obeys_the_same_rules()
    {
        await using StoreScenario scenario = await OpenAsync();
        TaskResource task = await scenario.System.CreateAsync(Task("a"), Ct);

        TaskResource patched = await Patch("""{"metadata":{"labels":{"k":"v"}},"spec":{"priority":"high"},"status":{"phase":"Failed"}}""");
        patched.ShouldSatisfyAllConditions(p => p.Spec.Priority.ShouldBe("high"), p => p.Metadata.Labels["k"].ShouldBe("v"), p => p.Status?.Phase.ShouldBe("Pending"));
        (await Patch("""{"spec":{"priority":null}}""")).Spec.Priority.ShouldBe("normal");
        (await Patch("""{"spec":{"priority":"low"},"status":{"phase":"Assigned","assignedAgent":"bob"}}""", "status"))
            .ShouldSatisfyAllConditions(p => p.Spec.Priority.ShouldBe("normal"), p => p.Status?.AssignedAgent.ShouldBe("bob"));

        await Refused(ResourceErrorReason.Invalid, () => Patch("""{"spec":{"colour":"red"}}"""));
        await Refused(ResourceErrorReason.BadRequest, () => Patch("""{"metadata":{"name":"b"}}"""));
        await Refused(ResourceErrorReason.Conflict, () => Patch("""{"metadata":{"resourceVersion":"1"},"spec":{"priority":"low"}}"""));
        await Refused(ResourceErrorReason.Conflict, () => Patch("""{"metadata":{"uid":"x"}}"""));
        await Refused(ResourceErrorReason.BadRequest, () => Patch("[]"));
        await Refused(ResourceErrorReason.BadRequest, () => Patch("{}", "scale"));

        Task<TaskResource> Patch(string json, string? subresource = null) =>
            scenario.System.MergePatchAsync<TaskResource>(task.Id, JsonDocument.Parse(json).RootElement, subresource, Ct);
    }

    [Fact]
    public async Task A_final_status_is_final()
    {
        await using StoreScenario scenario = await OpenAsync();
        TaskResource task = await scenario.System.CreateAsync(Task("a"), Ct);
        task = await scenario.System.UpdateStatusAsync(task with { Status = new TaskStatus { Phase = "Completed" } }, Ct);

        await Refused(ResourceErrorReason.Invalid, () => scenario.System.UpdateStatusAsync(task with { Status = new TaskStatus { Phase = "Pending" } }, Ct));
    }

    [Fact]
    public async Task Finalizers_hold_a_deletion_until_the_last_is_gone()
    {
        await using StoreScenario scenario = await OpenAsync();
        TaskResource task = Task("a");
        task = await scenario.System.CreateAsync(task with { Metadata = task.Metadata with { Finalizers = ["example.com/hold"] } }, Ct);

        await scenario.System.DeleteAsync<TaskResource>(task.Id, null, Ct);
        task = await scenario.System.GetAsync<TaskResource>(task.Id, Ct);
        task.Metadata.DeletionTimestamp.ShouldNotBeNull();
        await scenario.System.DeleteAsync<TaskResource>(task.Id, null, Ct);
        scenario.Store.CurrentVersion.ShouldBe(2);
        await Refused(ResourceErrorReason.Invalid,
            () => scenario.System.UpdateAsync(task with { Metadata = task.Metadata with { Finalizers = ["example.com/hold", "example.com/more"] } }, Ct));

        await scenario.System.UpdateAsync(task with { Metadata = task.Metadata with { Finalizers = [] } }, Ct);
        (await scenario.System.TryGetAsync<TaskResource>(task.Id, Ct)).ShouldBeNull();
        List<WatchEvent<TaskResource>> events = await TakeAsync(scenario.System.WatchAsync<TaskResource>(new ResourceQuery(), "0", Ct), 3);
        events.Select(change => change.Type).ShouldBe([WatchEventType.Added, WatchEventType.Modified, WatchEventType.Deleted]);
        events[2].Resource.Metadata.ResourceVersion.ShouldBe("3");
    }

    [Fact]
    public async Task Delete_takes_a_version()
    {
        await using StoreScenario scenario = await OpenAsync();
        TaskResource task = await scenario.System.CreateAsync(Task("a"), Ct);

        await Refused(ResourceErrorReason.Conflict, () => scenario.System.DeleteAsync<TaskResource>(task.Id, "77", Ct));
        await scenario.System.DeleteAsync<TaskResource>(task.Id, "1", Ct);
        await Refused(ResourceErrorReason.NotFound, () => scenario.System.DeleteAsync<TaskResource>(task.Id, null, Ct));
    }

    [Fact]
    public async Task Lists_select_by_namespace_label_and_field()
    {
        await using StoreScenario scenario = await OpenAsync();
        foreach ((string name, string ns, string tier) in new[] { ("a", "x", "db"), ("b", "x", "web"), ("c", "y", "db") })
        {
            TaskResource task = Task(name, ns: ns);
            await scenario.System.CreateAsync(task with { Metadata = task.Metadata with { Labels = new Dictionary<string, string> { ["tier"] = tier } } }, Ct);
        }

        (await Names(new ResourceQuery())).ShouldBe(["a", "b", "c"]);
        (await Names(new ResourceQuery { Namespace = "x" })).ShouldBe(["a", "b"]);
        (await Names(new ResourceQuery { LabelSelector = "tier in (db)" })).ShouldBe(["a", "c"]);
        (await Names(new ResourceQuery { FieldSelector = "metadata.name!=a,status.phase=Pending" })).ShouldBe(["b", "c"]);
        await Refused(ResourceErrorReason.BadRequest, () => Names(new ResourceQuery { FieldSelector = "spec.title=x" }));

        async Task<string[]> Names(ResourceQuery query) =>
            [.. (await scenario.System.ListAsync<TaskResource>(query, Ct)).Items.Select(item => item.Metadata.Name)];
    }

    [Fact]
    public async Task Leaving_a_selector_is_a_deletion_for_its_watcher()
    {
        await using StoreScenario scenario = await OpenAsync();
        TaskResource task = await scenario.System.CreateAsync(Task("a"), Ct);
        await scenario.System.UpdateAsync(task with { Spec = task.Spec with { Priority = "high" } }, Ct);
        await scenario.System.MergePatchAsync<TaskResource>(task.Id, JsonDocument.Parse("""{"spec":{"priority":"low"}}""").RootElement, null, Ct);

        List<WatchEvent<TaskResource>> events =
            await TakeAsync(scenario.System.WatchAsync<TaskResource>(new ResourceQuery { FieldSelector = "spec.priority=high" }, "0", Ct), 2);

        events.Select(change => change.Type).ShouldBe([WatchEventType.Added, WatchEventType.Deleted]);
    }

    [Fact]
    public async Task A_watch_goes_on_over_a_restart_and_versions_never_go_back()
    {
        await using StoreScenario scenario = await OpenAsync();
        TaskResource first = await scenario.System.CreateAsync(Task("a"), Ct);
        await scenario.System.CreateAsync(Task("b"), Ct);
        await scenario.System.DeleteAsync<TaskResource>(new NamespacedName("ns", "b"), null, Ct);

        await scenario.ReopenAsync();
        TaskResource later = await scenario.System.CreateAsync(Task("c"), Ct);

        later.Metadata.ResourceVersion.ShouldBe("4");
        List<WatchEvent<TaskResource>> events =
            await TakeAsync(scenario.System.WatchAsync<TaskResource>(new ResourceQuery(), first.Metadata.ResourceVersion ?? "", Ct), 3);
        events.Select(change => (change.Type, change.Resource.Metadata.Name)).ShouldBe(
            [(WatchEventType.Added, "b"), (WatchEventType.Deleted, "b"), (WatchEventType.Added, "c")]);
    }

    [Fact]
    public async Task A_version_older_than_the_history_or_newer_than_the_store_is_gone()
    {
        await using StoreScenario scenario = await OpenAsync(options => options with { HistoryWindow = 10 });
        for (int i = 0; i < 30; i++)
            await scenario.System.CreateAsync(Task($"t{i}"), Ct);

        await Refused(ResourceErrorReason.Gone, () => TakeAsync(scenario.System.WatchAsync<TaskResource>(new ResourceQuery(), "1", Ct), 1));
        await Refused(ResourceErrorReason.Gone, () => TakeAsync(scenario.System.WatchAsync<TaskResource>(new ResourceQuery(), "31", Ct), 1));
        await Refused(ResourceErrorReason.BadRequest, () => TakeAsync(scenario.System.WatchAsync<TaskResource>(new ResourceQuery(), "x", Ct), 1));
        (await TakeAsync(scenario.System.WatchAsync<TaskResource>(new ResourceQuery(), "25", Ct), 5)).Count.ShouldBe(5);
        await scenario.ReopenAsync();
        await Refused(ResourceErrorReason.Gone, () => TakeAsync(scenario.System.WatchAsync<TaskResource>(new ResourceQuery(), "1", Ct), 1));
    }

    [Fact]
    public async Task A_silent_watch_yields_bookmarks_that_can_be_resumed_from()
    {
        await using StoreScenario scenario = await OpenAsync(options => options with { BookmarkInterval = TimeSpan.FromMilliseconds(20) });
        await scenario.System.CreateAsync(Task("a"), Ct);
        await scenario.System.CreateAsync(new AgentResource { Metadata = new ObjectMeta { Name = "g", Namespace = "ns" } }, Ct);

        await foreach (WatchEvent<TaskResource> change in scenario.System.WatchAsync<TaskResource>(new ResourceQuery(), "1", Ct))
        {
            change.Type.ShouldBe(WatchEventType.Bookmark);
            change.Resource.Metadata.ResourceVersion.ShouldBe("2");
            break;
        }
    }

    [Fact]
    public async Task Thirty_two_writers_with_optimistic_concurrency_lose_nothing()
    {
        await using StoreScenario scenario = await OpenAsync();
        NamespacedName id = (await scenario.System.CreateAsync(Task("a"), Ct)).Id;

        await System.Threading.Tasks.Task.WhenAll(Enumerable.Range(0, 32).Select(_ => IncrementAsync()));

        (await scenario.System.GetAsync<TaskResource>(id, Ct)).Status?.Attempts.ShouldBe(32);

        async Task IncrementAsync()
        {
            while (true)
            {
                TaskResource current = await scenario.System.GetAsync<TaskResource>(id, Ct);
                TaskStatus status = current.Status ?? new TaskStatus();
                try
                {
                    await scenario.System.UpdateStatusAsync(current with { Status = status with { Attempts = status.Attempts + 1 } }, Ct);
                    return;
                }
                catch (ResourceException e) when (e.Reason == ResourceErrorReason.Conflict)
                {
                }
            }
        }
    }

    [Fact]
    public async Task A_mutation_that_cannot_be_recorded_does_not_happen_and_its_version_is_burned()
    {
        Recorder log = new();
        await using StoreScenario scenario = await OpenAsync(options => options with { MutationLog = log });
        await scenario.System.CreateAsync(Task("a"), Ct);

        log.Fails = true;
        ResourceException e = await Refused(ResourceErrorReason.StoreUnavailable, () => scenario.System.CreateAsync(Task("b"), Ct));
        e.Message.ShouldContain("could not be recorded");
        log.Fails = false;
        (await scenario.System.TryGetAsync<TaskResource>(new NamespacedName("ns", "b"), Ct)).ShouldBeNull();
        TaskResource c = await scenario.System.CreateAsync(Task("c"), Ct);
        await scenario.System.DeleteAsync<TaskResource>(c.Id, null, Ct);

        log.Records.Select(record => (record.Verb, record.Name, record.ResourceVersion, record.Removes)).ShouldBe(
            [("create", "a", 1, false), ("create", "c", 3, false), ("delete", "c", 4, true)]);
        log.Records.ShouldAllBe(record => record.Principal == "system:server" && record.Uid.Length == 36 && record.ObjectJson.Length > 0);
        await scenario.Store.BurnVersionsThroughAsync(100, Ct);
        (await scenario.System.CreateAsync(Task("d"), Ct)).Metadata.ResourceVersion.ShouldBe("101");
    }

    [Fact]
    public async Task Roles_and_namespaces_decide_and_the_invisible_does_not_exist()
    {
        await using StoreScenario scenario = await OpenAsync();
        await scenario.System.CreateAsync(Task("a"), Ct);
        await scenario.System.CreateAsync(new AgentResource { Metadata = new ObjectMeta { Name = "g", Namespace = "ns" } }, Ct);
        NamespacedName task = new("ns", "a");
        NamespacedName agent = new("ns", "g");

        IResourceClient developer = scenario.Store.For(User("dev", Role.Developer));
        await developer.GetAsync<TaskResource>(task, Ct);
        await developer.CreateAsync(Task("mine"), Ct);
        await Refused(ResourceErrorReason.Forbidden, () => developer.DeleteAsync<AgentResource>(agent, null, Ct));
        await Refused(ResourceErrorReason.Forbidden, async () => await developer.UpdateStatusAsync(await developer.GetAsync<TaskResource>(task, Ct), Ct));
        await Refused(ResourceErrorReason.Forbidden, () => developer.ListAsync<UniverseResource>(new ResourceQuery(), Ct));

        IResourceClient auditor = scenario.Store.For(User("aud", Role.Auditor));
        await auditor.GetAsync<TaskResource>(task, Ct);
        await Refused(ResourceErrorReason.Forbidden, () => auditor.DeleteAsync<TaskResource>(task, null, Ct));

        IResourceClient agentClient = scenario.Store.For(Principal.ForAgent("ns", "g"));
        await Refused(ResourceErrorReason.NotFound, () => agentClient.GetAsync<TaskResource>(task, Ct));
        await Refused(ResourceErrorReason.Forbidden, () => agentClient.CreateAsync(Task("z"), Ct));

        IResourceClient elsewhere = scenario.Store.For(new Principal("user:e", new HashSet<Role> { Role.Operator }, new HashSet<string> { "other" }));
        (await elsewhere.TryGetAsync<TaskResource>(task, Ct)).ShouldBeNull();
        (await elsewhere.ListAsync<TaskResource>(new ResourceQuery(), Ct)).Items.ShouldBeEmpty();
        await Refused(ResourceErrorReason.NotFound, () => elsewhere.DeleteAsync<TaskResource>(task, null, Ct));
        await Refused(ResourceErrorReason.NotFound, () => elsewhere.ListAsync<TaskResource>(new ResourceQuery { Namespace = "ns" }, Ct));
    }

    private static async Task<ResourceException> Refused(ResourceErrorReason reason, Func<Task> action)
    {
        ResourceException e = await Should.ThrowAsync<ResourceException>(action);
        e.Reason.ShouldBe(reason, e.Message);
        return e;
    }

    private sealed class Recorder : IMutationLog
    {
        public bool Fails { get; set; }

        public List<MutationRecord> Records { get; } = [];

        public ValueTask RecordAsync(MutationRecord mutation, CancellationToken cancellationToken)
        {
            if (Fails)
                throw new IOException("no ledger");
            Records.Add(mutation);
            return ValueTask.CompletedTask;
        }
    }
}
