using Microsoft.Win32.SafeHandles;

namespace Rynxs.Ledger.Files;

/// <summary>
/// A file that grows by durable appends. After a failed write the file is cut back to its last durable byte before anything else may be
/// appended. After a failed sync nothing is appended any more: the kernel may have dropped the pages and would confirm the next sync
/// without writing them, so durability could never be claimed again for this open file.
/// </summary>
/// <remarks>One caller at a time: the commit loop of its chain.</remarks>
internal sealed class AppendOnlyFile(string path, SafeFileHandle file, long length) : IDisposable
{
    private LedgerUnavailableException? _failure;

    public string Path { get; } = path;

    /// <summary>Durable length in bytes.</summary>
    public long Length { get; private set; } = length;

    /// <summary>True once the file refuses every append until it is opened again.</summary>
    public bool HasFailed => _failure is not null;

    /// <summary>What the kernel says of the file now.</summary>
    public FileIdentity Identify() => LinuxFile.Identify(file);

    /// <summary>Creates a file durably: its name too is on disk when this returns.</summary>
    /// <param name="path">Its name.</param>
    /// <param name="isLost">Whether this process has lost the right to change names there.</param>
    /// <exception cref="IOException">It exists, or it cannot be created; then the name is free, or another writer's.</exception>
    public static AppendOnlyFile Create(string path, Func<bool> isLost)
    {
        SafeFileHandle file = LedgerFile.CreateNew(path);
        try
        {
            LinuxFile.SyncDirectory(System.IO.Path.GetDirectoryName(path) ?? "/");
            return new AppendOnlyFile(path, file, 0);
        }
        catch
        {
            long mine = LinuxFile.Identify(file).Inode;
            file.Dispose();
            AsideFile.Move(path, mine, isLost); // So that the next attempt finds the name free.
            throw;
        }
    }

    /// <exception cref="LedgerUnavailableException">The bytes are not durable; none of them count.</exception>
    public void Append(ReadOnlySpan<byte> bytes)
    {
        if (_failure is not null)
        {
            throw new LedgerUnavailableException(_failure.Message, _failure);
        }

        try
        {
            RandomAccess.Write(file, bytes, Length);
        }
        catch (Exception exception) when (IsStorageFailure(exception) || exception is ArgumentOutOfRangeException)
        {
            // .NET says the last for EFBIG: the largest file of the file system, or of the process.
            CutBack($"Writing {Path} failed, and so did cutting off the part that was written");
            throw new LedgerUnavailableException($"Writing {Path} failed: {exception.Message}", exception);
        }

        try
        {
            LinuxFile.SyncData(file);
        }
        catch (IOException exception)
        {
            _failure = new LedgerUnavailableException(
                $"Syncing {Path} failed: {exception.Message}. The chain takes no more records until it is opened again.", exception);
            // So that a later open does not take bytes from the cache for durable ones. If this fails too, that open finds them.
            CutBack(_failure.Message);
            throw _failure;
        }

        Length += bytes.Length;
    }

    public void Dispose() => file.Dispose();

    /// <summary>Errors of the device or the file system, as .NET reports them.</summary>
    public static bool IsStorageFailure(Exception exception) => exception is IOException or UnauthorizedAccessException;

    private void CutBack(string failure)
    {
        try
        {
            RandomAccess.SetLength(file, Length);
        }
        catch (Exception exception) when (IsStorageFailure(exception))
        {
            _failure ??= new LedgerUnavailableException($"{failure}: {exception.Message}", exception);
        }
    }
}
