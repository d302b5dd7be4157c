namespace Rynxs.Sandbox.Violations;

/// <summary>Who did it and when. Text is the guest's: one character per byte (Latin-1), neither checked nor escaped.</summary>
/// <param name="TimeNanoseconds">Unix time.</param>
/// <param name="ThreadId">In the sandbox's first PID namespace.</param>
/// <param name="ThreadGroupId">Process id, same namespace.</param>
/// <param name="ContainerId">runsc's container.</param>
/// <param name="ProcessName">Name of the program, at most 16 bytes.</param>
/// <param name="WorkingDirectory">Absolute path inside.</param>
internal sealed record TraceContext(
    long TimeNanoseconds,
    int ThreadId,
    int ThreadGroupId,
    string ContainerId,
    string ProcessName,
    string WorkingDirectory)
{
    public static readonly TraceContext None = new(0, 0, 0, "", "", "");
}

/// <summary>How a system call ended. 0 is success.</summary>
internal readonly record struct SystemCallExit(long Result, long ErrorNumber);

/// <summary>One message of a gVisor trace session. <c>Exit</c> is null for the entry of a system call.</summary>
internal abstract record TraceEvent(TraceContext Context)
{
    public sealed record ContainerStart(TraceContext Context, string Id, IReadOnlyList<string> Arguments) : TraceEvent(Context);

    public sealed record Cloned(TraceContext Context, int CreatedThreadId, int CreatedThreadGroupId) : TraceEvent(Context);

    public sealed record Executed(TraceContext Context, string BinaryPath, IReadOnlyList<string> Arguments) : TraceEvent(Context);

    public sealed record Exited(TraceContext Context, int Status) : TraceEvent(Context);

    public sealed record TaskExited(TraceContext Context, int Status) : TraceEvent(Context);

    public abstract record SystemCall(TraceContext Context, SystemCallExit? Exit, int Number) : TraceEvent(Context);

    public sealed record Raw(TraceContext Context, SystemCallExit? Exit, int Number, SystemCallArguments Arguments) : SystemCall(Context, Exit, Number);

    public sealed record Open(TraceContext Context, SystemCallExit? Exit, int Number, long Descriptor, string DescriptorPath, string Path, uint Flags)
        : SystemCall(Context, Exit, Number);

    public sealed record Connect(TraceContext Context, SystemCallExit? Exit, int Number, SocketTarget Target) : SystemCall(Context, Exit, Number);

    public sealed record Bind(TraceContext Context, SystemCallExit? Exit, int Number, SocketTarget Target) : SystemCall(Context, Exit, Number);

    public sealed record Execve(TraceContext Context, SystemCallExit? Exit, int Number, string Path, IReadOnlyList<string> Arguments)
        : SystemCall(Context, Exit, Number);

    public sealed record Socket(TraceContext Context, SystemCallExit? Exit, int Number, int Domain, int Type, int Protocol)
        : SystemCall(Context, Exit, Number);

    public sealed record Chroot(TraceContext Context, SystemCallExit? Exit, int Number, string Path) : SystemCall(Context, Exit, Number);

    /// <summary>clone, fork or vfork; flags are 0 for the latter two.</summary>
    public sealed record NewProcess(TraceContext Context, SystemCallExit? Exit, int Number, ulong Flags) : SystemCall(Context, Exit, Number);

    /// <summary>A message that this version does not interpret.</summary>
    public sealed record Unknown(TraceContext Context, ushort Type) : TraceEvent(Context);
}

/// <summary>Six registers.</summary>
internal readonly record struct SystemCallArguments(ulong First, ulong Second, ulong Third, ulong Fourth, ulong Fifth, ulong Sixth);

/// <summary>Where a socket was pointed to.</summary>
internal abstract record SocketTarget
{
    private SocketTarget()
    {
    }

    public sealed record Internet(System.Net.IPAddress Address, int Port) : SocketTarget;

    /// <param name="Path">As given; without the leading NUL when abstract.</param>
    /// <param name="IsAbstract">A name outside the file system.</param>
    public sealed record Local(string Path, bool IsAbstract) : SocketTarget;

    public sealed record Other(int Family) : SocketTarget;
}
