using System.Globalization;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Rynxs.Ledger.Files;

/// <summary>
/// The one-writer lock: flock on the file <c>LOCK</c>, which holds the writer's process id for people. The kernel releases it when the
/// process dies, so there is nothing to clean up; the number alone never counts.
/// </summary>
internal sealed class LedgerLock : IDisposable
{
    private readonly SafeFileHandle _file;

    private LedgerLock(SafeFileHandle file) => _file = file;

    /// <exception cref="LedgerLockedException">Another writer holds the lock.</exception>
    /// <exception cref="IOException">The lock file cannot be created or locked.</exception>
    public static LedgerLock Take(string directory)
    {
        SafeFileHandle file = LinuxFile.OpenForLock(Path.Combine(directory, "LOCK"));
        try
        {
            if (!LinuxFile.TryLock(file))
            {
                int? owner = ReadOwner(file);
                throw new LedgerLockedException(
                    $"The ledger {directory} is open for writing in process {owner?.ToString(CultureInfo.InvariantCulture) ?? "(unknown)"}.",
                    owner);
            }

            RandomAccess.SetLength(file, 0);
            RandomAccess.Write(file, Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId}\n")), 0);
            return new LedgerLock(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        // Closing alone is not enough: a child that this process is just starting holds a copy of the file until it executes its program.
        LinuxFile.Unlock(_file);
        _file.Dispose();
    }

    private static int? ReadOwner(SafeFileHandle file)
    {
        Span<byte> text = stackalloc byte[16];
        int length = RandomAccess.Read(file, text, 0);
        return int.TryParse(text[..length].TrimEnd((byte)'\n'), CultureInfo.InvariantCulture, out int pid) ? pid : null;
    }
}
