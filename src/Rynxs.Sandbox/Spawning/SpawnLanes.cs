using System.Collections;
using System.Collections.Concurrent;
using System.ComponentModel;
using System.Globalization;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Spawning;

/// <summary>
/// The threads that start processes. Each has the <see cref="SpawnFilter"/>. One serves for all that needs no cgroup; each cgroup gets a
/// thread of its own that is put there first, so that its child is born there and no instruction of it is ever unaccounted, and that ends with its one start.
/// </summary>
internal sealed class SpawnLanes : IDisposable
{
    private const long SysGetTid = 186, SysGetTidArm = 178;
    private static readonly string[] Controllers = ["memory", "cpu", "cpuacct", "pids"];
    private readonly Func<SpawnRequest, int> _start;
    private readonly Lane _common;
    private readonly ConcurrentDictionary<string, Lane> _prepared = new(StringComparer.Ordinal);

    /// <param name="start">Starts the process on the thread that calls it.</param>
    public SpawnLanes(Func<SpawnRequest, int> start)
    {
        _start = start;
        _common = new Lane(null, start);
    }

    /// <summary>Our environment, as children get it.</summary>
    public static IReadOnlyList<string> Environment { get; } =
        [.. System.Environment.GetEnvironmentVariables().Cast<DictionaryEntry>().Select(entry => $"{entry.Key}={entry.Value}")];

    /// <summary>Whether the host allowed the filter.</summary>
    public bool IsFiltered => _common.IsFiltered;

    public void Prepare(string cgroup)
    {
        var lane = new Lane(cgroup, _start);
        if (!_prepared.TryAdd(cgroup, lane))
        {
            lane.Dispose();
        }
    }

    public void Release(string cgroup)
    {
        if (_prepared.TryRemove(cgroup, out Lane? lane))
        {
            lane.Dispose();
        }
    }

    /// <exception cref="Win32Exception">It cannot be started.</exception>
    public int Start(SpawnRequest request)
    {
        if (request.Cgroup is null)
        {
            return _common.Start(request);
        }

        Prepare(request.Cgroup);
        Lane lane = _prepared.TryRemove(request.Cgroup, out Lane? prepared) ? prepared : throw new InvalidOperationException("one start per cgroup at a time");
        try
        {
            return lane.Start(request);
        }
        finally
        {
            lane.Dispose();
        }
    }

    public void Dispose()
    {
        foreach (string cgroup in _prepared.Keys)
        {
            Release(cgroup);
        }

        _common.Dispose();
    }

    private static void Enter(string cgroup)
    {
        long number = System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.Arm64 ? SysGetTidArm : SysGetTid;
        string thread = Libc.syscall(number, 0, 0, 0, 0).ToString(CultureInfo.InvariantCulture);
        foreach (string controller in Controllers)
        {
            File.WriteAllText($"/sys/fs/cgroup/{controller}{cgroup}/tasks", thread);
        }
    }

    private sealed class Lane : IDisposable
    {
        private readonly BlockingCollection<(SpawnRequest Request, TaskCompletionSource<int> Pid)> _requests = [];
        private readonly TaskCompletionSource<bool> _filtered = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Lane(string? cgroup, Func<SpawnRequest, int> start)
        {
            new Thread(() => Run(cgroup, start), 512 * 1024) { IsBackground = true, Name = "spawn" }.Start();
        }

        /// <summary>Known once the thread runs.</summary>
        public bool IsFiltered => _filtered.Task.GetAwaiter().GetResult();

        public int Start(SpawnRequest request)
        {
            var pid = new TaskCompletionSource<int>(TaskCreationOptions.RunContinuationsAsynchronously);
            _requests.Add((request, pid));
            return pid.Task.GetAwaiter().GetResult(); // the thread answers at once, also when it cannot start anything
        }

        public void Dispose()
        {
            if (!_requests.IsAddingCompleted)
            {
                _requests.CompleteAdding();
            }
        }

        private void Run(string? cgroup, Func<SpawnRequest, int> start)
        {
            Exception? refused = null;
            _filtered.SetResult(SpawnFilter.TryInstall());
            try
            {
                if (cgroup is not null)
                {
                    Enter(cgroup);
                }
            }
            catch (Exception failed) when (failed is IOException or UnauthorizedAccessException)
            {
                refused = new Win32Exception($"cgroup {cgroup} cannot be entered: {failed.Message}");
            }

            foreach ((SpawnRequest request, TaskCompletionSource<int> pid) in _requests.GetConsumingEnumerable())
            {
                try
                {
                    pid.SetResult(refused is null ? start(request) : throw refused);
                }
                catch (Exception failed)
                {
                    // The top of this thread: whoever asked learns it.
                    pid.SetException(failed);
                }
            }
        }
    }
}
