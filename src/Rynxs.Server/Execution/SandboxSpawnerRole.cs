using System.Reflection;
using Rynxs.Sandbox.Spawning;

namespace Rynxs.Server.Execution;

/// <summary>The role in which our own executable starts every sandbox process (<see cref="SandboxSpawner"/>). Its main method asks for it before anything else.</summary>
public static class SandboxSpawnerRole
{
    private const string Executable = "rynxs";

    /// <summary>Runs the role when the arguments name it, and returns its exit code; null otherwise.</summary>
    public static int? TryRun(string[] args) => SandboxSpawner.TryRun(args);

    /// <summary>Null where the server runs in another program, which does not have the role: sandboxes are started from its own threads then.</summary>
    internal static IReadOnlyList<string>? CommandOfThisProgram() =>
        Assembly.GetEntryAssembly()?.GetName().Name == Executable && Environment.ProcessPath is { } path && Path.GetFileName(path) == Executable
            ? SandboxSpawner.CommandOf(path)
            : null;
}
