using System.Collections.Concurrent;
using System.Text;
using Rynxs.Sandbox;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution.Sessions;

/// <summary>The processes of one session: each an execution, so policy, audit, limits, violations and cancelling are those of executions.</summary>
internal sealed class SessionProcesses(SandboxSession session, SandboxSessions sessions, ExecutionJobs jobs, TimeProvider time)
{
    /// <summary>Ended ones that are remembered with their output.</summary>
    private const int MaxEnded = 32;

    /// <summary>Processes that run or wait for their turn.</summary>
    private const int MaxLive = 32;
    private const int OutputBytes = 1024 * 1024;
    private const int KeptOutputBytes = 64 * 1024;
    private readonly ConcurrentDictionary<string, SessionProcess> _processes = new(StringComparer.Ordinal);

    public IReadOnlyList<SessionProcess> List() => [.. _processes.Values.OrderBy(process => process.Created)];

    /// <exception cref="ProblemException">404.</exception>
    public SessionProcess Require(string id) => _processes.TryGetValue(id, out SessionProcess? process) ? process : throw new ProblemException(Problem.NotFound("Process"));

    /// <summary>Starts one; it takes its turn among the session's programs.</summary>
    /// <exception cref="ProblemException">429 when there are too many.</exception>
    public async Task<SessionProcess> StartAsync(ProcessRequest asked, ExecutionOrder order, CancellationToken cancellationToken)
    {
        if (_processes.Values.Count(process => !process.HasEnded) >= MaxLive)
        {
            throw new ProblemException(new Problem(StatusCodes.Status429TooManyRequests, "too_many_processes", $"{MaxLive} processes of this session run or wait."));
        }

        var output = new OutputLog(OutputBytes);
        string id = "";
        var named = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        var interaction = new ProgramInteraction
        {
            Terminal = asked.Terminal is { } size ? new TerminalSize(size.Rows, size.Columns) : null,
            OnOutput = chunk =>
            {
                output.Write(id, chunk.IsError, chunk.Data);
                session.Log.Write(id, chunk.IsError, chunk.Data);
            },
        };
        if (asked.Stdin is { Length: > 0 } input)
        {
            _ = await interaction.WriteAsync(Encoding.UTF8.GetBytes(input), cancellationToken);
        }

        if (asked.CloseStdin)
        {
            interaction.CloseInput();
        }

        SessionProcess? process = null;
        OrderAnswer accepted = await jobs.RunAsync(
            order,
            async (executionId, running, token) =>
            {
                id = await named.Task;
                ExecuteResponse? response = null;
                try
                {
                    response = await sessions.ExecuteAsync(session, order, Run, executionId, running, token);
                    return response;
                }
                finally
                {
                    interaction.End();
                    process?.End(response);
                    Forget();
                }
            },
            isAsynchronous: true,
            cancellationToken);
        process = new SessionProcess(accepted.ExecutionId, asked, interaction, output, time.GetUtcNow());
        _processes[process.ExecutionId] = process;
        named.SetResult(accepted.ExecutionId);
        return process;

        Task<ExecutionResult> Run(ExecutionRequest built, CancellationToken token) => session.Sandbox.ExecuteAsync(
            new ExecutionRequest
            {
                ExecutionId = built.ExecutionId,
                Arguments = asked.Argv,
                Environment = built.Environment,
                WorkingDirectory = asked.Cwd,
                Timeout = TimeSpan.FromSeconds(asked.TimeoutSeconds),
                OutputBytes = KeptOutputBytes,
                Interaction = interaction,
            },
            token);
    }

    /// <summary>What policy and records see of a process: the command line that a shell would need for it.</summary>
    public static ExecuteRequest AsRequest(ProcessRequest asked, string agentId) => new()
    {
        AgentId = agentId,
        Code = string.Join(' ', asked.Argv.Select(Quote)),
        Language = CodeLanguage.Bash,
        Environment = asked.Env ?? new Dictionary<string, string>(),
        TimeoutSeconds = Math.Min(asked.TimeoutSeconds, 600),
        IsAsynchronous = true,
    };

    private static string Quote(string argument) =>
        argument.Length > 0 && argument.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/' or '=' or ':' or ',' or '+')
            ? argument
            : "'" + argument.Replace("'", "'\\''", StringComparison.Ordinal) + "'";

    private void Forget()
    {
        SessionProcess[] ended = [.. _processes.Values.Where(process => process.HasEnded).OrderBy(process => process.Created)];
        foreach (SessionProcess oldest in ended.SkipLast(MaxEnded))
        {
            _processes.TryRemove(oldest.ExecutionId, out _);
            oldest.Interaction.Dispose();
        }
    }
}
