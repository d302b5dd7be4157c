namespace Rynxs.Sandbox.Spawning;

/// <summary>
/// Starts processes from threads of this process, where no spawner child is configured. A slot that is stopped when this process is killed
/// stays until the next sweep: only the child (<see cref="SpawnerProcess"/>) outlives us long enough to remove it.
/// </summary>
internal sealed class LocalSpawner : ISpawner
{
    private readonly SpawnLanes _lanes = new(request =>
        PosixSpawn.Start(request.Arguments, SpawnLanes.Environment, request.Input, request.Output, request.Error, wideTable: true));

    public string Description => "threads of this process" + (_lanes.IsFiltered ? ", membarrier filter" : ", no filter: starts are slower");

    public SpawnedProcess Spawn(SpawnRequest request)
    {
        int pid = _lanes.Start(request);
        return new SpawnedProcess(pid, PosixSpawn.Hold(pid), () => PosixSpawn.Reap(pid));
    }

    public void Prepare(string cgroup) => _lanes.Prepare(cgroup);

    public void Release(string cgroup) => _lanes.Release(cgroup);

    public ValueTask DisposeAsync()
    {
        _lanes.Dispose();
        return ValueTask.CompletedTask;
    }
}
