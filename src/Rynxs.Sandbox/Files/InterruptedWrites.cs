using System.Buffers;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Rynxs.Sandbox.Files;

/// <summary>The temporary files of writes, and what becomes of those that a killed process left.</summary>
internal static class InterruptedWrites
{
    private const int RandomDigits = 16;
    private static readonly SearchValues<byte> HexDigits = SearchValues.Create("0123456789abcdef"u8);

    /// <summary>When this process began; it never removes a file that it may be writing itself.</summary>
    private static readonly DateTimeOffset ProcessStart = StartOfProcess();

    /// <summary>A NUL-terminated name that no other write has.</summary>
    public static byte[] NewName() => Encoding.ASCII.GetBytes($".rynxs-{RandomNumberGenerator.GetHexString(RandomDigits, lowercase: true)}.tmp\0");

    /// <summary>
    /// Removes temporary files that are older than this process. A program may make files of that name, too; the name is ours, so they go with them.
    /// Bounded by the names of a workspace; what is not reached now is reached at the next start.
    /// </summary>
    public static void Sweep(SafeFileHandle root)
    {
        int looked = 0;
        // What cannot be walked stays: it takes space, and the workspace's limit counts it.
        _ = TreeWalk.Run(
            root,
            (SafeFileHandle directory, ReadOnlySpan<byte> name, in OpenAt2.FileStatus status) =>
            {
                if (IsOurs(name) && status.Kind == WorkspaceEntryKind.File && status.Modified < ProcessStart)
                {
                    _ = OpenAt2.Unlink(directory, name, asDirectory: false);
                }

                return ++looked <= WorkspaceUsage.MaxEntries;
            },
            CancellationToken.None);
    }

    private static bool IsOurs(ReadOnlySpan<byte> name)
    {
        ReadOnlySpan<byte> prefix = ".rynxs-"u8;
        ReadOnlySpan<byte> suffix = ".tmp\0"u8;
        return name.Length == prefix.Length + RandomDigits + suffix.Length && name.StartsWith(prefix) && name.EndsWith(suffix)
            && !name.Slice(prefix.Length, RandomDigits).ContainsAnyExcept(HexDigits);
    }

    private static DateTimeOffset StartOfProcess()
    {
        using var self = System.Diagnostics.Process.GetCurrentProcess();
        return new DateTimeOffset(self.StartTime.ToUniversalTime(), TimeSpan.Zero);
    }
}
