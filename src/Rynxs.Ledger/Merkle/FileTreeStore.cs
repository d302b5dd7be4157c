using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Merkle;

/// <summary>The tree of a chain as files in <c>tlog/</c> beside its segments: ready to be served by any web server.</summary>
public sealed class FileTreeStore : ITreeStore
{
    /// <summary>Name of the directory.</summary>
    public const string DirectoryName = "tlog";

    private readonly string _directory;
    private int _drafts;

    /// <param name="chainDirectory">Directory of the chain.</param>
    public FileTreeStore(string chainDirectory)
    {
        ArgumentException.ThrowIfNullOrEmpty(chainDirectory);
        _directory = Path.Combine(chainDirectory, DirectoryName);
    }

    /// <inheritdoc/>
    public async ValueTask<byte[]?> TryReadAsync(string path, int maxBytes, CancellationToken cancellationToken)
    {
        string file = At(path);
        if (!File.Exists(file))
        {
            return null;
        }

        try
        {
            using SafeFileHandle handle = LedgerFile.OpenRead(file);
            long length = RandomAccess.GetLength(handle);
            if (length > maxBytes)
            {
                throw new LedgerCorruptException($"{file} has {length} bytes; at most {maxBytes} belong there.", file, -1, null, null);
            }

            byte[] content = new byte[length];
            for (int read = 0; read < content.Length;)
            {
                int some = await RandomAccess.ReadAsync(handle, content.AsMemory(read), read, cancellationToken).ConfigureAwait(false);
                if (some == 0)
                {
                    return content[..read];
                }

                read += some;
            }

            return content;
        }
        catch (FileNotFoundException)
        {
            return null; // Gave way to its full tile between the two calls.
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"{file} cannot be read: {exception.Message}", exception);
        }
    }

    /// <inheritdoc/>
    public async ValueTask WriteAsync(IReadOnlyList<TreeBlob> blobs, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(blobs);
        try
        {
            await Task.Run(() => Write(blobs, cancellationToken), cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"The tree in {_directory} cannot be written: {exception.Message}", exception);
        }
    }

    /// <inheritdoc/>
    public ValueTask DeletePartialsAsync(string path, CancellationToken cancellationToken)
    {
        string directory = At(path) + ".p";
        try
        {
            if (Directory.Exists(directory))
            {
                Directory.Delete(directory, recursive: true);
            }
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            // Superseded tiles that stay are harmless.
        }

        return ValueTask.CompletedTask;
    }

    private void Write(IReadOnlyList<TreeBlob> blobs, CancellationToken cancellationToken)
    {
        var directories = new HashSet<string>(StringComparer.Ordinal);
        foreach (TreeBlob blob in blobs)
        {
            cancellationToken.ThrowIfCancellationRequested();
            string path = At(blob.Path);
            string directory = Path.GetDirectoryName(path) ?? _directory;
            LedgerFile.CreateDirectory(directory);
            string draft = $"{path}.draft{Interlocked.Increment(ref _drafts)}";
            using (SafeFileHandle file = LedgerFile.CreateEmpty(draft))
            {
                RandomAccess.Write(file, blob.Content.Span, 0);
                LinuxFile.SyncData(file);
            }

            File.Move(draft, path, overwrite: true);
            directories.Add(directory);
        }

        foreach (string directory in directories)
        {
            LinuxFile.SyncDirectory(directory);
        }
    }

    private string At(string path) => TilePath.IsValid(path)
        ? Path.Combine(_directory, path)
        : throw new ArgumentException($"'{path}' is not a path of a tree.", nameof(path));
}
