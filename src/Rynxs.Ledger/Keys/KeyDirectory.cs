using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Notes;

namespace Rynxs.Ledger.Keys;

/// <summary>A key directory cannot be used. The message names the file and never holds key material.</summary>
public sealed class KeyDirectoryException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>
/// The keys of one log or one witness: <c>keys.json</c> and a PKCS #8 PEM per key, directory mode 0700, files 0600. The newest key signs; one
/// that was rotated out signs beside it until its time, so that those who pinned it can follow.
/// </summary>
/// <remarks>
/// Another process may rotate the keys while this one signs: <see cref="Refresh"/> takes what is on disk. Refresh, rotate and sign from one caller
/// at a time, because keys that were removed are overwritten in memory; the list may be read by anyone. Dispose overwrites all of them.
/// </remarks>
public sealed class KeyDirectory : IDisposable
{
    private const string ListName = "keys.json";
    private const int MaxFileBytes = 64 * 1024;
    private const int MaxKeys = 64;
    private const UnixFileMode NotOwner =
        UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    private readonly string _directory;
    private volatile Loaded _loaded;

    private KeyDirectory(string directory, Loaded loaded) => (_directory, _loaded) = (directory, loaded);

    /// <summary>All keys, oldest first; those whose private part was removed too.</summary>
    public IReadOnlyList<KeyRecord> Keys => _loaded.Keys;

    /// <summary>Name of the log or witness.</summary>
    public string Name => Keys[^1].PublicKey.Name;

    /// <summary>True when there is a key directory at a path.</summary>
    public static bool Exists(string directory) => File.Exists(Path.Combine(directory, ListName));

    /// <summary>Makes a directory with a first key.</summary>
    /// <exception cref="KeyDirectoryException">There are keys already, or the directory cannot be written.</exception>
    public static KeyDirectory Create(string directory, string name, NoteSignatureType type, TimeProvider timeProvider)
    {
        ArgumentNullException.ThrowIfNull(timeProvider);
        if (Exists(directory))
        {
            throw new KeyDirectoryException($"{directory} holds keys already. To replace them without a gap: rynxs ledger keys rotate.");
        }

        return Storing(directory, () =>
        {
            LedgerFile.CreateDirectory(directory);
            ThrowIfOthersMay(directory);
            var keys = new KeyDirectory(directory, new Loaded([], new Dictionary<string, SigningKey>(), default));
            keys.Add([], SigningKey.Generate(name, type), timeProvider.GetUtcNow());
            return keys;
        });
    }

    /// <summary>Reads a directory.</summary>
    /// <exception cref="KeyDirectoryException">It is not there, others can read it, or it is damaged.</exception>
    public static KeyDirectory Open(string directory)
    {
        if (!Exists(directory))
        {
            throw new KeyDirectoryException($"There are no keys in {directory}. Make them with: rynxs ledger keys init.");
        }

        return Storing(directory, () => new KeyDirectory(directory, Load(directory, known: null)));
    }

    /// <summary>Takes the keys as another process has left them, when the list on disk is not the one that was read last.</summary>
    /// <returns>True when there was something to take.</returns>
    /// <exception cref="KeyDirectoryException">The directory cannot be used as it is; the keys that were read before stay.</exception>
    public bool Refresh() => Storing(_directory, () =>
    {
        Loaded before = _loaded;
        if (Identify(_directory) == before.List)
        {
            return false;
        }

        Loaded after = Load(_directory, before);
        if (before.Keys.Count > 0 && (after.Keys[^1].PublicKey.Name != before.Keys[^1].PublicKey.Name || after.Keys[^1].PublicKey.Type != before.Keys[^1].PublicKey.Type))
        {
            throw new KeyDirectoryException($"{_directory} now holds keys of another log or witness: {after.Keys[^1].PublicKey.Name} instead of {before.Keys[^1].PublicKey.Name}.");
        }

        _loaded = after;
        foreach (SigningKey gone in before.Signing.Where(key => !after.Signing.ContainsKey(key.Key)).Select(key => key.Value))
        {
            gone.Dispose();
        }

        return true;
    });

    /// <summary>The keys that sign at a moment, the newest first.</summary>
    public IReadOnlyList<SigningKey> SigningAt(DateTimeOffset now)
    {
        Loaded loaded = _loaded;
        return [.. loaded.Keys.Where(key => key.HasPrivate && (key.SignsUntil is null || key.SignsUntil > now)).Reverse().Select(key => loaded.Signing[key.File])];
    }

    /// <summary>Makes a new key, lets the present one sign beside it for a while, and removes private keys whose time is over.</summary>
    /// <remarks>
    /// The list is the commit: a crash before it leaves a key that nobody knows, one after it private keys that no longer count. The next rotation
    /// removes either.
    /// </remarks>
    /// <param name="overlap">How long the present key still signs; zero ends it now.</param>
    /// <param name="timeProvider">Clock.</param>
    /// <exception cref="KeyDirectoryException">The directory cannot be written, holds 64 keys, or another process is rotating it.</exception>
    public void Rotate(TimeSpan overlap, TimeProvider timeProvider)
    {
        ArgumentNullException.ThrowIfNull(timeProvider);
        ArgumentOutOfRangeException.ThrowIfLessThan(overlap, TimeSpan.Zero);
        Storing(_directory, () =>
        {
            using LedgerLock turn = LedgerLock.Take(_directory);
            Refresh();
            if (Keys.Count >= MaxKeys)
            {
                throw new KeyDirectoryException($"{_directory} holds {MaxKeys} keys, the most that are kept. Begin a new log under a new name.");
            }

            DateTimeOffset now = timeProvider.GetUtcNow();
            KeyRecord present = Keys[^1];
            Add(
                [
                    .. Keys.Select(key => key == present ? key with { SignsUntil = now + overlap }
                        : key.HasPrivate && key.SignsUntil <= now ? key with { HasPrivate = false } : key),
                ],
                SigningKey.Generate(present.PublicKey.Name, present.PublicKey.Type), now);

            // The list is durable without them before their files go; with them what a crash left of earlier rotations.
            HashSet<string> kept = [.. Keys.Where(key => key.HasPrivate).Select(key => key.File)];
            foreach (string path in Directory.EnumerateFiles(_directory, "key-*").Where(path => !kept.Contains(Path.GetFileName(path))))
            {
                Erase(path);
            }

            return true;
        });
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (SigningKey key in _loaded.Signing.Values)
        {
            key.Dispose();
        }
    }

    /// <summary>Makes a key durable, then the list with it, and takes both.</summary>
    private void Add(IReadOnlyList<KeyRecord> before, SigningKey key, DateTimeOffset now)
    {
        string file = string.Create(CultureInfo.InvariantCulture, $"key-{before.Count + 1:D4}.pem");
        LedgerFile.Replace(Path.Combine(_directory, file), Encoding.ASCII.GetBytes(key.ToPrivatePem()));
        LedgerFile.Replace(Path.Combine(_directory, ListName), KeyListJson.Write([.. before, new KeyRecord(key.PublicKey, now, null, file, true)]));
        key.Dispose(); // Read back below, like the others: what signs is what is on disk.
        Refresh();
    }

    private static Loaded Load(string directory, Loaded? known)
    {
        ThrowIfOthersMay(directory);
        string path = Path.Combine(directory, ListName);

        // Taken before the content: a list that is replaced in between is read again the next time.
        FileIdentity identity = Identify(directory);
        List<KeyRecord> keys = ReadList(path);
        var signing = new Dictionary<string, SigningKey>();
        foreach (KeyRecord key in keys.Where(key => key.HasPrivate))
        {
            signing.Add(
                key.File,
                known is not null && known.Signing.TryGetValue(key.File, out SigningKey? same) && same.PublicKey == key.PublicKey
                    ? same
                    : ReadKey(Path.Combine(directory, key.File), key.PublicKey));
        }

        return new Loaded(keys, signing, identity);
    }

    private static FileIdentity Identify(string directory)
    {
        using SafeFileHandle file = LedgerFile.OpenRead(Path.Combine(directory, ListName));
        return LinuxFile.Identify(file);
    }

    /// <summary>Overwrites and unlinks. The device may keep old blocks all the same.</summary>
    private static void Erase(string path)
    {
        using (SafeFileHandle file = LedgerFile.OpenOrCreate(path))
        {
            RandomAccess.Write(file, new byte[RandomAccess.GetLength(file)], 0);
            LinuxFile.SyncData(file);
        }

        File.Delete(path);
    }

    private static List<KeyRecord> ReadList(string path)
    {
        List<KeyRecord>? keys = KeyListJson.TryRead(ReadPrivate(path));
        return keys is { Count: > 0 and <= MaxKeys }
            ? keys
            : throw new KeyDirectoryException($"{path} is not a list of keys.");
    }

    private static SigningKey ReadKey(string path, VerifierKey expected)
    {
        byte[] pem = ReadPrivate(path);
        try
        {
            SigningKey key = SigningKey.FromPem(expected.Name, Encoding.ASCII.GetString(pem), expected.Type);
            return key.PublicKey == expected
                ? key
                : throw new KeyDirectoryException($"{path} does not hold the key that {ListName} says: {expected}.");
        }
        catch (FormatException exception)
        {
            throw new KeyDirectoryException($"{path}: {exception.Message}");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(pem);
        }
    }

    private static byte[] ReadPrivate(string path)
    {
        ThrowIfOthersMay(path);
        using SafeFileHandle file = LedgerFile.OpenRead(path);
        long length = RandomAccess.GetLength(file);
        if (length > MaxFileBytes)
        {
            throw new KeyDirectoryException($"{path} has {length} bytes; at most {MaxFileBytes} belong there.");
        }

        byte[] content = new byte[length];
        return content[..RandomAccess.Read(file, content, 0)];
    }

    private static void ThrowIfOthersMay(string path)
    {
        UnixFileMode others = File.GetUnixFileMode(path) & NotOwner;
        if (others != 0)
        {
            throw new KeyDirectoryException($"{path} can be used by others than its owner ({others}). Run: chmod go= '{path}', and rotate the key if they may have read it.");
        }
    }

    private static T Storing<T>(string directory, Func<T> action)
    {
        try
        {
            return action();
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new KeyDirectoryException($"The keys in {directory} cannot be used: {exception.Message}", exception);
        }
        catch (PlatformNotSupportedException exception)
        {
            throw new KeyDirectoryException(exception.Message, exception);
        }
        catch (LedgerLockedException exception)
        {
            throw new KeyDirectoryException($"The keys in {directory} are being rotated by another process. Try again.", exception);
        }
    }

    /// <summary>What was read at one moment.</summary>
    /// <param name="Keys">Oldest first.</param>
    /// <param name="Signing">The private ones, by file.</param>
    /// <param name="List">The list that says so.</param>
    private sealed record Loaded(IReadOnlyList<KeyRecord> Keys, IReadOnlyDictionary<string, SigningKey> Signing, FileIdentity List);
}

/// <summary>One key of a directory.</summary>
/// <param name="PublicKey">Its public part.</param>
/// <param name="Created">When it was made.</param>
/// <param name="SignsUntil">When it stops signing; null for the present key.</param>
/// <param name="File">Name of its PEM.</param>
/// <param name="HasPrivate">False once its PEM was removed.</param>
public sealed record KeyRecord(VerifierKey PublicKey, DateTimeOffset Created, DateTimeOffset? SignsUntil, string File, bool HasPrivate);

/// <summary>The file <c>keys.json</c>: <c>{"version":1,"keys":[{"vkey","created","signs_until"?,"file","private"}]}</c>, times RFC 3339 UTC.</summary>
internal static class KeyListJson
{
    public static byte[] Write(IReadOnlyList<KeyRecord> keys)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            writer.WriteStartObject();
            writer.WriteNumber("version", 1);
            writer.WriteStartArray("keys");
            foreach (KeyRecord key in keys)
            {
                writer.WriteStartObject();
                writer.WriteString("vkey", key.PublicKey.ToString());
                writer.WriteString("created", key.Created.UtcDateTime);
                if (key.SignsUntil is { } until)
                {
                    writer.WriteString("signs_until", until.UtcDateTime);
                }

                writer.WriteString("file", key.File);
                writer.WriteBoolean("private", key.HasPrivate);
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        return buffer.ToArray();
    }

    /// <summary>Null when it is not such a list.</summary>
    public static List<KeyRecord>? TryRead(byte[] json)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            JsonElement root = document.RootElement;
            return root.GetProperty("version").GetInt32() == 1
                ? [.. root.GetProperty("keys").EnumerateArray().Select(Read)]
                : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            return null; // Its content is not repeated in a message: who knows what was put there.
        }
    }

    private static KeyRecord Read(JsonElement key)
    {
        string file = key.GetProperty("file").GetString() ?? "";
        return file.Length == 12 && file.StartsWith("key-", StringComparison.Ordinal) && file.EndsWith(".pem", StringComparison.Ordinal)
            && file.AsSpan(4, 4).IndexOfAnyExceptInRange('0', '9') < 0
            ? new KeyRecord(
                VerifierKey.Parse(key.GetProperty("vkey").GetString() ?? ""),
                key.GetProperty("created").GetDateTimeOffset(),
                key.TryGetProperty("signs_until", out JsonElement until) ? until.GetDateTimeOffset() : null,
                file,
                key.GetProperty("private").GetBoolean())
            : throw new FormatException("The file name of a key is not key-NNNN.pem.");
    }
}
