using System.ComponentModel;

namespace Rynxs.Sandbox.Files;

/// <summary>The one place where an error number becomes a code.</summary>
internal static class FileAccessErrors
{
    public static FileAccessException From(int error, string path)
    {
        (string code, string message) = error switch
        {
            Errno.NotFound => ("not_found", $"'{path}' does not exist"),
            Errno.NotDirectory => ("not_a_directory", $"a part of '{path}' is not a directory"),
            Errno.IsDirectory or Errno.NoDeviceOrAddress => ("not_a_file", $"'{path}' is not a regular file"),
            Errno.CrossDevice => ("outside_workspace", $"'{path}' leads out of the workspace"),
            Errno.Loop => ("symlink", $"'{path}' goes through a symbolic link that is refused here"),
            Errno.NoSpace or Errno.Quota or Errno.TooLargeFile => ("quota_exceeded", $"'{path}': no space left in the workspace"),
            Errno.NameTooLong => ("invalid_path", $"'{path}': a name is too long"),
            Errno.NotPermitted or Errno.Access or Errno.ReadOnlyFileSystem => ("permission", $"'{path}': permission denied"),
            Errno.NotEmpty => ("not_empty", $"'{path}' is a directory that is not empty"),
            Errno.Again or Errno.Interrupted or Errno.Exists => ("conflict", $"'{path}' changed while it was looked up; try again"),
            Errno.NotImplemented => ("io_error", "this kernel has no openat2 (Linux 5.6); file tools are refused without it"),
            _ => ("io_error", $"'{path}': {new Win32Exception(error).Message}"),
        };
        return new FileAccessException(code, message, new Win32Exception(error));
    }
}
