namespace Rynxs.Sandbox.Spawning;

/// <summary>What to start. The three descriptors stay the caller's; the child gets copies and no other descriptor of ours.</summary>
/// <param name="Arguments">The program (looked up in PATH) and its arguments.</param>
/// <param name="Input">Standard input.</param>
/// <param name="Output">Standard output.</param>
/// <param name="Error">Standard error.</param>
/// <param name="Cgroup">Cgroup (below each hierarchy) that it is born in; null for that of the spawner.</param>
/// <param name="Id">Known to the spawner only.</param>
internal sealed record SpawnRequest(IReadOnlyList<string> Arguments, int Input, int Output, int Error, string? Cgroup, long Id = 0);

/// <summary>A started process. Its number stays its own until <see cref="Reap"/>, or until the spawner reaped it and its pidfd says so.</summary>
/// <param name="Pid">Process id in this pid namespace.</param>
/// <param name="Pidfd">Owned by the receiver; readable once the process has ended.</param>
/// <param name="Reap">Wait status. To be called once, after the pidfd became readable; may wait a moment for the spawner's word.</param>
internal readonly record struct SpawnedProcess(int Pid, int Pidfd, Func<int> Reap);

/// <summary>Starts the runtime's processes: from threads of this process, or from a long-lived child that is the subreaper of all of them.</summary>
internal interface ISpawner : IAsyncDisposable
{
    /// <summary>What starts processes and how, in plain words for <c>doctor</c>.</summary>
    string Description { get; }

    /// <summary>Starts a process and waits (some tenths of a millisecond) until it runs.</summary>
    /// <exception cref="System.ComponentModel.Win32Exception">It cannot be started.</exception>
    SpawnedProcess Spawn(SpawnRequest request);

    /// <summary>
    /// Puts a thread into a cgroup ahead of time. The kernel may make the first move into a cgroup wait for all its CPUs (15 ms seen), a
    /// child born there waits for nothing.
    /// </summary>
    void Prepare(string cgroup);

    /// <summary>Gives up a prepared thread that was not used.</summary>
    void Release(string cgroup);
}
