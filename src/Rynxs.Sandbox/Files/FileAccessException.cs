namespace Rynxs.Sandbox.Files;

/// <summary>A file tool refused or failed. The message names the path as given and may be shown to the caller.</summary>
/// <remarks><see cref="Code"/> is one of
/// <c>not_found</c>, <c>not_a_file</c>, <c>not_a_directory</c>, <c>outside_workspace</c>, <c>symlink</c>, <c>too_large</c>,
/// <c>quota_exceeded</c>, <c>invalid_path</c>, <c>permission</c>, <c>not_empty</c>, <c>conflict</c>, <c>invalid_pattern</c> or <c>io_error</c>.
/// </remarks>
public sealed class FileAccessException(string code, string message, Exception? innerException = null) : Exception(message, innerException)
{
    public string Code { get; } = code;
}
