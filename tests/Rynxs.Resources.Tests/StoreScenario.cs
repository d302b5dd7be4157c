using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;

namespace Rynxs.Resources.Tests;

/// <summary>A store of its own in a directory of its own.</summary>
internal sealed class StoreScenario : IAsyncDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("rynxs-store-").FullName;

    public string DatabasePath => Path.Combine(_directory, "objects.db");

    public ResourceStoreOptions Options { get; set; } = new() { Path = "" };

    public ResourceStore Store { get; private set; } = null!; // set by OpenAsync, which every test calls first

    public IResourceClient System => Store.For(Principal.System);

    public static async Task<StoreScenario> OpenAsync(Func<ResourceStoreOptions, ResourceStoreOptions>? configure = null)
    {
        StoreScenario scenario = new();
        scenario.Options = new ResourceStoreOptions { Path = scenario.DatabasePath };
        scenario.Options = configure?.Invoke(scenario.Options) ?? scenario.Options;
        await scenario.ReopenAsync();
        return scenario;
    }

    public async Task ReopenAsync()
    {
        if (Store is not null)
            await Store.DisposeAsync();
        Store = await ResourceStore.OpenAsync(Options, Ct);
    }

    public static CancellationToken Ct => TestContext.Current.CancellationToken;

    public static Principal User(string name, params Role[] roles) => new($"user:{name}", new HashSet<Role>(roles), null);

    public static TaskResource Task(string name, string description = "x", string ns = "ns") => new()
    {
        Metadata = new ObjectMeta { Name = name, Namespace = ns },
        Spec = new TaskSpec { Title = "t", Description = description },
    };

    /// <summary>The next <paramref name="count"/> events that are no bookmarks.</summary>
    public static async Task<List<WatchEvent<T>>> TakeAsync<T>(IAsyncEnumerable<WatchEvent<T>> events, int count)
    {
        List<WatchEvent<T>> seen = [];
        if (count == 0)
            return seen;
        // Generous, and there at all so that an event that never comes is a failure and not a hang.
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(60));
        await foreach (WatchEvent<T> change in events.WithCancellation(patience.Token))
        {
            if (change.Type == WatchEventType.Bookmark)
                continue;
            seen.Add(change);
            if (seen.Count == count)
                break;
        }

        return seen;
    }

    public async ValueTask DisposeAsync()
    {
        await Store.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }
}
