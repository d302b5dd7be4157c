using System.Text;
using Rynxs.Ledger.Events;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Pool;

namespace Rynxs.Sandbox.GVisor;

/// <summary>
/// Makes the checkpoint of a template, and tries with the installed runsc every call that will be relied on: start, checkpoint, restore, a process and its
/// status, a waiting interpreter, the trace, the controls. One that fails leaves the command line in use, with the reason.
/// </summary>
internal sealed class TemplateBuild(GVisorOptions options, RunscCommand runsc, Func<SandboxSpec, Func<GVisorSandbox, CancellationToken, Task>, CancellationToken, Task<GVisorSandbox>> start)
{
    /// <summary>Builds it.</summary>
    /// <param name="template">What.</param>
    /// <param name="image">Verified root filesystem.</param>
    /// <param name="directory">For the checkpoint; made here.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="SandboxRefusedException">A call or a control does not work.</exception>
    public async Task<TemplateCheckpoint> RunAsync(SandboxTemplate template, ImageDescriptor image, string directory, CancellationToken cancellationToken)
    {
        SandboxSpec spec = SpecOf(template, image);
        Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        int process;
        try
        {
            await using (GVisorSandbox original = await start(spec, GVisorSandbox.StartTemplateAsync, cancellationToken))
            {
                using Guest.SpareInterpreter spare = original.TakeSpare() ?? throw new InvalidOperationException("a template starts with its interpreter");
                process = spare.Process;
                await runsc.CheckpointAsync(original.Id.Value, directory, cancellationToken);
            }

            var checkpoint = new TemplateCheckpoint(directory, image, process);
            return checkpoint with { Controls = await TryAsync(checkpoint, spec, cancellationToken) };
        }
        catch (ControlException unusable)
        {
            throw new SandboxRefusedException("template", $"The control socket of this runsc cannot be used: {unusable.Message}", unusable);
        }
    }

    /// <summary>The spec of a sandbox that nobody owns yet.</summary>
    public SandboxSpec SpecOf(SandboxTemplate template, ImageDescriptor image) => new()
    {
        Owner = new SandboxOwner("rynxs", "pool"),
        Image = image,
        Limits = template.Limits,
        WorkspaceBytes = template.WorkspaceBytes,
        Platform = template.Platform ?? options.DefaultPlatform,
        SingleUse = true,
        Egress = template.Egress ? Egress.ReservedEgress.Instance : null,
    };

    private async Task<IReadOnlyList<SandboxControl>> TryAsync(TemplateCheckpoint checkpoint, SandboxSpec spec, CancellationToken cancellationToken)
    {
        await using GVisorSandbox sandbox = await start(spec, (one, token) => GVisorSandbox.RestoreAsync(one, checkpoint, token), cancellationToken);
        sandbox.Start = SandboxStart.Restored;
        sandbox.Park();
        sandbox.Adopt(spec);
        await RequireAsync(sandbox, new ExecutionRequest
        {
            ExecutionId = "self-test-interpreter",
            Arguments = ["a", "b c"],
            PythonSource = "import sys,os\nprint(sys.argv[1:],sys.stdin.read(),os.environ['X'],os.getcwd(),os.getuid())\nsys.exit(7)"u8.ToArray(),
            StandardInput = "given"u8.ToArray(),
            Environment = new Dictionary<string, string> { ["X"] = "y" },
            WorkingDirectory = "/tmp",
        }, 7, "['a', 'b c'] given y /tmp 1000\n", cancellationToken);
        await RequireAsync(sandbox, new ExecutionRequest
        {
            ExecutionId = "self-test-process",
            Arguments = ["/bin/bash", "-c", "echo \"$X $(id -u) $(ulimit -u)\"; exit 9"],
            Environment = new Dictionary<string, string> { ["X"] = "y" },
        }, 9, $"y 1000 {spec.Limits.Pids}\n", cancellationToken);
        return await ControlProbe.TryInsideAsync(sandbox, cancellationToken);
    }

    private static async Task RequireAsync(GVisorSandbox sandbox, ExecutionRequest request, int code, string output, CancellationToken cancellationToken)
    {
        ExecutionResult result;
        try
        {
            result = await sandbox.ExecuteAsync(request, cancellationToken);
        }
        catch (SandboxStartException failed)
        {
            throw new SandboxRefusedException("template", $"{request.ExecutionId}: {failed.Message}", failed);
        }

        cancellationToken.ThrowIfCancellationRequested();
        string seen = Encoding.UTF8.GetString(result.StandardOutput.Span);
        if (result.ExitCode != code || seen != output || result.FirstInstruction is null)
        {
            throw new SandboxRefusedException(
                "template", $"{request.ExecutionId} ended with {result.Reason}, code {result.ExitCode}: {RunscCommand.Bounded(Violations.ViolationDetector.Sanitise(seen + Encoding.UTF8.GetString(result.StandardError.Span)))} (first instruction: {result.FirstInstruction})");
        }
    }
}
