namespace Rynxs.Sandbox.Limits;

/// <summary>Limits of a whole sandbox. Graceful ones act inside (rlimits, tmpfs sizes); a cgroup outside is the wall.</summary>
public sealed record SandboxLimits
{
    /// <summary>Memory of all processes in it, bytes; 16 MiB to 8 GiB, default 512 MiB. The cgroup holds this plus the runtime's own overhead.</summary>
    public long MemoryBytes { get; init; } = 512L * 1024 * 1024;

    /// <summary>CPUs, 0.01 to 64, default 1.</summary>
    public double Cpus { get; init; } = 1;

    /// <summary>Processes and threads inside (RLIMIT_NPROC), 1 to 1024, default 64.</summary>
    public int Pids { get; init; } = 64;

    /// <summary>Open files per process (RLIMIT_NOFILE), default 1024.</summary>
    public int OpenFiles { get; init; } = 1024;

    /// <summary>Size of <c>/tmp</c>, bytes, default 64 MiB. Counts as memory.</summary>
    public long TmpBytes { get; init; } = 64L * 1024 * 1024;

    /// <summary>Largest single file (RLIMIT_FSIZE), bytes, default 256 MiB.</summary>
    public long FileBytes { get; init; } = 256L * 1024 * 1024;
}
