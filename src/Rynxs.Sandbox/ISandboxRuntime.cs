using Rynxs.Ledger.Events;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Limits;
using Rynxs.Sandbox.Violations;

namespace Rynxs.Sandbox;

/// <summary>
/// One way to isolate code: gVisor on this host, a microVM, namespaces, or Pods of a cluster. Everything above this seam is the same.
/// </summary>
public interface ISandboxRuntime : IAsyncDisposable
{
    /// <summary>What runs, as reported in <c>runtime_used</c>: <c>gvisor</c>, <c>firecracker</c> or <c>namespaces</c>.</summary>
    string Name { get; }

    /// <summary>The runtimes that this one stands for, the default first: itself, unless it chooses between several.</summary>
    IReadOnlyList<ISandboxRuntime> Tiers => [this];

    /// <summary>Runs a real program in a real sandbox and says whether that worked. Never answers from a file's existence.</summary>
    Task<RuntimeProbe> ProbeAsync(CancellationToken cancellationToken);

    /// <summary>
    /// Brings up a sandbox. Every requested control is enforced and probed first; one that cannot be shown to work refuses the sandbox.
    /// </summary>
    /// <exception cref="SandboxRefusedException">A control cannot be enforced, or the host cannot run this runtime.</exception>
    Task<ISandbox> CreateAsync(SandboxSpec spec, CancellationToken cancellationToken);

    /// <summary>The sandboxes of this runtime that are alive now.</summary>
    IReadOnlyList<ISandbox> List();

    /// <summary>
    /// Ends what an earlier process of the same state directory left: processes, cgroups, mounts, sockets, bundles. Called once before
    /// the first <see cref="CreateAsync"/>.
    /// </summary>
    Task<SweepReport> SweepAsync(CancellationToken cancellationToken);

    /// <summary>Finds leftovers without touching anything; <c>doctor</c> shows them.</summary>
    Task<IReadOnlyList<Leftover>> FindLeftoversAsync(CancellationToken cancellationToken);
}

/// <summary>A running sandbox. Disposing it destroys it, kills every process in it and removes every trace on the host.</summary>
public interface ISandbox : IAsyncDisposable
{
    /// <summary>Unique, never reused.</summary>
    SandboxId Id { get; }

    /// <summary>Who it works for.</summary>
    SandboxOwner Owner { get; }

    /// <summary>The runtime that runs it.</summary>
    string Runtime { get; }

    /// <summary>The root filesystem really used.</summary>
    ImageDescriptor Image { get; }

    /// <summary>When it was ready.</summary>
    DateTimeOffset StartedAt { get; }

    /// <summary>How long it took from the request to ready.</summary>
    TimeSpan ColdStart { get; }

    /// <summary>How it came to be.</summary>
    SandboxStart Start { get; }

    /// <summary>Every control: requested, enforced by, probed, seen.</summary>
    IReadOnlyList<SandboxControl> Controls { get; }

    /// <summary>Cancelled when the sandbox has ended, for whatever reason.</summary>
    CancellationToken Ended { get; }

    /// <summary>
    /// Runs one program to its end. Programs of one sandbox run one at a time, so that limits and violations belong to one of them.
    /// A program that hits its deadline or a kill rule takes the sandbox with it; files in the workspace stay.
    /// </summary>
    /// <exception cref="SandboxStartException">The program never started (not found, sandbox gone).</exception>
    /// <exception cref="OperationCanceledException">Never: cancellation kills the program and is a <see cref="TerminationReason"/>.</exception>
    Task<ExecutionResult> ExecuteAsync(ExecutionRequest request, CancellationToken cancellationToken);

    /// <summary>What it uses now.</summary>
    SandboxMeasure Measure() => new(null, null, null, null);

    /// <summary>
    /// Connects to a port of the sandbox's own loopback interface, past the turns of its programs: two ends of one stream. Disposing it closes the connection.
    /// </summary>
    /// <exception cref="SandboxStartException">Nothing listens there, or the sandbox is gone.</exception>
    Task<Stream> ConnectAsync(int port, CancellationToken cancellationToken) =>
        throw new SandboxStartException($"the runtime {Runtime} cannot forward ports");

    /// <summary>Stops every process of it, between two programs: it uses no CPU until <see cref="ResumeAsync"/>. A program that is asked for meanwhile waits. Idempotent.</summary>
    /// <exception cref="SandboxStartException">The sandbox has ended.</exception>
    Task PauseAsync(CancellationToken cancellationToken);

    /// <summary>Undoes <see cref="PauseAsync"/>. Idempotent.</summary>
    Task ResumeAsync(CancellationToken cancellationToken);

    /// <summary>Starts a Python interpreter that keeps its state from one piece of a program to the next.</summary>
    /// <exception cref="SandboxStartException">It cannot be started: the sandbox is gone, or its runtime has no control socket that can be relied on.</exception>
    Task<ILiveInterpreter> OpenInterpreterAsync(CancellationToken cancellationToken);
}

/// <summary>A Python interpreter in a sandbox that keeps its state. It ends with its sandbox, when it is disposed, and when a program leaves processes behind (all are ended then).</summary>
public interface ILiveInterpreter : IAsyncDisposable
{
    /// <summary>
    /// Runs a piece of a program (<see cref="ExecutionRequest.PythonSource"/>; arguments, environment, directory and standard input are the interpreter's own and must be left out).
    /// Exit code 0, or 1 after an exception that nothing caught: then its traceback is on standard error, and the interpreter lives on. Takes its turn among the sandbox's programs, with
    /// their limits: a deadline or a kill rule ends the sandbox.
    /// </summary>
    /// <exception cref="SandboxStartException">The interpreter has ended.</exception>
    Task<ExecutionResult> RunAsync(ExecutionRequest request, CancellationToken cancellationToken);
}

/// <summary>Identity of a sandbox: <c>sb-</c> and 16 lowercase hexadecimal digits.</summary>
public readonly record struct SandboxId(string Value)
{
    /// <inheritdoc/>
    public override string ToString() => Value;
}

/// <summary>Namespace and name of the agent (or caller-given agent id) that a sandbox works for.</summary>
public readonly record struct SandboxOwner(string Namespace, string Name);

/// <summary>What to bring up.</summary>
public sealed record SandboxSpec
{
    public required SandboxOwner Owner { get; init; }

    /// <summary>The root filesystem, read-only inside.</summary>
    public required ImageDescriptor Image { get; init; }

    /// <summary>Host directory mounted read-write at <c>/workspace/files</c>; null gives a private tmpfs there.</summary>
    public string? WorkspaceDirectory { get; init; }

    /// <summary>Limit of the workspace in bytes.</summary>
    public long WorkspaceBytes { get; init; } = 1024L * 1024 * 1024;

    public SandboxLimits Limits { get; init; } = new();

    /// <summary>Which runtime, by its name; null for the default.</summary>
    public string? Runtime { get; init; }

    /// <summary>Who serves its way out; null for none: then nothing outside can be reached.</summary>
    public Egress.ISandboxEgress? Egress { get; init; }

    /// <summary>
    /// Directories that programs may write, each <c>/tmp</c> or <c>/workspace/files</c> or below one of them; null gives both. What is not named there is read-only and empty.
    /// Not together with <see cref="WorkspaceDirectory"/>.
    /// </summary>
    public IReadOnlyList<string>? WritablePaths { get; init; }

    /// <summary>Whether a path may stand in <see cref="WritablePaths"/>: one of the two places or below, of plain names, at most 1024 characters.</summary>
    public static bool IsWritablePath(string path) => GVisor.WritableTree.IsPath(path);

    /// <summary>gVisor platform, <c>systrap</c> or <c>ptrace</c>; null for the runtime's default.</summary>
    public string? Platform { get; init; }

    /// <summary>One program runs in it, then it is destroyed: nothing is prepared for a second one.</summary>
    public bool SingleUse { get; init; }
}

/// <summary>How a sandbox came to be.</summary>
public enum SandboxStart
{
    /// <summary>Created and started by the command line of the runtime.</summary>
    Plain,

    /// <summary>Restored from a template's checkpoint when it was asked for: the pool was empty.</summary>
    Restored,

    /// <summary>Taken from the pool.</summary>
    Warm,
}

/// <summary>One program.</summary>
public sealed record ExecutionRequest
{
    /// <summary>Chosen by the caller; violations and records refer to it.</summary>
    public required string ExecutionId { get; init; }

    /// <summary>Program and arguments; no shell is involved unless it is named here. With <see cref="PythonSource"/>, the program's arguments only.</summary>
    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>
    /// A Python program in UTF-8, at most 16 MiB, in place of a program file. An interpreter that waits in the sandbox runs it where there is one, else a new one.
    /// </summary>
    public ReadOnlyMemory<byte>? PythonSource { get; init; }

    /// <summary>Added to the base environment (PATH, HOME, LANG); names of the base cannot be overridden when they start with <c>RYNXS_</c>.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>Working directory inside; default <c>/workspace/files</c>.</summary>
    public string WorkingDirectory { get; init; } = "/workspace/files";

    /// <summary>Given on standard input, then end of file.</summary>
    public ReadOnlyMemory<byte> StandardInput { get; init; }

    /// <summary>Deadline from the start of the program, 1 ms to 600 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Cap of stdout and of stderr, each, in bytes. What is beyond is dropped and flagged.</summary>
    public int OutputBytes { get; init; } = 1024 * 1024;

    /// <summary>Live input, terminal and signals, in place of <see cref="StandardInput"/> and <see cref="OnOutput"/>; null for none. The timeout may be up to a day with it.</summary>
    public ProgramInteraction? Interaction { get; init; }

    /// <summary>Called with each chunk as it arrives, within the cap; null when nobody listens. Must not block.</summary>
    public Action<OutputChunk>? OnOutput { get; init; }
}

/// <summary>A piece of output.</summary>
public readonly record struct OutputChunk(bool IsError, ReadOnlyMemory<byte> Data);

/// <summary>How a program ended.</summary>
public sealed record ExecutionResult
{
    /// <summary>Exit code; 128 + signal when killed by one; null when it was ended with the sandbox.</summary>
    public required int? ExitCode { get; init; }
    public required TerminationReason Reason { get; init; }
    public required ReadOnlyMemory<byte> StandardOutput { get; init; }
    public required ReadOnlyMemory<byte> StandardError { get; init; }
    public required bool StandardOutputTruncated { get; init; }
    public required bool StandardErrorTruncated { get; init; }
    public required TimeSpan Duration { get; init; }

    /// <summary>
    /// From the call to the first instruction of the program: its interpreter said that it begins, or the sandbox's kernel had started it. Null when it was not seen.
    /// </summary>
    public TimeSpan? FirstInstruction { get; init; }

    /// <summary>What the program tried that a rule watches for, in order.</summary>
    public required IReadOnlyList<Violation> Violations { get; init; }
    public required ResourceUsage Usage { get; init; }

    /// <summary>How much of it the monitor saw; null where it never ran.</summary>
    public TraceSummary? Trace { get; init; }
}

/// <summary>Events of one program's trace session.</summary>
/// <param name="Events">Looked at.</param>
/// <param name="Dropped">Lost on the way; above 0 the violation <c>monitor_events_dropped</c> says so, too.</param>
public sealed record TraceSummary(long Events, long Dropped);

/// <summary>Measured use; null where this host cannot measure, never a made-up number.</summary>
public sealed record ResourceUsage(TimeSpan? Cpu, long? MemoryPeakBytes, long? ReadBytes, long? WrittenBytes);

/// <summary>What a sandbox uses; null where this host cannot measure.</summary>
/// <param name="Cpu">Since its start, its runtime included.</param>
/// <param name="MemoryBytes">Now, its runtime included.</param>
/// <param name="MemoryPeakBytes">Highest since the last program began.</param>
/// <param name="Tasks">Processes and threads on the host.</param>
public sealed record SandboxMeasure(TimeSpan? Cpu, long? MemoryBytes, long? MemoryPeakBytes, long? Tasks);

/// <summary>Why a program ended. Wire names are snake_case.</summary>
public enum TerminationReason
{
    /// <summary>Exit code 0.</summary>
    Completed,

    /// <summary>Any other exit code, or a signal of its own making.</summary>
    NonzeroExit,
    Timeout,

    /// <summary>The kernel's OOM killer acted in the sandbox's cgroup.</summary>
    OomKilled,

    /// <summary>It wrote more than the output limit and was stopped.</summary>
    OutputLimit,

    /// <summary>It failed after being refused a process.</summary>
    PidsLimit,

    /// <summary>It failed after filling its disk.</summary>
    DiskLimit,

    /// <summary>A rule with the action kill matched.</summary>
    SecurityViolation,
    Cancelled,
}

/// <summary>A real run's answer.</summary>
public sealed record RuntimeProbe(bool Available, string Version, string Detail);

/// <summary>What a sweep ended.</summary>
public sealed record SweepReport(IReadOnlyList<Leftover> Removed, IReadOnlyList<Leftover> Failed);

/// <summary>Something left on the host.</summary>
/// <param name="Kind"><c>process</c>, <c>cgroup</c>, <c>mount</c>, <c>directory</c>, <c>socket</c>.</param>
/// <param name="Name">Path or pid.</param>
public sealed record Leftover(string Kind, string Name);

/// <summary>A sandbox was refused. The message names the control and the reason, and may be shown to the caller.</summary>
public sealed class SandboxRefusedException(string control, string message, Exception? innerException = null) : Exception(message, innerException)
{
    /// <summary>Which control, or <c>runtime</c>.</summary>
    public string Control { get; } = control;
}

/// <summary>A program never started. The message may be shown to the caller.</summary>
public sealed class SandboxStartException(string message, Exception? innerException = null) : Exception(message, innerException);
