using System.Text.Json;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.SandboxCode;

/// <summary>Shows how a program in a sandbox ended, and gives its exit code.</summary>
internal static class ProgramOutcome
{
    public static int Show(JsonElement answer, Screen screen)
    {
        screen.Text(answer.Text("stdout") ?? "");
        screen.ErrorText(answer.Text("stderr") ?? "");
        foreach (string stream in (string[])["stdout", "stderr"])
        {
            if (answer.IsTrue(stream + "_truncated"))
            {
                screen.Note($"rynxs: {stream} was cut at the output limit.");
            }
        }

        foreach (JsonElement violation in answer.Items("security_violations"))
        {
            screen.Note($"rynxs: violation {violation.Text("violation_type")} ({violation.Text("severity")}"
                + $"{(violation.IsTrue("blocked") ? ", blocked" : "")}): {violation.Text("description")}");
        }

        if (answer.Integer("exit_code") is null)
        {
            screen.Note($"rynxs: the program was stopped: {answer.Text("termination_reason")}");
        }

        return ExitCode(answer);
    }

    /// <summary>The program's own, else what stands for how it was stopped.</summary>
    public static int ExitCode(JsonElement answer)
    {
        if (answer.Integer("exit_code") is { } exitCode)
        {
            return (int)(exitCode & 0xff);
        }

        return answer.Text("termination_reason") == "timeout" ? ExitCodes.ProgramTimeout : ExitCodes.ProgramKilled;
    }
}
