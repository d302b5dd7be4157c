using Rynxs.Sandbox;

namespace Rynxs.Server.Execution.Sessions;

/// <summary>A process that a caller speaks with while it runs; it is an execution of its session, under the same id.</summary>
internal sealed class SessionProcess(string executionId, ProcessRequest asked, ProgramInteraction interaction, OutputLog output, DateTimeOffset created)
{
    public string ExecutionId { get; } = executionId;

    public ProcessRequest Asked { get; } = asked;

    public ProgramInteraction Interaction { get; } = interaction;

    public OutputLog Output { get; } = output;

    public DateTimeOffset Created { get; } = created;

    /// <summary>How it ended; null while it runs or waits for its turn, or where it never started.</summary>
    public ExecuteResponse? Response { get; private set; }

    public bool HasEnded { get; private set; }

    public void End(ExecuteResponse? response)
    {
        Response = response;
        HasEnded = true;
        Output.End();
    }
}

/// <summary>A process to start.</summary>
/// <param name="Argv">Program and arguments; no shell is involved unless it is named here.</param>
/// <param name="Env">Added to the base environment.</param>
/// <param name="Cwd">Working directory.</param>
/// <param name="TimeoutSeconds">1 to 86400.</param>
/// <param name="Terminal">Gives it a terminal of this size; null: pipes.</param>
/// <param name="Stdin">First input.</param>
/// <param name="CloseStdin">No more input comes.</param>
internal sealed record ProcessRequest(
    IReadOnlyList<string> Argv, IReadOnlyDictionary<string, string>? Env = null, string Cwd = "/workspace/files", int TimeoutSeconds = 3600, TerminalRequest? Terminal = null,
    string? Stdin = null, bool CloseStdin = false);

/// <summary>Size of a terminal in characters, 1 to 1000.</summary>
internal sealed record TerminalRequest(int Rows, int Columns);

/// <summary>POST …/processes/ID/signal.</summary>
/// <param name="Signal">HUP, INT, QUIT, KILL, USR1, USR2, TERM, CONT, STOP, TSTP or WINCH.</param>
internal sealed record SignalRequest(string Signal);

/// <summary>A process as the API shows it.</summary>
internal sealed record ProcessView(
    string ProcessId, IReadOnlyList<string> Argv, string Cwd, bool HasTerminal, string State, DateTimeOffset CreatedAt, int? ExitCode, string? TerminationReason)
{
    public static ProcessView Of(SessionProcess process) => new(
        process.ExecutionId, process.Asked.Argv, process.Asked.Cwd, process.Asked.Terminal is not null, process.HasEnded ? "ended" : "running", process.Created,
        process.Response?.ExitCode, process.Response?.TerminationReason);
}

/// <summary>GET …/processes.</summary>
internal sealed record ProcessList(IReadOnlyList<ProcessView> Processes);

/// <summary>One event of a stream of output.</summary>
/// <param name="Number">Of the piece; <c>from</c> of a later request is this plus one. A jump says that pieces in between are gone.</param>
/// <param name="ExecutionId">Whose it is.</param>
/// <param name="Data">Base64.</param>
internal sealed record OutputEvent(long Number, string ExecutionId, ReadOnlyMemory<byte> Data);

/// <summary>The last event of a stream of output.</summary>
internal sealed record EndEvent(string ProcessId, int? ExitCode, string? TerminationReason);

/// <summary>What a session uses.</summary>
internal sealed record SessionMetricsView(
    string SessionId, double UptimeSeconds, double? CpuSeconds, double? MemoryMb, double? MemoryPeakMb, long? HostTasks, long? WorkspaceBytes, int Executions, int Processes);
