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

        string? reason = answer.Text("termination_reason");
        if (answer.Integer("exit_code") is { } exitCode)
        {
            return (int)(exitCode & 0xff);
        }

        screen.Note($"rynxs: the program was stopped: {reason}");
        return reason == "timeout" ? ExitCodes.ProgramTimeout : ExitCodes.ProgramKilled;
    }
}
