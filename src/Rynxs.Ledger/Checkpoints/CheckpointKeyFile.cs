using System.Text;
using Rynxs.Ledger.Keys;

namespace Rynxs.Ledger.Checkpoints;

/// <summary>
/// Keys of checkpoints as the original keeps them: PKCS #8 PEM without encryption, the public half beside it with <c>.pub</c>. Unlike there,
/// the private file has mode 0600, and one that others can read is refused.
/// </summary>
public static class CheckpointKeyFile
{
    /// <summary>Larger files are no keys: 16 KiB.</summary>
    public const int MaxBytes = 16 * 1024;

    private const UnixFileMode Owner = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Makes a key at a path that does not exist yet: a key that signed something is never replaced by accident.</summary>
    /// <exception cref="IOException">The file exists, or cannot be written.</exception>
    public static void Generate(string path)
    {
        if (Path.GetDirectoryName(Path.GetFullPath(path)) is { } directory)
        {
            Directory.CreateDirectory(directory, Owner | UnixFileMode.UserExecute);
        }

        using var key = SigningKey.Generate("checkpoint");
        using (var file = new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = Owner }))
        {
            file.Write(Encoding.ASCII.GetBytes(key.ToPrivatePem()));
            file.Flush(flushToDisk: true);
        }

        File.WriteAllText(path + ".pub", key.ToPublicPem());
    }

    /// <summary>Reads a private key.</summary>
    /// <exception cref="FormatException">It is no Ed25519 key in PKCS #8 PEM, or others can read the file.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static SigningKey ReadPrivate(string path)
    {
        if ((File.GetUnixFileMode(path) & ~Owner) != 0)
        {
            throw new FormatException("The file can be read by others; give it to its owner alone (chmod 600).");
        }

        return SigningKey.FromPem("checkpoint", ReadPem(path));
    }

    /// <summary>Reads the text of a PEM file.</summary>
    /// <exception cref="FormatException">It is larger than a key can be.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static string ReadPem(string path)
    {
        using FileStream file = File.OpenRead(path);
        byte[] bytes = new byte[MaxBytes + 1];
        int length = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        return length <= MaxBytes ? Encoding.UTF8.GetString(bytes, 0, length) : throw new FormatException("The file is larger than a key can be.");
    }
}
