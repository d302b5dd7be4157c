using System.Diagnostics;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Namespaces;

namespace Rynxs.Sandbox.Tests.Namespaces;

/// <summary>This very test program, started again as a host process that owns sandboxes of this tier and waits to be killed.</summary>
public sealed class NamespacesOwner
{
    /// <summary>State key, workspace and the file that says "ready", separated by bars; unset in an ordinary run.</summary>
    public const string Variable = "RYNXS_TEST_NAMESPACES_OWNER";

    public static async Task<Process> StartAsync(string stateKey, string workspace, CancellationToken cancellationToken)
    {
        string ready = Path.Combine(Path.GetDirectoryName(workspace)!, "ready"); // a workspace always has a parent
        var info = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true }; // a test host always has a path
        info.ArgumentList.Add("-method");
        info.ArgumentList.Add($"{typeof(NamespacesOwner).FullName}.{nameof(Own_sandboxes_until_killed)}");
        info.Environment[Variable] = $"{stateKey}|{workspace}|{ready}";
        info.Environment[OwnerProcess.Variable] = "not this one"; // the other runtime's fixture does nothing then
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
        NamespacesRuntime runtime = NamespacesHost.NewRuntime(words[0]);
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
                    Arguments = ["/bin/bash", "-c", "trap '' TERM HUP INT; echo on; while :; do sleep 1; done"],
                    Timeout = TimeSpan.FromSeconds(600),
                    OnOutput = _ => running.TrySetResult(),
                }, CancellationToken.None);
            await running.Task;
        }

        File.WriteAllText(words[2], "");
        await Task.Delay(TimeSpan.FromMinutes(5), TestContext.Current.CancellationToken);
    }
}
