using System.Runtime.InteropServices;

namespace Rynxs.Server.State;

/// <summary>chown(2), which .NET does not have.</summary>
internal static partial class Ownership
{
    /// <summary>Changes owner and group of a path; a symbolic link itself, never its target.</summary>
    /// <exception cref="IOException">The system refused.</exception>
    public static void Change(string path, int user, int group)
    {
        if (lchown(path, user, group) != 0)
        {
            throw new IOException($"chown {user}:{group} '{path}': {Marshal.GetLastPInvokeErrorMessage()}");
        }
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int lchown(string path, int owner, int group);
}
