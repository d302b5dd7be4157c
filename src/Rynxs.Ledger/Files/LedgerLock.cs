using System.Globalization;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Rynxs.Ledger.Files;

/// <summary>
/// The one-writer lock: flock on the file <c>LOCK</c>, which holds the writer's process id for people. The kernel releases it when the
/// process dies, so there is nothing to clean up; the number alone never counts.
/// </summary>
/// <remarks>
/// A lock is taken over by renaming a new, locked file over it. From then on the old holder's file has no name, which it asks the kernel after
/// every commit and before it answers: a writer that was paused while another took over never acknowledges a record.
/// </remarks>
internal sealed class LedgerLock : IDisposable
{
    private const string Unfinished = "taking over\n";

    private readonly SafeFileHandle _file;
    private readonly string _path;

    private LedgerLock(SafeFileHandle file, string path, bool takeOverUnfinished) =>
        (_file, _path, TakeOverUnfinished) = (file, path, takeOverUnfinished);

    /// <summary>
    /// A take-over, this one or one that a crash cut short, has not yet been followed by <see cref="FinishTakeOver"/>: files that the old holder
    /// may have open are still where readers look.
    /// </summary>
    public bool TakeOverUnfinished { get; private set; }

    /// <summary>Takes the lock of a directory: the file <c>LOCK</c> in it.</summary>
    /// <inheritdoc cref="TakeFile"/>
    public static LedgerLock Take(string directory, bool takeOver = false) => TakeFile(Path.Combine(directory, "LOCK"), directory, takeOver);

    /// <summary>Takes the lock that a file stands for.</summary>
    /// <param name="path">The lock file.</param>
    /// <param name="what">What it locks, for messages.</param>
    /// <param name="takeOver">Take it even from a process that holds it.</param>
    /// <exception cref="LedgerLockedException">Another writer holds the lock.</exception>
    /// <exception cref="IOException">The lock file cannot be created or locked.</exception>
    public static LedgerLock TakeFile(string path, string what, bool takeOver)
    {
        SafeFileHandle file = LinuxFile.OpenForLock(path);
        try
        {
            // Between opening and locking, another may have taken it over: then this is a file without a name.
            if (LinuxFile.TryLock(file) && LinuxFile.HasName(file))
            {
                bool unfinished = Read(file).Contains(Unfinished, StringComparison.Ordinal);
                Write(file, unfinished);
                return new LedgerLock(file, path, unfinished);
            }

            if (!takeOver)
            {
                int? owner = int.TryParse(Read(file).Split('\n')[0], CultureInfo.InvariantCulture, out int pid) ? pid : null;
                throw new LedgerLockedException(
                    $"The ledger {what} is open for writing in process {owner?.ToString(CultureInfo.InvariantCulture) ?? "(unknown)"}.", owner);
            }
        }
        catch
        {
            file.Dispose();
            throw;
        }

        file.Dispose();
        return TakeOver(path);
    }

    /// <summary>Whether another writer has taken the lock over.</summary>
    /// <exception cref="IOException">The kernel does not say.</exception>
    public bool IsLost => !LinuxFile.HasName(_file);

    /// <exception cref="LedgerFencedException">Another writer has taken the lock over.</exception>
    public void ThrowIfLost()
    {
        bool lost;
        try
        {
            lost = IsLost;
        }
        catch (IOException exception)
        {
            throw new LedgerFencedException($"{_path}: it cannot be told whether this process still is the writer: {exception.Message}", exception);
        }

        if (lost)
        {
            throw new LedgerFencedException($"{_path}: another writer has taken the ledger over.");
        }
    }

    /// <summary>Notes that nothing that the old holder has open is part of the ledger any more.</summary>
    public void FinishTakeOver()
    {
        Write(_file, unfinished: false);
        TakeOverUnfinished = false;
    }

    public void Dispose()
    {
        // Closing alone is not enough: a child that this process is just starting holds a copy of the file until it executes its program.
        if (!_file.IsClosed)
        {
            LinuxFile.Unlock(_file);
            _file.Dispose();
        }
    }

    private static LedgerLock TakeOver(string path)
    {
        string draft = string.Create(CultureInfo.InvariantCulture, $"{path}.{Environment.ProcessId}-{Guid.NewGuid():N}");
        SafeFileHandle file = LinuxFile.OpenForLock(draft, mustBeNew: true);
        try
        {
            if (!LinuxFile.TryLock(file))
            {
                throw new IOException($"{draft} is locked, although it is new.");
            }

            Write(file, unfinished: true);
            LinuxFile.SyncData(file);
            File.Move(draft, path, overwrite: true);
            LinuxFile.SyncDirectory(Path.GetDirectoryName(path) ?? "/");
            return new LedgerLock(file, path, takeOverUnfinished: true);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    private static void Write(SafeFileHandle file, bool unfinished)
    {
        byte[] text = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId}\n{(unfinished ? Unfinished : "")}"));
        RandomAccess.SetLength(file, 0);
        RandomAccess.Write(file, text, 0);
    }

    private static string Read(SafeFileHandle file)
    {
        Span<byte> text = stackalloc byte[64];
        int length = RandomAccess.Read(file, text, 0);
        return Encoding.ASCII.GetString(text[..length]);
    }
}
