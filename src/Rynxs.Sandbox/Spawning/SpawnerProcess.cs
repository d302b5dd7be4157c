using System.Collections.Concurrent;
using System.ComponentModel;
using System.Globalization;
using System.Text.Json;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Spawning;

/// <summary>Our side of the spawner child (<see cref="SandboxSpawner"/>): starts it, sends it what to start, and tells when it has died.</summary>
/// <remarks>
/// Stopping: the connection is closed, the child ends what is left of this state and exits, and we wait for that, bounded. A child that dies
/// before is reported by <see cref="Died"/>; what it had started becomes our own children, because we are a subreaper, too.
/// </remarks>
internal sealed class SpawnerProcess : ISpawner
{
    private static readonly TimeSpan GreetingDeadline = TimeSpan.FromSeconds(20);
    private static readonly TimeSpan EndDeadline = TimeSpan.FromSeconds(10);
    private readonly PacketSocket _connection;
    private readonly ConcurrentDictionary<long, Started> _started = new();
    private readonly TaskCompletionSource<bool> _greeting = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _died = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly int _pidfd;
    private readonly Lock _sending = new();
    private long _lastId;
    private volatile bool _stopping;

    private SpawnerProcess(PacketSocket connection, int pid, int pidfd)
    {
        _connection = connection;
        Pid = pid;
        _pidfd = pidfd;
        new Thread(Read, 256 * 1024) { IsBackground = true, Name = "spawner" }.Start();
    }

    /// <summary>The child.</summary>
    public int Pid { get; }

    /// <summary>Completes when the child is gone although nobody stopped it.</summary>
    public Task Died => _died.Task;

    public string Description => string.Create(
        CultureInfo.InvariantCulture, $"process {Pid}, subreaper, {(_greeting.Task is { IsCompletedSuccessfully: true, Result: true } ? "membarrier filter" : "no filter: starts are slower")}");

    /// <summary>Starts the child.</summary>
    /// <param name="command">Our own program with the role's name.</param>
    /// <param name="arguments">See <see cref="SandboxSpawner"/>.</param>
    /// <exception cref="SandboxRefusedException">It cannot be started, or does not greet.</exception>
    public static SpawnerProcess Start(IReadOnlyList<string> command, IReadOnlyList<string> arguments)
    {
        (PacketSocket ours, PacketSocket theirs) = PacketSocket.NewPair();
        int nullFd = Libc.open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        try
        {
            int pid = PosixSpawn.Start([.. command, .. arguments], SpawnLanes.Environment, theirs.Number, nullFd, nullFd, wideTable: false);
            var spawner = new SpawnerProcess(ours, pid, PosixSpawn.Hold(pid));
            if (!spawner._greeting.Task.Wait(GreetingDeadline))
            {
                Libc.KillPidfd(spawner._pidfd);
                throw new SandboxRefusedException("runtime", $"The spawner {command[0]} did not greet in time.");
            }

            _ = spawner._greeting.Task.Result; // throws when it ended instead
            return spawner;
        }
        catch (Exception failed) when (failed is Win32Exception or AggregateException)
        {
            ours.Dispose();
            throw new SandboxRefusedException("runtime", $"The spawner {command[0]} cannot be started: {failed.GetBaseException().Message}", failed);
        }
        finally
        {
            theirs.Dispose();
            if (nullFd >= 0)
            {
                _ = Libc.close(nullFd);
            }
        }
    }

    public SpawnedProcess Spawn(SpawnRequest request)
    {
        long id = Interlocked.Increment(ref _lastId);
        var started = new Started();
        _started[id] = started;
        Send(new SpawnerRequest(id, "start", request.Arguments, request.Cgroup), [request.Input, request.Output, request.Error]);
        (int pid, int pidfd) = started.Running.Task.GetAwaiter().GetResult(); // the child answers in a fraction of a millisecond, or dies, which answers, too
        return new SpawnedProcess(pid, pidfd, () => started.Status.Task.GetAwaiter().GetResult());
    }

    public void Prepare(string cgroup) => Send(new SpawnerRequest(Interlocked.Increment(ref _lastId), "prepare", null, cgroup), []);

    public void Release(string cgroup)
    {
        try
        {
            Send(new SpawnerRequest(Interlocked.Increment(ref _lastId), "release", null, cgroup), []);
        }
        catch (Win32Exception)
        {
            // A dead spawner holds nothing.
        }
    }

    public async ValueTask DisposeAsync()
    {
        _stopping = true;
        _connection.Shutdown();
        bool ended = await Task.Run(() => Libc.HasEnded(_pidfd, (int)EndDeadline.TotalMilliseconds));
        if (!ended)
        {
            Libc.KillPidfd(_pidfd);
        }

        PosixSpawn.Reap(Pid);
        _ = Libc.close(_pidfd);
        _connection.Dispose();
    }

    private void Send(SpawnerRequest request, ReadOnlySpan<int> descriptors)
    {
        try
        {
            lock (_sending)
            {
                _connection.Send(JsonSerializer.SerializeToUtf8Bytes(request, SpawnerJson.Default.SpawnerRequest), descriptors);
            }
        }
        catch (IOException gone)
        {
            _started.TryRemove(request.Id, out _);
            throw new Win32Exception($"the spawner is gone: {gone.Message}");
        }
    }

    private void Read()
    {
        byte[] buffer = new byte[SpawnerJson.MaxPacketBytes];
        List<int> descriptors = [];
        string why = "it ended";
        try
        {
            while (_connection.Receive(buffer, descriptors) is var count and > 0)
            {
                SpawnerReply reply = JsonSerializer.Deserialize(buffer.AsSpan(0, count), SpawnerJson.Default.SpawnerReply) ?? throw new JsonException("null");
                Take(reply, descriptors);
                descriptors.Clear();
            }
        }
        catch (Exception broken) when (broken is JsonException or InvalidDataException)
        {
            why = broken.Message;
        }

        var gone = new Win32Exception("the spawner is gone: " + why);
        _greeting.TrySetException(gone);
        foreach (Started waiting in _started.Values)
        {
            waiting.Running.TrySetException(gone);
            waiting.Status.TrySetResult(Libc.SigKill); // Its parent is us now, and its end is seen by its pidfd; why it ended is lost.
        }

        if (!_stopping)
        {
            _died.TrySetResult();
        }
    }

    private void Take(SpawnerReply reply, List<int> descriptors)
    {
        if (reply.Filtered is { } filtered)
        {
            _greeting.TrySetResult(filtered);
        }

        if (!_started.TryGetValue(reply.Id, out Started? started))
        {
            descriptors.ForEach(descriptor => Libc.close(descriptor));
            return;
        }

        if (reply.Refused is { } refused)
        {
            _started.TryRemove(reply.Id, out _);
            started.Running.TrySetException(new Win32Exception(refused));
        }
        else if (reply.Pid is { } pid && descriptors is [var pidfd])
        {
            started.Running.TrySetResult((pid, pidfd));
        }
        else if (reply.Status is { } status)
        {
            _started.TryRemove(reply.Id, out _);
            started.Status.TrySetResult(status);
        }
    }

    private sealed class Started
    {
        public TaskCompletionSource<(int Pid, int Pidfd)> Running { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TaskCompletionSource<int> Status { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
