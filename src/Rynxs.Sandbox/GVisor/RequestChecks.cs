using System.Text;

namespace Rynxs.Sandbox.GVisor;

/// <summary>Refuses what a caller must not ask for, before anything happens. Each message names the field.</summary>
internal static class RequestChecks
{
    private const int MaxArguments = 4096;
    private const int MaxArgumentBytes = 128 * 1024;
    private const int MaxTotalBytes = 1024 * 1024;
    private const int MaxInputBytes = 64 * 1024 * 1024;
    private const int MaxSourceBytes = 16 * 1024 * 1024;
    private const int MaxOutputBytes = 64 * 1024 * 1024;

    public static void Check(ExecutionRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        Require(request.ExecutionId is { Length: > 0 and <= 128 }, "executionId must have 1 to 128 characters");
        int fewest = request.PythonSource is null ? 1 : 0;
        ArgumentNullException.ThrowIfNull(request.Arguments);
        Require(request.Arguments.Count >= fewest && request.Arguments.Count <= MaxArguments, $"arguments must hold {fewest} to {MaxArguments} strings");
        Require(request.PythonSource is not null || request.Arguments[0].Length > 0, "arguments[0] names the program and must not be empty");
        Require(request.PythonSource is not { Length: > MaxSourceBytes }, $"pythonSource must not exceed {MaxSourceBytes} bytes");
        long total = 0;
        for (int i = 0; i < request.Arguments.Count; i++)
        {
            total += Text(request.Arguments[i], $"arguments[{i}]");
        }

        foreach ((string name, string value) in request.Environment)
        {
            Require(IsName(name), $"environment name '{Violations.ViolationDetector.Sanitise(name)}' must be letters, digits and '_', not begin with a digit, at most 256 characters");
            Require(!name.StartsWith("RYNXS_", StringComparison.Ordinal), $"environment name '{name}' is reserved");
            total += name.Length + Text(value, $"environment[{name}]");
        }

        Require(total <= MaxTotalBytes, $"arguments and environment together must not exceed {MaxTotalBytes} bytes");
        Text(request.WorkingDirectory, "workingDirectory");
        Require(request.WorkingDirectory.StartsWith('/') && request.WorkingDirectory.Length <= 4096, "workingDirectory must be an absolute path of at most 4096 characters");
        Require(request.StandardInput.Length <= MaxInputBytes, $"standardInput must not exceed {MaxInputBytes} bytes");
        TimeSpan longest = request.Interaction is null ? TimeSpan.FromSeconds(600) : TimeSpan.FromDays(1);
        Require(request.Timeout >= TimeSpan.FromMilliseconds(1) && request.Timeout <= longest, $"timeout must be 1 ms to {longest.TotalSeconds} s");
        if (request.Interaction is { } interaction)
        {
            Require(request.PythonSource is null && request.StandardInput.IsEmpty && request.OnOutput is null, "interaction takes the place of pythonSource, standardInput and onOutput");
            Require(interaction.Terminal is not { } size || (size.Rows is >= 1 and <= 1000 && size.Columns is >= 1 and <= 1000), "terminal rows and columns must be 1 to 1000");
        }

        Require(request.OutputBytes is >= 0 and <= MaxOutputBytes, $"outputBytes must be 0 to {MaxOutputBytes}");
    }

    public static void Check(SandboxSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        const long mebibyte = 1024 * 1024;
        Require(spec.Limits.MemoryBytes is >= 16 * mebibyte and <= 8192 * mebibyte, "limits.memoryBytes must be 16 MiB to 8 GiB");
        Require(spec.Limits.Cpus is >= 0.01 and <= 64, "limits.cpus must be 0.01 to 64");
        Require(spec.Limits.Pids is >= 1 and <= 1024, "limits.pids must be 1 to 1024");
        Require(spec.Limits.OpenFiles is >= 16 and <= 65536, "limits.openFiles must be 16 to 65536");
        Require(spec.Limits.TmpBytes is >= mebibyte and <= 8192 * mebibyte, "limits.tmpBytes must be 1 MiB to 8 GiB");
        Require(spec.Limits.FileBytes is >= 1 and <= 1024 * 1024 * mebibyte, "limits.fileBytes must be 1 byte to 1 TiB");
        Require(spec.WorkspaceBytes is >= mebibyte and <= 1024 * 1024 * mebibyte, "workspaceBytes must be 1 MiB to 1 TiB");
        Require(spec.Platform is null or "systrap" or "ptrace", "platform must be systrap or ptrace");
        if (spec.WritablePaths is { } writable)
        {
            Require(spec.WorkspaceDirectory is null, "writablePaths cannot be given with a workspaceDirectory");
            Require(writable.Count is >= 1 and <= WritableTree.MaxPaths && writable.All(WritableTree.IsPath), $"writablePaths must be 1 to {WritableTree.MaxPaths} plain paths of /tmp or /workspace/files or below");
        }

        if (spec.WorkspaceDirectory is { } directory)
        {
            Require(Path.IsPathFullyQualified(directory), "workspaceDirectory must be an absolute path");
            // A link could be swapped to another agent's directory between this check and the mount.
            Require(Directory.Exists(directory) && new DirectoryInfo(directory).LinkTarget is null, $"workspaceDirectory {directory} must be an existing directory, not a symbolic link");
        }
    }

    private static int Text(string value, string field)
    {
        Require(value is not null && !value.Contains('\0'), $"{field} must not contain NUL");
        int bytes = Encoding.UTF8.GetByteCount(value!);
        Require(bytes <= MaxArgumentBytes, $"{field} must not exceed {MaxArgumentBytes} bytes");
        return bytes;
    }

    private static bool IsName(string name) =>
        name.Length is > 0 and <= 256 && !char.IsAsciiDigit(name[0]) && name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_');

    private static void Require(bool holds, string message)
    {
        if (!holds)
        {
            throw new ArgumentException(message);
        }
    }
}
