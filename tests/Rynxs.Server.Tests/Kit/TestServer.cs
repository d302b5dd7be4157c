using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using Rynxs.Resources.Identity;
using Rynxs.Server.Hosting;
using Rynxs.Server.Identity;

namespace Rynxs.Server.Tests.Kit;

/// <summary>A real server on a free port with a private state directory: real ledger, store, sandboxes.</summary>
public sealed class TestServer : IAsyncDisposable
{
    private readonly bool _ownsState;

    private TestServer(RynxsServer server, StringWriter log, bool ownsState)
    {
        Server = server;
        Log = log;
        _ownsState = ownsState;
        Http = Client(server.AdminToken);
    }

    public RynxsServer Server { get; }
    public StringWriter Log { get; }

    /// <summary>Acts as the administrator.</summary>
    public HttpClient Http { get; }
    public string State => Server.StateDirectory;

    public static string NewStatePath() => Path.Combine(Path.GetTempPath(), "rynxs-t-" + Guid.NewGuid().ToString("N")[..10]);

    public static async Task<TestServer> StartAsync(string? state = null, Func<ServerOptions, ServerOptions>? configure = null)
    {
        var log = new StringWriter();
        var options = new ServerOptions
        {
            StateDirectory = state ?? NewStatePath(),
            Listen = "127.0.0.1:0",
            LogWriter = TextWriter.Synchronized(log),
            DrainSeconds = 5,
            InitialNamespaces = ["rynxs", "team", "team-a", "team-b"],
        };
        RynxsServer server = await RynxsServer.StartAsync(configure?.Invoke(options) ?? options, TestContext.Current.CancellationToken);
        return new TestServer(server, log, ownsState: state is null);
    }

    public HttpClient Client(string? token)
    {
        var client = new HttpClient { BaseAddress = Server.Url, Timeout = TimeSpan.FromMinutes(3) };
        if (token is not null)
        {
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }

        return client;
    }

    /// <summary>A client with a new token.</summary>
    public HttpClient ClientFor(string name, Role role, params string[] namespaces) => Client(
        new TokenStore(State, TimeProvider.System).Create(name, new HashSet<Role> { role }, namespaces.Length == 0 ? null : namespaces.ToHashSet(), expires: null));

    public async Task<JsonElement> PostAsync(string path, string json, HttpStatusCode expected = HttpStatusCode.OK, HttpClient? client = null)
    {
        using var content = new StringContent(json, Encoding.UTF8, "application/json");
        using HttpResponseMessage response = await (client ?? Http).PostAsync(path, content, TestContext.Current.CancellationToken);
        return await ReadAsync(response, expected);
    }

    public async Task<JsonElement> GetAsync(string path, HttpStatusCode expected = HttpStatusCode.OK, HttpClient? client = null)
    {
        using HttpResponseMessage response = await (client ?? Http).GetAsync(path, TestContext.Current.CancellationToken);
        return await ReadAsync(response, expected);
    }

    public async Task<string> GetTextAsync(string path, HttpClient? client = null) =>
        await (client ?? Http).GetStringAsync(path, TestContext.Current.CancellationToken);

    /// <summary>Creates an agent and waits until it is ready.</summary>
    public async Task CreateAgentAsync(string ns, string name, string spec)
    {
        await PostAsync(
            $"/apis/universe.ai/v1alpha1/namespaces/{ns}/agents",
            $$$"""{"apiVersion":"universe.ai/v1alpha1","kind":"Agent","metadata":{"name":"{{{name}}}","namespace":"{{{ns}}}"},"spec":{{{spec}}}}""",
            HttpStatusCode.Created);
        await WaitForAsync(
            $"/apis/universe.ai/v1alpha1/namespaces/{ns}/agents/{name}",
            agent => agent.TryGetProperty("status", out JsonElement status) && status.TryGetProperty("phase", out JsonElement phase) && phase.GetString() == "Running");
    }

    public async Task<JsonElement> CreateTaskAsync(string ns, string name, string agent, string description) => await PostAsync(
        $"/apis/universe.ai/v1alpha1/namespaces/{ns}/tasks",
        JsonSerializer.Serialize(new
        {
            apiVersion = "universe.ai/v1alpha1", kind = "Task", metadata = new { name, @namespace = ns },
            spec = new { title = name, description, assignee = agent },
        }),
        HttpStatusCode.Created);

    public async Task<JsonElement> WaitForTaskAsync(string ns, string name) => await WaitForAsync(
        $"/apis/universe.ai/v1alpha1/namespaces/{ns}/tasks/{name}",
        task => task.TryGetProperty("status", out JsonElement status) && status.TryGetProperty("phase", out JsonElement phase)
            && phase.GetString() is "Completed" or "Failed" or "Cancelled");

    /// <summary>Asks until the answer holds or a minute and a half is over; the failure shows the last answer.</summary>
    public async Task<JsonElement> WaitForAsync(string path, Func<JsonElement, bool> holds)
    {
        long started = TimeProvider.System.GetTimestamp();
        while (true)
        {
            JsonElement answer = await GetAsync(path);
            if (holds(answer))
            {
                return answer;
            }

            if (TimeProvider.System.GetElapsedTime(started) > TimeSpan.FromSeconds(90))
            {
                throw new TimeoutException($"GET {path} never held: {answer}\n{Log}");
            }

            await Task.Delay(50, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>Asks /readyz until it says so; its answers are remembered for a short while.</summary>
    public async Task WaitUntilReadyAsync()
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(30));
        while (true)
        {
            using HttpResponseMessage response = await Http.GetAsync("/readyz", patience.Token);
            if (response.IsSuccessStatusCode)
            {
                return;
            }

            await Task.Delay(100, patience.Token);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Http.Dispose();
        await Server.DisposeAsync();
        if (_ownsState)
        {
            Directory.Delete(State, recursive: true);
        }
    }

    private static async Task<JsonElement> ReadAsync(HttpResponseMessage response, HttpStatusCode expected)
    {
        string text = await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        response.StatusCode.ShouldBe(expected, text);
        return JsonDocument.Parse(text.Length == 0 ? "{}" : text).RootElement.Clone();
    }
}
