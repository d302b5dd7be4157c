using Rynxs.Sandbox.Spawning;

namespace Rynxs.Server.Execution;

/// <summary>The role in which our own executable starts every sandbox process (<see cref="SandboxSpawner"/>). Its main method asks for it before anything else.</summary>
public static class SandboxSpawnerRole
{
    /// <summary>A fact about this program, known once its main method has asked.</summary>
    private static bool s_isPartOfThisProgram;

    /// <summary>Runs the role when the arguments name it, and returns its exit code; null otherwise.</summary>
    public static int? TryRun(string[] args)
    {
        s_isPartOfThisProgram = true;
        return SandboxSpawner.TryRun(args);
    }

    /// <summary>Null where the server runs in a program that does not have the role: sandboxes are started from its own threads then.</summary>
    internal static IReadOnlyList<string>? CommandOfThisProgram() =>
        s_isPartOfThisProgram && Environment.ProcessPath is { } path ? SandboxSpawner.CommandOf(path) : null;
}
