using System.ComponentModel;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Processes;
using Rynxs.Sandbox.Spawning;

namespace Rynxs.Sandbox.GVisor;

/// <summary>Command lines of <c>runsc</c> for one run directory.</summary>
internal sealed class RunscCommand(GVisorOptions options)
{
    private static readonly TimeSpan CommandDeadline = TimeSpan.FromSeconds(30);

    /// <summary>Who starts runsc; null for the thread that asks.</summary>
    public ISpawner? Spawner { get; set; }

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
    public async Task RunAsync(string id, string platform, string directory, int stdinFd, bool hasEgress, CancellationToken cancellationToken)
    {
        ChildProcess child = ChildProcess.Start(
            [
                .. Global(), "--platform=" + platform, "--network=none", "--overlay2=none", "--host-uds=" + (hasEgress ? "open" : "none"), "--host-fifo=none",
                "--pod-init-config=" + Path.Combine(directory, "pod-init.json"), "run", "-detach", "-bundle", directory,
                "-pid-file", Path.Combine(directory, "pid"), id,
            ],
            64 * 1024, stdinFd: stdinFd, discardOutput: true, spawner: Spawner);
        int code = await FinishAsync(child, cancellationToken);
        if (code != 0)
        {
            throw new SandboxRefusedException("runtime", $"runsc could not start a sandbox (code {code}): {Bounded(child.Error.Text)}");
        }
    }

    /// <summary>Creates a sandbox that is not started: a control socket starts or restores it.</summary>
    /// <param name="id">The sandbox.</param>
    /// <param name="platform">systrap or ptrace.</param>
    /// <param name="directory">Bundle.</param>
    /// <param name="isWatched">Whether the directory holds a trace session's configuration.</param>
    /// <param name="stdio">Standard input, output and error of its first process, and of runsc for as long as this takes.</param>
    /// <param name="cgroup">Where it is born, when we made the cgroup; else runsc makes it as the configuration says.</param>
    /// <param name="hasEgress">Whether it may connect to sockets in directories that are mounted into it. It can make none.</param>
    /// <param name="cancellationToken">Kills the command.</param>
    public async Task CreateAsync(
        string id, string platform, string directory, bool isWatched, (int Input, int Output, int Error) stdio, string? cgroup, bool hasEgress, CancellationToken cancellationToken)
    {
        ISpawner spawner = Spawner ?? throw new InvalidOperationException("a spawner comes first");
        List<string> command =
        [
            .. Global(), "--platform=" + platform, "--network=none", "--overlay2=none", "--host-uds=" + (hasEgress ? "open" : "none"), "--host-fifo=none",
            .. cgroup is null ? Array.Empty<string>() : ["--ignore-cgroups"],
            .. isWatched ? ["--pod-init-config=" + Path.Combine(directory, "pod-init.json")] : Array.Empty<string>(),
            "create", "-bundle", directory, "-pid-file", Path.Combine(directory, "pid"), id,
        ];
        int status;
        try
        {
            SpawnedProcess started = spawner.Spawn(new SpawnRequest(command, stdio.Input, stdio.Output, stdio.Error, cgroup));
            await using (cancellationToken.UnsafeRegister(_ => Libc.KillPidfd(started.Pidfd), null))
            {
                // A thread of its own waits: pool threads are for those who have something to do.
                status = await Task.Factory.StartNew(
                    () =>
                    {
                        if (!Libc.HasEnded(started.Pidfd, (int)CommandDeadline.TotalMilliseconds))
                        {
                            Libc.KillPidfd(started.Pidfd);
                        }

                        return started.Reap();
                    }, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
            }

            _ = Libc.close(started.Pidfd);
        }
        catch (Win32Exception failed)
        {
            throw new SandboxRefusedException("runtime", $"{options.RunscPath} cannot be started: {failed.Message}", failed);
        }

        cancellationToken.ThrowIfCancellationRequested();
        if (status != 0)
        {
            throw new SandboxRefusedException("runtime", $"runsc could not create a sandbox (wait status {status})");
        }
    }

    /// <summary>Writes the state of a running sandbox to a directory, and ends it.</summary>
    public async Task CheckpointAsync(string id, string directory, CancellationToken cancellationToken)
    {
        ChildProcess child = Start([.. Global(), "checkpoint", "-image-path", directory, "-compression", "none", "-exclude-committed-zero-pages", id]);
        int code = await FinishAsync(child, cancellationToken);
        if (code != 0)
        {
            throw new ControlException("checkpoint", $"code {code}: {Bounded(child.Error.Text)}");
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

    private ChildProcess Start(IReadOnlyList<string> command)
    {
        try
        {
            return ChildProcess.Start(command, 64 * 1024, spawner: Spawner);
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
