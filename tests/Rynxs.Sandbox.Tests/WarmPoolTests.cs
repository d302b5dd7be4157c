using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Limits;
using Rynxs.Sandbox.Pool;

namespace Rynxs.Sandbox.Tests;

/// <summary>Sandboxes from templates: warm, restored, and what they must not share.</summary>
public sealed class WarmPoolTests(SandboxHost host)
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_template_serves_warm_then_restored_and_programs_behave_as_in_any_sandbox()
    {
        host.SkipUnlessAvailable();
        await using GVisorRuntime runtime = SandboxHost.NewRuntime(SandboxHost.NewStateKey(), new SandboxTemplate { Name = "t", Size = 1, Floor = 1, Ceiling = 1 });
        runtime.StartPools();
        await runtime.PoolsPreparedAsync(Token);
        runtime.Pools.ShouldHaveSingleItem().Unusable.ShouldBeNull();
        await runtime.PoolsFullAsync(Token);

        await using ISandbox warm = await runtime.CreateAsync(Spec(), Token);
        await using ISandbox cold = await runtime.CreateAsync(Spec(), Token);

        (warm.Start, cold.Start).ShouldBe((SandboxStart.Warm, SandboxStart.Restored));
        foreach (ISandbox sandbox in (ISandbox[])[warm, cold])
        {
            ExecutionResult result = await sandbox.ExecuteAsync(Python("import sys\nprint('out'); print('err', file=sys.stderr); sys.exit(3)"), Token);
            (result.Out(), result.Err(), result.ExitCode, result.Reason).ShouldBe(("out\n", "err\n", 3, TerminationReason.NonzeroExit));
            TestContext.Current.TestOutputHelper?.WriteLine($"{sandbox.Start}: acquire {sandbox.ColdStart.TotalMilliseconds:F2} ms, first instruction {result.FirstInstruction?.TotalMilliseconds:F2} ms, whole {result.Duration.TotalMilliseconds:F2} ms");
            ExecutionResult again = await sandbox.ExecuteAsync(Python("print(1/0)"), Token);
            again.Err().ShouldEndWith("ZeroDivisionError: division by zero\n", customMessage: again.Describe());
            (await sandbox.ShellAsync("echo $0; exit 4")).ExitCode.ShouldBe(4);
        }
    }

    private SandboxSpec Spec() => new() { Owner = new SandboxOwner("tests", "pool"), Image = host.Image, WorkspaceBytes = 256L << 20, Limits = new SandboxLimits() };

    private static ExecutionRequest Python(string source) =>
        new() { ExecutionId = Guid.NewGuid().ToString(), Arguments = [], PythonSource = System.Text.Encoding.UTF8.GetBytes(source) };
}
