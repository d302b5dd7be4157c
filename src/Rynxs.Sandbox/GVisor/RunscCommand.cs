using System.ComponentModel;
using Rynxs.Sandbox.Processes;

namespace Rynxs.Sandbox.GVisor;

/// <summary>Command lines of <c>runsc</c> for one run directory.</summary>
internal sealed class RunscCommand(GVisorOptions options)
{
    private static readonly TimeSpan CommandDeadline = TimeSpan.FromSeconds(30);

    /// <summary>Where runsc keeps its own state; its control sockets are below it.</summary>
    public string Root { get; } = Path.Combine(options.RunDirectory, "r");

    public async Task<string> VersionAsync(CancellationToken cancellationToken)
    {
        ChildProcess child = Start([options.RunscPath, "--version"]);
        int code = await FinishAsync(child, cancellationToken);
        return code == 0
            ? child.Output.Text.Split('\n')[0].Trim()
            : throw new SandboxRefusedException("runtime", $"{options.RunscPath} --version ended with code {code}: {child.Error.Text.Trim()}");
    }

    /// <summary>Creates and starts a sandbox whose first process reads from <paramref name="stdinFd"/>.</summary>
    public async Task RunAsync(string id, string platform, string directory, int stdinFd, CancellationToken cancellationToken)
    {
        ChildProcess child = ChildProcess.Start(
            [
                .. Global(), "--platform=" + platform, "--network=none", "--overlay2=none", "--host-uds=none", "--host-fifo=none",
                "--pod-init-config=" + Path.Combine(directory, "pod-init.json"), "run", "-detach", "-bundle", directory,
                "-pid-file", Path.Combine(directory, "pid"), id,
            ],
            64 * 1024, stdinFd: stdinFd, discardOutput: true);
        int code = await FinishAsync(child, cancellationToken);
        if (code != 0)
        {
            throw new SandboxRefusedException("runtime", $"runsc could not start a sandbox (code {code}): {Bounded(child.Error.Text)}");
        }
    }

    public IReadOnlyList<string> Exec(string id, string directory) =>
        [.. Global(), "exec", "-process", Path.Combine(directory, "exec.json"), "-internal-pid-file", Path.Combine(directory, "exec.pid"), id];

    public async Task DeleteAsync(string id, CancellationToken cancellationToken) =>
        // A sandbox that runsc does not know is what we want, so the code says nothing.
        await FinishAsync(Start([.. Global(), "delete", "-force", id]), cancellationToken);

    public static string Bounded(string text)
    {
        const int most = 600;
        string trimmed = text.Trim();
        return trimmed.Length <= most ? trimmed : trimmed[..most] + "…";
    }

    private string[] Global() => [options.RunscPath, "--root=" + Root, "--log=/dev/null"];

    private static ChildProcess Start(IReadOnlyList<string> command)
    {
        try
        {
            return ChildProcess.Start(command, 64 * 1024);
        }
        catch (Win32Exception notFound)
        {
            throw new SandboxRefusedException("runtime", $"{command[0]} cannot be started: {notFound.Message}", notFound);
        }
    }

    private static async Task<int> FinishAsync(ChildProcess child, CancellationToken cancellationToken)
    {
        try
        {
            return await child.Exited.WaitAsync(CommandDeadline, cancellationToken);
        }
        catch (Exception stopped) when (stopped is OperationCanceledException or TimeoutException)
        {
            child.Kill();
            await child.Exited.WaitAsync(CancellationToken.None);
            throw stopped is TimeoutException ? new SandboxRefusedException("runtime", "runsc did not answer in time.", stopped) : stopped;
        }
    }
}
