using System.ComponentModel;
using Rynxs.Sandbox.Cgroups;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Seccomp;
using Rynxs.Sandbox.Spawning;

namespace Rynxs.Sandbox.Namespaces;

/// <summary>
/// Starts one confined program, from a thread of its own that first enters the sandbox's cgroup and puts the asking half of the filter on itself: the child is born with both, and no instruction of it
/// is unaccounted or unwatched. The thread stays until the child has ended, because the child dies with it: so nothing survives a killed server.
/// </summary>
/// <remarks>Thread and supervisor share a process, so the kernel's listener needs no socket to travel over.</remarks>
internal sealed unsafe class ConfinedSpawner : ISpawner
{
    private const int PrSetNoNewPrivileges = 38, SetModeFilter = 1;
    private const long NewListener = 8;
    private readonly SeccompArchitecture _architecture;
    private readonly SandboxCgroup _cgroup;
    private readonly (int Ours, int Theirs)[] _descriptors;
    private readonly TaskCompletionSource<SpawnedProcess> _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private SpawnRequest? _request;
    private readonly Action<int> _onListener;

    /// <param name="architecture">Of this machine.</param>
    /// <param name="cgroup">Made and limited already.</param>
    /// <param name="onListener">Takes the kernel's listener, before anything is started; owns it from then on.</param>
    /// <param name="descriptors">Further descriptors for the child.</param>
    public ConfinedSpawner(SeccompArchitecture architecture, SandboxCgroup cgroup, Action<int> onListener, params (int Ours, int Theirs)[] descriptors)
    {
        _architecture = architecture;
        _cgroup = cgroup;
        _onListener = onListener;
        _descriptors = descriptors;
    }

    public string Description => "a thread for each program";

    /// <summary>Completes when the thread has gone, after the child; the cgroup can be removed then.</summary>
    public Task Ended => _request is null ? Task.CompletedTask : _ended.Task;

    public SpawnedProcess Spawn(SpawnRequest request)
    {
        _request = request;
        new Thread(Run, 256 * 1024) { IsBackground = true, Name = "confined" }.Start();
        return _started.Task.GetAwaiter().GetResult(); // the thread answers at once, also when it cannot start anything
    }

    public void Prepare(string cgroup)
    {
    }

    public void Release(string cgroup)
    {
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private void Run()
    {
        int held = -1;
        try
        {
            SpawnRequest request = _request ?? throw new InvalidOperationException("the thread starts with a request");
            if (!SandboxCgroup.IsV2)
            {
                _cgroup.EnterThisThread();
            }

            _onListener(Listen());
            int pid = PosixSpawn.Start(request.Arguments, Environment(), request.Input, request.Output, request.Error, wideTable: false, _descriptors);
            int pidfd = PosixSpawn.Hold(pid);
            const int duplicateCloseOnExec = 1030;
            held = Libc.fcntl(pidfd, duplicateCloseOnExec, 0);
            _started.SetResult(new SpawnedProcess(pid, pidfd, () => PosixSpawn.Reap(pid)));
            if (!SandboxCgroup.IsV2)
            {
                SandboxCgroup.LeaveCpuWithThisThread();
            }
        }
        catch (Exception failed) when (failed is IOException or UnauthorizedAccessException or Win32Exception)
        {
            _started.TrySetException(failed as Win32Exception ?? new Win32Exception(failed.Message));
        }
        finally
        {
            if (held >= 0)
            {
                while (!Libc.HasEnded(held, -1))
                {
                    // A signal interrupted the wait.
                }

                _ = Libc.close(held);
            }

            _ended.SetResult();
        }
    }

    /// <summary>Nothing of the server's own environment goes along: a process's environment can be read by every process of its user.</summary>
    private static IReadOnlyList<string> Environment() => ["PATH=" + System.Environment.GetEnvironmentVariable("PATH")];

    private int Listen()
    {
        byte[] filter = SeccompFilter.Make(_architecture, FilterPart.Asked).ToBytes();
        long seccomp = SeccompFilter.MarkersOf(_architecture).Seccomp;
        byte* header = stackalloc byte[16]; // u16 length, padding, pointer
        fixed (byte* instructions = filter)
        {
            *(ulong*)header = (ulong)(filter.Length / BpfProgram.InstructionBytes);
            *(byte**)(header + 8) = instructions;
            if (Libc.prctl(PrSetNoNewPrivileges, 1, 0, 0, 0) != 0)
            {
                throw Libc.LastError("prctl(PR_SET_NO_NEW_PRIVS)");
            }

            long listener = Libc.syscall(seccomp, SetModeFilter, NewListener, (long)header, 0);
            return listener >= 0 ? (int)listener : throw Libc.LastError("seccomp with a listener (Linux 5.5 or later, and no supervisor above us)");
        }
    }
}
