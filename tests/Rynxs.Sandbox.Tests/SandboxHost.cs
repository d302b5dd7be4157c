using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Limits;
using Rynxs.Sandbox.Pool;
using Rynxs.Sandbox.Spawning;

[assembly: AssemblyFixture(typeof(Rynxs.Sandbox.Tests.SandboxHost))]

namespace Rynxs.Sandbox.Tests;

/// <summary>One real runtime for all tests, in a state of its own; skips where the host cannot run gVisor.</summary>
public sealed class SandboxHost : IAsyncLifetime
{
    public static string ImagesDirectory => SandboxRequirement.ImagesDirectory;

    public GVisorRuntime Runtime { get; private set; } = null!; // set before any test runs

    public ImageDescriptor Image { get; private set; } = null!; // set before any test that asks for a sandbox

    public string StateKey { get; } = NewStateKey();

    private string? _unavailable;

    public static string NewStateKey() => Guid.NewGuid().ToString("n")[..12];

    public static ImageStore Images() => new(new ImageStoreOptions { Directory = ImagesDirectory });

    public static GVisorRuntime NewRuntime(string stateKey, params SandboxTemplate[] templates) =>
        new(new GVisorOptions { StateKey = stateKey, SpawnerCommand = SpawnerCommand, Templates = templates }, Images(), NullLogger<GVisorRuntime>.Instance);

    public static IReadOnlyList<string> SpawnerCommand { get; } = SandboxSpawner.CommandOf(Environment.ProcessPath ?? throw new InvalidOperationException("a test program has a path"));

    public async ValueTask InitializeAsync()
    {
        Runtime = NewRuntime(StateKey);
        if (Environment.GetEnvironmentVariable(OwnerProcess.Variable) is not null)
        {
            return;
        }

        if (Environment.UserName != "root")
        {
            _unavailable = "needs root";
            return;
        }

        try
        {
            Image = await Images().EnsureBuiltInAsync(null, CancellationToken.None);
        }
        catch (ImageException missing)
        {
            _unavailable = missing.Message;
            return;
        }

        RuntimeProbe probe = await Runtime.ProbeAsync(CancellationToken.None);
        _unavailable = probe.Available ? null : probe.Detail;
    }

    public async ValueTask DisposeAsync() => await Runtime.DisposeAsync();

    public void SkipUnlessAvailable() => Assert.SkipUnless(_unavailable is null, _unavailable ?? "");

    public async Task<ISandbox> NewSandboxAsync(string? workspace = null, SandboxLimits? limits = null, long workspaceBytes = 1L << 30)
    {
        SkipUnlessAvailable();
        return await Runtime.CreateAsync(new SandboxSpec
        {
            Owner = new SandboxOwner("tests", "tester"),
            Image = Image,
            WorkspaceDirectory = workspace,
            WorkspaceBytes = workspaceBytes,
            Limits = limits ?? new SandboxLimits(),
        }, TestContext.Current.CancellationToken);
    }
}

internal static class SandboxExtensions
{
    public static Task<ExecutionResult> ShellAsync(this ISandbox sandbox, string script, int seconds = 30, int outputBytes = 1 << 20) =>
        sandbox.RunAsync(["/bin/bash", "-c", script], seconds, outputBytes);

    public static Task<ExecutionResult> PythonAsync(this ISandbox sandbox, string code, int seconds = 30) =>
        sandbox.RunAsync(["/usr/bin/python3", "-c", code], seconds);

    public static Task<ExecutionResult> RunAsync(this ISandbox sandbox, string[] arguments, int seconds = 30, int outputBytes = 1 << 20) =>
        sandbox.ExecuteAsync(new ExecutionRequest
        {
            ExecutionId = Guid.NewGuid().ToString(),
            Arguments = arguments,
            Timeout = TimeSpan.FromSeconds(seconds),
            OutputBytes = outputBytes,
        }, TestContext.Current.CancellationToken);

    public static string Out(this ExecutionResult result) => Encoding.UTF8.GetString(result.StandardOutput.Span);

    public static string Err(this ExecutionResult result) => Encoding.UTF8.GetString(result.StandardError.Span);

    public static string Describe(this ExecutionResult result) => $"{result.Reason} {result.ExitCode}\n{result.Out()}\n{result.Err()}\n{string.Join("\n", result.Violations)}";
}

/// <summary>A private directory as the server lays it out: files/ beside inbox, outbox and audit.</summary>
internal sealed class AgentDirectory : IDisposable
{
    public AgentDirectory()
    {
        Root = Directory.CreateTempSubdirectory("rynxs-sandbox-test").FullName;
        Files = Directory.CreateDirectory(Path.Combine(Root, "files")).FullName;
        foreach (string name in (string[])["inbox.jsonl", "outbox.jsonl", "audit.jsonl"])
        {
            File.WriteAllText(Path.Combine(Root, name), Secret);
        }
    }

    public string Secret { get; } = "secret-" + Guid.NewGuid();

    public string Root { get; }

    public string Files { get; }

    /// <summary>By rm: .NET cannot delete names that are not UTF-8, and tests make some.</summary>
    public void Dispose()
    {
        using var remove = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("rm", ["-rf", Root]))!; // never a shell association
        remove.WaitForExit();
    }
}
