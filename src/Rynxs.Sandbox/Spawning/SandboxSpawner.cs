using System.ComponentModel;
using System.Text.Json;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Spawning;

/// <summary>
/// The role <c>sandbox-spawner</c>: a long-lived child that starts every runsc, is the subreaper of all of them and reaps whatever dies. When its
/// connection (standard input) ends, its owner is gone, however it went: it ends every sandbox of the state, removes what is left of them, and exits.
/// </summary>
public sealed class SandboxSpawner
{
    /// <summary>The role's name, the first argument of our executable.</summary>
    public const string Role = "sandbox-spawner";

    private const int LockExclusive = 2, LockNoWait = 4, WaitAll = 0, WaitExited = 4, NoWait = 0x01000000;
    private readonly PacketSocket _owner;
    private readonly GVisorOptions _options;
    private readonly SpawnLanes _lanes;
    private readonly Lock _gate = new();
    private readonly Dictionary<int, long> _children = [];
    private readonly SemaphoreSlim _hasChildren = new(0);

    private SandboxSpawner(PacketSocket owner, GVisorOptions options)
    {
        _owner = owner;
        _options = options;
        _lanes = new SpawnLanes(StartChild);
    }

    /// <summary>The command that starts this role of an executable whose main method calls <see cref="TryRun"/> first.</summary>
    public static IReadOnlyList<string> CommandOf(string executable) => [executable, Role];

    /// <summary>Runs the role when the arguments name it, and returns its exit code; null otherwise.</summary>
    public static int? TryRun(string[] args)
    {
        ArgumentNullException.ThrowIfNull(args);
        if (args is not [Role, var stateKey, var runRoot, var runsc])
        {
            return null;
        }

        var options = new GVisorOptions { StateKey = stateKey, RunRoot = runRoot, RunscPath = runsc };
        using var owner = new PacketSocket(0);
        return new SandboxSpawner(owner, options).Run();
    }

    /// <summary>Its arguments for a runtime.</summary>
    internal static IReadOnlyList<string> ArgumentsOf(GVisorOptions options) => [options.StateKey, options.RunRoot, options.RunscPath];

    /// <summary>The file that a spawner holds locked for as long as it lives: the next owner waits for it, so that a sweep never meets new sandboxes.</summary>
    internal static string LockPath(GVisorOptions options) => Path.Combine(options.RunDirectory, Sweep.SpawnerLockName);

    private int Run()
    {
        int file = Libc.open(LockPath(_options), Libc.O_RDWR | Libc.O_CREAT | Libc.O_CLOEXEC, 0x180 /* 0600 */);
        if (file < 0 || Libc.flock(file, LockExclusive | LockNoWait) != 0)
        {
            return 1;
        }

        Libc.BecomeChildSubreaper();
        new Thread(ReapAll, 256 * 1024) { IsBackground = true, Name = "reaper" }.Start();
        try
        {
            _owner.Send(JsonSerializer.SerializeToUtf8Bytes(new SpawnerReply(0, Filtered: _lanes.IsFiltered), SpawnerJson.Default.SpawnerReply), []);
            Serve();
        }
        catch (IOException)
        {
            // The owner is gone, which is what the rest is for.
        }

        _lanes.Dispose();
        SweepReport report = Sweep.RunAsync(_options, new RunscCommand(_options), new HashSet<string>(), CancellationToken.None).GetAwaiter().GetResult();
        RemoveRunDirectoryOfTheDead();
        RemoveNamespacesOfTheDead();
        return report.Failed.Count == 0 ? 0 : 1;
    }

    /// <summary>The owner's sandboxes of the other tier died with it; their mounts and cgroups did not.</summary>
    private void RemoveNamespacesOfTheDead()
    {
        var namespaces = new Namespaces.NamespacesOptions { StateKey = _options.StateKey, RunRoot = _options.RunRoot };
        if (Directory.Exists(namespaces.RunDirectory) && !RunDirectoryLock.IsHeldByAnother(namespaces.ForLock))
        {
            Namespaces.NamespacesSweep.RunAsync(namespaces, new HashSet<string>(), CancellationToken.None).GetAwaiter().GetResult();
            Namespaces.NamespacesSweep.RemoveEmptyRunDirectory(namespaces);
        }
    }

    private void Serve()
    {
        byte[] buffer = new byte[SpawnerJson.MaxPacketBytes];
        List<int> descriptors = [];
        while (_owner.Receive(buffer, descriptors) is var count and > 0)
        {
            SpawnerRequest request = JsonSerializer.Deserialize(buffer.AsSpan(0, count), SpawnerJson.Default.SpawnerRequest) ?? throw new JsonException("null");
            int[] theirs = [.. descriptors];
            descriptors.Clear();
            switch (request.Action)
            {
                case "prepare" when request.Cgroup is { } cgroup:
                    _lanes.Prepare(cgroup);
                    break;
                case "release" when request.Cgroup is { } cgroup:
                    _lanes.Release(cgroup);
                    break;
                case "start" when request.Arguments is { Count: > 0 } arguments && theirs is [var input, var output, var error]:
                    // A start waits for its exec; others need not wait for that. Each answers for itself.
                    ThreadPool.UnsafeQueueUserWorkItem(_ => Start(new SpawnRequest(arguments, input, output, error, request.Cgroup, request.Id), theirs), null);
                    continue;
            }

            CloseAll(theirs);
        }
    }

    private void Start(SpawnRequest request, int[] descriptors)
    {
        try
        {
            _lanes.Start(request);
        }
        catch (Win32Exception refused)
        {
            Reply(new SpawnerReply(request.Id, Refused: refused.Message), []);
        }
        finally
        {
            CloseAll(descriptors);
        }
    }

    /// <summary>
    /// On a lane's thread. Within the lock, so that a child that ends at once is reaped only when it is known whose it is, and its status is never sent
    /// before the owner knows that it runs: the owner would wait for the start of something that it has already seen end.
    /// </summary>
    private int StartChild(SpawnRequest request)
    {
        int pid;
        int pidfd;
        lock (_gate)
        {
            pid = PosixSpawn.Start(request.Arguments, SpawnLanes.Environment, request.Input, request.Output, request.Error, wideTable: true);
            pidfd = PosixSpawn.Hold(pid);
            _children[pid] = request.Id;
            Reply(new SpawnerReply(request.Id, Pid: pid), [pidfd]);
        }

        _hasChildren.Release();
        _ = Libc.close(pidfd);
        return pid;
    }

    /// <summary>Reaps children and orphans alike, at once: runsc waits seconds for a zombie.</summary>
    private unsafe void ReapAll()
    {
        byte* information = stackalloc byte[128];
        while (true)
        {
            if (Libc.waitid(WaitAll, 0, information, WaitExited | NoWait) != 0)
            {
                if (Libc.LastErrno == Libc.ECHILD)
                {
                    _hasChildren.Wait(TimeSpan.FromSeconds(1));
                }

                continue;
            }

            const int offsetOfPid = 16;
            int pid = *(int*)(information + offsetOfPid);
            long id;
            int status;
            lock (_gate)
            {
                status = PosixSpawn.Reap(pid);
                _children.Remove(pid, out id);
            }

            if (id != 0)
            {
                Reply(new SpawnerReply(id, Status: status), []);
            }
        }
    }

    private void Reply(SpawnerReply reply, ReadOnlySpan<int> descriptors)
    {
        try
        {
            _owner.Send(JsonSerializer.SerializeToUtf8Bytes(reply, SpawnerJson.Default.SpawnerReply), descriptors);
        }
        catch (IOException)
        {
            // The owner is gone; Serve notices and ends everything.
        }
    }

    /// <summary>The owner's lock is free only when it is dead: then its directory is ours to remove.</summary>
    private void RemoveRunDirectoryOfTheDead()
    {
        int file = Libc.open(Path.Combine(_options.RunDirectory, Sweep.LockName), Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        if (file >= 0 && Libc.flock(file, LockExclusive | LockNoWait) == 0)
        {
            Sweep.RemoveEmptyRunDirectory(_options, new RunscCommand(_options));
        }
    }

    private static void CloseAll(int[] descriptors)
    {
        foreach (int descriptor in descriptors)
        {
            _ = Libc.close(descriptor);
        }
    }
}
