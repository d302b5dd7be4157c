using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Secrets;

/// <summary>The file of the keys: text, a line <c>rynxs-key-v1 BASE64</c> for each, mode 0600. One key, but while they are exchanged: then the new one first.</summary>
internal static partial class SecretKeyFile
{
    private const string Magic = "rynxs-key-v1 ";
    private const int MaxFileBytes = 1024;

    /// <exception cref="ResourceStoreOpenException"><c>Key</c>: readable by others, or no key file.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static IReadOnlyList<byte[]> Read(string path)
    {
        if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & ~(UnixFileMode.UserRead | UnixFileMode.UserWrite)) != 0)
            throw Fail($"{path} may be read by others than its owner: chmod 600 it.");
        if (new FileInfo(path).Length > MaxFileBytes)
            throw Fail($"{path} is no key file.");

        List<byte[]> keys = [];
        foreach (string line in File.ReadAllText(path).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            byte[] key = new byte[SecretKey.KeyBytes];
            if (!line.StartsWith(Magic, StringComparison.Ordinal) || !Convert.TryFromBase64String(line[Magic.Length..], key, out int length) || length != SecretKey.KeyBytes)
                throw Fail($"{path} is no key file.");
            keys.Add(key);
        }

        return keys.Count > 0 ? keys : throw Fail($"{path} is no key file.");
    }

    /// <summary>Makes the file with a new key. Durable before the key seals anything: one that is lost in a crash would take the Secrets with it.</summary>
    /// <exception cref="IOException">It exists, or cannot be written.</exception>
    public static byte[] Create(string path)
    {
        byte[] key = RandomNumberGenerator.GetBytes(SecretKey.KeyBytes);
        Write(path, [key], replace: false);
        return key;
    }

    /// <summary>Replaces the keys: after a crash the file holds the old ones or the new ones.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Replace(string path, IReadOnlyList<byte[]> keys) => Write(path, keys, replace: true);

    private static void Write(string path, IReadOnlyList<byte[]> keys, bool replace)
    {
        FileStreamOptions options = new() { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        string temporary = $"{path}.{Guid.NewGuid():N}.new";
        try
        {
            using (FileStream file = new(temporary, options))
            {
                file.Write(Encoding.ASCII.GetBytes(string.Concat(keys.Select(key => Magic + Convert.ToBase64String(key) + "\n"))));
                file.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: replace);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }

        SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/");
    }

    /// <summary>The new name is on disk, too: else a power cut after the first commit under a new key could bring the file without it back.</summary>
    private static void SyncDirectory(string path)
    {
        int directory = OpenDirectory(path, 0x80000 /* O_RDONLY | O_CLOEXEC */);
        if (directory < 0)
            throw new IOException($"{path}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");
        try
        {
            if (Sync(directory) != 0)
                throw new IOException($"{path}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");
        }
        finally
        {
            _ = Close(directory);
        }
    }

    private static ResourceStoreOpenException Fail(string message) => new(ResourceStoreOpenError.Key, message);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenDirectory(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Sync(int file);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int file);
}
