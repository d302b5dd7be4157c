using System.Diagnostics;
using System.Globalization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Rynxs.ResourceServer.Http;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Identity;

namespace Rynxs.ResourceServer.Bench;

/// <summary>Our resource server with nothing around it: no ledger, no TLS, no tokens.</summary>
internal static class OurServer
{
    private const string Ready = "READY ";

    public static async Task<int> ServeAsync(string directory)
    {
        long opening = Stopwatch.GetTimestamp();
        await using ResourceStore store = await ResourceStore.OpenAsync(Options(directory), CancellationToken.None);
        double opened = Stopwatch.GetElapsedTime(opening).TotalMilliseconds;
        await store.EnsureNamespacesAsync(CancellationToken.None);
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddRouting();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using WebApplication application = builder.Build();
        application.MapResourceApi(store, _ => Principal.System);
        await application.StartAsync();
        await Console.Out.WriteLineAsync(string.Create(CultureInfo.InvariantCulture, $"{Ready}{application.Urls.First()} {opened}"));
        await Console.Out.FlushAsync();
        await application.WaitForShutdownAsync();
        return 0;
    }

    /// <summary>Makes objects of about 700 bytes through the pipeline, many at a time.</summary>
    public static async Task<int> FillAsync(string directory, int count)
    {
        await using ResourceStore store = await ResourceStore.OpenAsync(Options(directory), CancellationToken.None);
        await store.EnsureNamespacesAsync(CancellationToken.None);
        KindSet kinds = store.Kinds.Current;
        RegisteredKind kind = kinds.Find("", "v1", "configmaps") ?? throw new InvalidOperationException("ConfigMaps are always served");
        await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = 128 }, async (i, cancellationToken) =>
        {
            ObjectRequest request = new() { Principal = Principal.System, Kinds = kinds, Kind = kind, Namespace = "default", FieldManager = "bench" };
            await store.Pipeline.CreateAsync(request, Workload.Body($"fill-{i:000000}", "x"), [], cancellationToken);
        });
        return 0;
    }

    public static async Task<Server> StartAsync()
    {
        string directory = Directory.CreateTempSubdirectory("rynxs-bench-").FullName;
        (Process process, string url, _) = await SpawnAsync(directory);
        return new Server(Client(url), [process], directory);
    }

    /// <summary>Fills a store, then starts a server on it.</summary>
    public static async Task<StartResult> MeasureStartAsync(int objects)
    {
        string directory = Directory.CreateTempSubdirectory("rynxs-bench-").FullName;
        using (Process fill = Spawn(["fill", directory, objects.ToString(CultureInfo.InvariantCulture)]))
        {
            await fill.WaitForExitAsync();
            if (fill.ExitCode != 0)
                throw new InvalidOperationException("the store could not be filled");
        }

        long start = Stopwatch.GetTimestamp();
        (Process process, string url, double store) = await SpawnAsync(directory);
        await using Server server = new(Client(url), [process], directory);
        using HttpResponseMessage first = await server.Client.GetAsync("/api/v1/namespaces/default/configmaps/fill-000000");
        double answered = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        first.EnsureSuccessStatusCode();
        return new StartResult(objects, answered, store, server.Rss());
    }

    private static async Task<(Process Process, string Url, double StoreMilliseconds)> SpawnAsync(string directory)
    {
        Process process = Spawn(["serve", directory]);
        while (await process.StandardOutput.ReadLineAsync() is { } line)
        {
            if (line.StartsWith(Ready, StringComparison.Ordinal) && line.Split(' ') is [_, string url, string milliseconds])
                return (process, url, double.Parse(milliseconds, CultureInfo.InvariantCulture));
        }

        throw new InvalidOperationException("the server did not start");
    }

    private static Process Spawn(string[] arguments) =>
        Process.Start(new ProcessStartInfo(Environment.ProcessPath ?? throw new InvalidOperationException("this process has a path"), arguments) { RedirectStandardOutput = true })
        ?? throw new InvalidOperationException("the process did not start");

    private static ResourceStoreOptions Options(string directory) => new() { Path = System.IO.Path.Combine(directory, "objects.db"), RequireNamespaces = true };

    private static HttpClient Client(string url) => new(new SocketsHttpHandler { MaxConnectionsPerServer = 4096 }) { BaseAddress = new Uri(url), Timeout = TimeSpan.FromMinutes(5) };
}
