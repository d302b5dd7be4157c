using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;
using static Rynxs.Resources.Tests.StoreScenario;

namespace Rynxs.Resources.Tests;

/// <summary>The store against a dictionary: random commands, then the same objects and, for watchers, the same history in the same order.</summary>
public sealed class StoreModelTests
{
    private enum Verb
    {
        Create,
        Update,
        StaleUpdate,
        Patch,
        Status,
        Hold,
        Release,
        Delete,
        Reopen,
    }

    private sealed record Command(Verb Verb, string Name, int Value);

    [Fact]
    public async Task The_store_and_its_watchers_agree_with_a_model()
    {
        Gen<Command> commands = Gen.Elements(Enum.GetValues<Verb>()).SelectMany(verb =>
            Gen.Elements("a", "b", "c").SelectMany(name => Gen.Choose(1, 3).Select(value => new Command(verb, name, value))));

        // Gen.Sample rather than Prop.ForAll: the store is asynchronous, and the failing script is in the message.
        foreach (IReadOnlyList<Command> script in Gen.Sample(commands.ListOf(), 40, Soak.Count(40)).Select(list => list.ToArray()))
            await RunAsync(script);
    }

    private static async Task RunAsync(IReadOnlyList<Command> script)
    {
        await using StoreScenario scenario = await OpenAsync();
        Dictionary<string, (string Description, bool Held, bool Deleting, string Phase)> model = [];
        List<(WatchEventType, string)> history = [];
        string text = string.Join("; ", script);
        string? stale = null;

        foreach (Command command in script)
        {
            NamespacedName id = new("ns", command.Name);
            bool exists = model.TryGetValue(command.Name, out var state);
            string description = $"d{command.Value}";
            ResourceErrorReason? expected = exists || command.Verb is Verb.Create or Verb.Reopen ? null : ResourceErrorReason.NotFound;
            Func<Task> act;
            switch (command.Verb)
            {
                case Verb.Reopen:
                    await scenario.ReopenAsync();
                    continue;
                case Verb.Create:
                    expected = exists ? ResourceErrorReason.AlreadyExists : null;
                    act = () => scenario.System.CreateAsync(Task(command.Name, description), Ct);
                    if (!exists)
                        Change(WatchEventType.Added, (description, false, false, "Pending"));
                    break;
                case Verb.Update:
                    act = async () => await scenario.System.UpdateAsync(Task(command.Name, description) with
                    {
                        Metadata = new ObjectMeta { Name = command.Name, Namespace = "ns", Finalizers = state.Held ? ["x.io/hold"] : [] },
                    }, Ct);
                    if (exists && state.Description != description)
                        Change(WatchEventType.Modified, state with { Description = description });
                    break;
                case Verb.StaleUpdate:
                    expected = exists ? ResourceErrorReason.Conflict : ResourceErrorReason.NotFound;
                    act = () => scenario.System.UpdateAsync(Task(command.Name, "stale") with
                    {
                        Metadata = new ObjectMeta { Name = command.Name, Namespace = "ns", ResourceVersion = stale ?? "999999" },
                    }, Ct);
                    break;
                case Verb.Patch:
                    act = () => Patch($$$"""{"spec":{"description":"{{{description}}}"}}""");
                    if (exists && state.Description != description)
                        Change(WatchEventType.Modified, state with { Description = description });
                    break;
                case Verb.Status:
                    string phase = command.Value == 1 ? "Assigned" : "InProgress";
                    act = () => Patch($$$"""{"status":{"phase":"{{{phase}}}"}}""", "status");
                    if (exists && state.Phase != phase)
                        Change(WatchEventType.Modified, state with { Phase = phase });
                    break;
                case Verb.Hold:
                    act = () => Patch("""{"metadata":{"finalizers":["x.io/hold"]}}""");
                    if (exists && !state.Held)
                        Change(WatchEventType.Modified, state with { Held = true });
                    break;
                case Verb.Release:
                    act = () => Patch("""{"metadata":{"finalizers":[]}}""");
                    if (exists && state.Held)
                        Change(state.Deleting ? WatchEventType.Deleted : WatchEventType.Modified, state.Deleting ? null : state with { Held = false });
                    break;
                case Verb.Delete:
                    act = () => scenario.System.DeleteAsync<TaskResource>(id, null, Ct);
                    if (exists && !state.Held)
                        Change(WatchEventType.Deleted, null);
                    else if (exists && !state.Deleting)
                        Change(WatchEventType.Modified, state with { Deleting = true });
                    break;
                default:
                    throw new System.Diagnostics.UnreachableException();
            }

            ResourceErrorReason? actual = null;
            try
            {
                await act();
            }
            catch (ResourceException e)
            {
                actual = e.Reason;
            }

            actual.ShouldBe(expected, $"{command} in {text}");
            stale = "999999";

            void Change(WatchEventType type, (string, bool, bool, string)? next)
            {
                history.Add((type, command.Name));
                if (next is { } value)
                    model[command.Name] = value;
                else
                    model.Remove(command.Name);
            }

            Task<TaskResource> Patch(string json, string? subresource = null) =>
                scenario.System.MergePatchAsync<TaskResource>(id, JsonDocument.Parse(json).RootElement, subresource, Ct);
        }

        ResourceList<TaskResource> list = await scenario.System.ListAsync<TaskResource>(new ResourceQuery(), Ct);
        list.Items.ToDictionary(
            task => task.Metadata.Name,
            task => (task.Spec.Description, task.Metadata.Finalizers.Count > 0, task.Metadata.DeletionTimestamp is not null, task.Status?.Phase ?? ""))
            .ShouldBe(model, ignoreOrder: true, customMessage: text);
        scenario.Store.CurrentVersion.ShouldBe(history.Count, text);

        // From every version of the past: exactly the rest of the history, and its versions without a gap.
        for (int from = 0; from <= history.Count; from++)
        {
            List<WatchEvent<TaskResource>> seen = await TakeAsync(
                scenario.System.WatchAsync<TaskResource>(new ResourceQuery(), $"{from}", Ct), history.Count - from);
            seen.Select(change => (change.Type, change.Resource.Metadata.Name)).ShouldBe(history.Skip(from), text);
            seen.Select(change => change.Resource.Metadata.ResourceVersion).ShouldBe(Enumerable.Range(from + 1, history.Count - from).Select(v => $"{v}"), text);
        }
    }

    [Fact]
    public async Task Watchers_that_start_while_writers_run_see_every_change_once()
    {
        const int Writers = 4;
        const int Each = 60;
        await using StoreScenario scenario = await OpenAsync();

        Task<List<WatchEvent<TaskResource>>>[] early = [.. Enumerable.Range(0, 4).Select(_ => Watch("0", Writers * Each))];
        Task writing = System.Threading.Tasks.Task.WhenAll(Enumerable.Range(0, Writers).Select(WriteAsync));
        ResourceList<TaskResource> middle = await scenario.System.ListAsync<TaskResource>(new ResourceQuery(), Ct);
        Task<List<WatchEvent<TaskResource>>> late = Watch(middle.ResourceVersion, Writers * Each - int.Parse(middle.ResourceVersion, System.Globalization.CultureInfo.InvariantCulture));
        await writing;

        foreach (List<WatchEvent<TaskResource>> seen in await System.Threading.Tasks.Task.WhenAll(early))
            seen.Select(change => change.Resource.Metadata.ResourceVersion).ShouldBe(Enumerable.Range(1, Writers * Each).Select(v => $"{v}"));
        middle.Items.Select(item => item.Metadata.Name).Concat((await late).Select(change => change.Resource.Metadata.Name))
            .Distinct().Count().ShouldBe(Writers * Each);

        Task<List<WatchEvent<TaskResource>>> Watch(string from, int count) =>
            TakeAsync(scenario.System.WatchAsync<TaskResource>(new ResourceQuery(), from, Ct), count);

        async Task WriteAsync(int writer)
        {
            for (int i = 0; i < Each; i++)
                await scenario.System.CreateAsync(Task($"w{writer}-{i}"), Ct);
        }
    }
}
