using System.Diagnostics;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Pool;

namespace Rynxs.Sandbox.Tests;

/// <summary>This very test program, started again as a host process that owns sandboxes and waits to be killed.</summary>
public sealed class OwnerProcess
{
    /// <summary>State key, workspace, the file that says "ready" and how it starts sandboxes, separated by bars; unset in an ordinary run.</summary>
    public const string Variable = "RYNXS_TEST_OWNER";

    /// <summary>Starts the process and returns it with its sandboxes running.</summary>
    /// <param name="stateKey">Of its runtime.</param>
    /// <param name="workspace">Of its first sandbox.</param>
    /// <param name="hasSpawner">With a spawner child and a pool; else it starts sandboxes itself, and nobody outlives it.</param>
    /// <param name="cancellationToken">Gives up.</param>
    public static async Task<Process> StartAsync(string stateKey, string workspace, bool hasSpawner, CancellationToken cancellationToken)
    {
        string ready = Path.Combine(Path.GetDirectoryName(workspace)!, "ready"); // a workspace always has a parent
        var info = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true }; // a test host always has a path
        info.ArgumentList.Add("-method");
        info.ArgumentList.Add($"{typeof(OwnerProcess).FullName}.{nameof(Own_sandboxes_until_killed)}");
        info.Environment[Variable] = $"{stateKey}|{workspace}|{ready}|{(hasSpawner ? "spawner" : "alone")}";
        Process process = Process.Start(info)!; // not a shell association, so never null
        var clock = Stopwatch.StartNew();
        while (!File.Exists(ready))
        {
            if (process.HasExited || clock.Elapsed > TimeSpan.FromSeconds(60))
            {
                process.Kill();
                throw new InvalidOperationException("the owner did not get ready: " + await process.StandardOutput.ReadToEndAsync(cancellationToken));
            }

            await Task.Delay(20, cancellationToken);
        }

        return process;
    }

    [Fact]
    public async Task Own_sandboxes_until_killed()
    {
        Assert.SkipWhen(Environment.GetEnvironmentVariable(Variable) is null, "runs only as the child of another test");
        string[] words = Environment.GetEnvironmentVariable(Variable)!.Split('|'); // checked above
        bool hasSpawner = words[3] == "spawner";
        GVisorRuntime runtime = hasSpawner
            ? SandboxHost.NewRuntime(words[0], new SandboxTemplate { Name = "owner", Size = 2, Floor = 1, Ceiling = 2 })
            : new GVisorRuntime(new GVisorOptions { StateKey = words[0] }, SandboxHost.Images(), NullLogger<GVisorRuntime>.Instance);
        if (hasSpawner)
        {
            runtime.StartPools();
            await runtime.PoolsFullAsync(CancellationToken.None);
        }

        ImageDescriptor image = (await SandboxHost.Images().ResolveAsync(ImageStore.BuiltInName, CancellationToken.None)).Image;
        for (int i = 0; i < 2; i++)
        {
            ISandbox sandbox = await runtime.CreateAsync(
                new SandboxSpec { Owner = new SandboxOwner("tests", "owner" + i), Image = image, WorkspaceDirectory = i == 0 ? words[1] : null }, CancellationToken.None);
            var running = new TaskCompletionSource();
            _ = sandbox.ExecuteAsync(
                new ExecutionRequest
                {
                    ExecutionId = "busy",
                    Arguments = ["/usr/bin/python3", "-c", "print('on', flush=True)\nwhile True: pass"],
                    Timeout = TimeSpan.FromSeconds(600),
                    OnOutput = _ => running.TrySetResult(),
                }, CancellationToken.None);
            await running.Task;
        }

        File.WriteAllText(words[2], "");
        await Task.Delay(TimeSpan.FromMinutes(5), TestContext.Current.CancellationToken);
    }
}
