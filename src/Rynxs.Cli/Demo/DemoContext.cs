using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Tasks;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;
using Rynxs.Server.Identity;

namespace Rynxs.Cli.Demo;

/// <summary>What the steps share: the administrator's client, and the files of the private state.</summary>
internal sealed class DemoContext(ApiClient client, ClientSettings settings, string state, string directory, TimeProvider timeProvider)
{
    /// <summary>For anything that must happen soon: far above what it takes, so that reaching it is a failure and not bad luck.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    public const string Namespace = "rynxs";

    public ApiClient Client => client;

    public string State => state;

    /// <summary>For copies that the demo damages.</summary>
    public string Directory => directory;

    /// <summary>A client with a token of its own.</summary>
    public ApiClient ClientAs(string principal, Role role)
    {
        string token = new TokenStore(state, timeProvider).Create(principal, new HashSet<Role> { role }, namespaces: null, expires: null);
        return new ApiClient(settings with { Token = token });
    }

    public string WorkspaceFile(string agent, string name) => Path.Combine(state, "workspaces", Namespace, agent, name);

    /// <summary>Gives an agent a task and waits for its end.</summary>
    public async Task<JsonElement> RunTaskAsync(string agent, string text, CancellationToken cancellationToken)
    {
        string name = await StartTaskAsync(agent, text, cancellationToken);
        return await WaitForTaskAsync(name, cancellationToken);
    }

    public async Task<string> StartTaskAsync(string agent, string text, CancellationToken cancellationToken)
    {
        var task = new TaskResource
        {
            Metadata = new ObjectMeta { Name = TaskSubmission.NewName(), Namespace = Namespace },
            Spec = new TaskSpec { Title = TaskSubmission.TitleOf(text), Description = text, Assignee = agent },
        };
        await TaskSubmission.CreateAsync(client, task, cancellationToken);
        return task.Metadata.Name;
    }

    public async Task<JsonElement> WaitForTaskAsync(string name, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(Patience);
        try
        {
            return await TaskSubmission.WaitAsync(client, Namespace, name, deadline.Token);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            JsonElement task = await client.GetAsync(ResourcePath.Object(ResourceTypes.Task, Namespace, name), cancellationToken);
            throw new CliException($"task {name} did not end within {Patience.TotalSeconds:0} s; its phase is {task.Text("status.phase") ?? "unset"}.");
        }
    }

    /// <summary>Asks again until there is an answer.</summary>
    public async Task<T> EventuallyAsync<T>(string what, Func<Task<T?>> ask, CancellationToken cancellationToken)
        where T : struct
    {
        long started = timeProvider.GetTimestamp();
        while (true)
        {
            if (await ask() is { } answer)
            {
                return answer;
            }

            if (timeProvider.GetElapsedTime(started) > Patience)
            {
                throw new CliException($"{what} did not happen within {Patience.TotalSeconds:0} s.");
            }

            await Task.Delay(TimeSpan.FromMilliseconds(50), timeProvider, cancellationToken);
        }
    }

    /// <summary>The agent's records with their texts, oldest first.</summary>
    public async Task<IReadOnlyList<JsonElement>> RecordsAsync(string agent, CancellationToken cancellationToken)
    {
        List<JsonElement> records = [];
        await foreach (byte[] line in client.StreamAsync(ResourcePath.Agent(Namespace, agent, "logs?follow=0&tail=200"), cancellationToken))
        {
            using JsonDocument record = JsonDocument.Parse(line);
            records.Add(record.RootElement.Clone());
        }

        return records;
    }
}
