using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Rynxs.Gateway.Spool;

/// <summary>The spool cannot be written or read; nothing that needs a record may happen.</summary>
public sealed class SpoolUnavailableException(string message, Exception? innerException = null) : IOException(message, innerException);

/// <summary>
/// An append-only file of lines, synced in groups. <see cref="Append"/> hands a line to the kernel, so it outlives the process at once (kill -9);
/// <see cref="WhenDurableAsync"/> completes after the fdatasync that covers it, so it outlives the machine.
/// </summary>
/// <remarks>
/// A line is 16 hexadecimal digits of the SHA-256 of its text, a space, the text, a line feed. Reading stops at the first line that does not verify: the
/// rest was never acknowledged (a torn write), unless more than one line is behind it, which is damage and refuses to start. The first failure
/// to write or sync is lasting: what the kernel then still holds is unknown. Dispose waits for the last sync.
/// </remarks>
internal sealed class GatewaySpool : IAsyncDisposable
{
    /// <summary>Longest line: 1 MiB.</summary>
    public const int MaxLineBytes = 1024 * 1024;

    private const int HashDigits = 16;
    private const long CompactAt = 32L * 1024 * 1024;

    private readonly string _path;
    private readonly SemaphoreSlim _wake = new(0);
    private readonly CancellationTokenSource _stop = new();
    private SafeFileHandle _file;
    private long _length;
    private TaskCompletionSource _durable = New();
    private bool _dirty;
    private Exception? _failure;
    private Task _syncing = Task.CompletedTask;
    private Func<IEnumerable<string>>? _snapshot;
    private long _compactAt = CompactAt;

    private GatewaySpool(string path, SafeFileHandle file, long length) => (_path, _file, _length) = (path, file, length);

    /// <summary>Lock of everything that is written here: state and its line change together.</summary>
    public Lock Gate { get; } = new();

    /// <summary>Why nothing can be written; null while all is well.</summary>
    public Exception? Failure => Volatile.Read(ref _failure);

    /// <summary>Opens or creates the spool and reads what it holds.</summary>
    /// <param name="directory">A private directory; created with mode 0700.</param>
    /// <param name="read">Gets each line's text, oldest first.</param>
    /// <exception cref="SpoolUnavailableException">It cannot be read, or holds damage.</exception>
    public static GatewaySpool Open(string directory, Action<string> read)
    {
        try
        {
            if (OperatingSystem.IsWindows())
            {
                Directory.CreateDirectory(directory);
            }
            else
            {
                Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            }

            string path = Path.Combine(directory, "spool");
            File.Delete(path + ".new");
            if (File.Exists(path))
            {
                ReadAll(path, read);
            }

            return new GatewaySpool(path, Create(path + ".new"), 0);
        }
        catch (Exception e) when (e is IOException and not SpoolUnavailableException or UnauthorizedAccessException)
        {
            throw new SpoolUnavailableException("The gateway's spool cannot be opened.", e);
        }
    }

    /// <summary>
    /// Writes the state anew and begins: called once, after the owners of the lines have taken what was read. The old file is replaced only when the
    /// new one is on the disk.
    /// </summary>
    /// <param name="snapshot">Lines that stand for everything so far; called under <see cref="Gate"/>, also later when the file has grown.</param>
    public void Start(Func<IEnumerable<string>> snapshot)
    {
        lock (Gate)
        {
            _snapshot = snapshot;
            Replace_NeedsLock(_file);
            _syncing = Task.Factory.StartNew(SyncLoop, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
    }

    /// <summary>Appends a line; the caller holds <see cref="Gate"/>.</summary>
    /// <param name="text">One line of text.</param>
    /// <param name="urgent">Somebody waits for it; otherwise it is synced with the next that is, or after 50 ms.</param>
    /// <exception cref="SpoolUnavailableException">It is not written.</exception>
    public void Append(string text, bool urgent)
    {
        if (_failure is not null)
        {
            throw new SpoolUnavailableException("The gateway's spool cannot be written.", _failure);
        }

        byte[] line = Line(text);
        try
        {
            RandomAccess.Write(_file, line, _length);
            _length += line.Length;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Fail(e);
            throw new SpoolUnavailableException("The gateway's spool cannot be written.", e);
        }

        _dirty = true;
        if (urgent && _wake.CurrentCount == 0)
        {
            _wake.Release();
        }
    }

    /// <summary>Completes when everything that was appended before is on the disk.</summary>
    /// <exception cref="SpoolUnavailableException">It may not be.</exception>
    public Task WhenDurableAsync()
    {
        lock (Gate)
        {
            return _failure is not null
                ? Task.FromException(new SpoolUnavailableException("The gateway's spool cannot be written.", _failure))
                : _dirty ? _durable.Task : Task.CompletedTask;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _syncing.ConfigureAwait(false);
        _file.Dispose();
        _stop.Dispose();
        _wake.Dispose();
    }

    private static TaskCompletionSource New()
    {
        TaskCompletionSource source = new(TaskCreationOptions.RunContinuationsAsynchronously);

        // Nobody may be waiting when it fails: the failure is told by the next Append, too.
        _ = source.Task.ContinueWith(static task => _ = task.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        return source;
    }

    private static byte[] Line(string text)
    {
        int bytes = Encoding.UTF8.GetByteCount(text);
        if (bytes > MaxLineBytes)
        {
            throw new ArgumentException($"A line of the spool has at most {MaxLineBytes} bytes.", nameof(text));
        }

        byte[] line = new byte[HashDigits + 1 + bytes + 1];
        Encoding.UTF8.GetBytes(text, line.AsSpan(HashDigits + 1));
        Hash(line.AsSpan(HashDigits + 1, bytes), line);
        line[HashDigits] = (byte)' ';
        line[^1] = (byte)'\n';
        return line;
    }

    private static void Hash(ReadOnlySpan<byte> text, Span<byte> digits)
    {
        Span<byte> hash = stackalloc byte[SHA256.HashSizeInBytes];
        SHA256.HashData(text, hash);
        Convert.TryToHexStringLower(hash[..(HashDigits / 2)], digits[..HashDigits], out _);
    }

    private static void ReadAll(string path, Action<string> read)
    {
        byte[] content = File.ReadAllBytes(path);
        ReadOnlySpan<byte> rest = content;
        Span<byte> digits = stackalloc byte[HashDigits];
        int number = 0;
        while (!rest.IsEmpty)
        {
            number++;
            int end = rest.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = end < 0 ? [] : rest[..end];
            bool whole = line.Length > HashDigits && line[HashDigits] == ' ';
            if (whole)
            {
                Hash(line[(HashDigits + 1)..], digits);
                whole = line[..HashDigits].SequenceEqual(digits);
            }

            if (!whole)
            {
                if (end >= 0 && rest[(end + 1)..].IndexOf((byte)'\n') >= 0)
                {
                    throw new SpoolUnavailableException($"The gateway's spool is damaged at line {number}: what budgets have used cannot be known. Keep a copy of it.");
                }

                return; // A torn end: it was never acknowledged.
            }

            read(Encoding.UTF8.GetString(line[(HashDigits + 1)..]));
            rest = rest[(end + 1)..];
        }
    }

    private static SafeFileHandle Create(string path)
    {
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, Share = FileShare.Read };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        using (new FileStream(path, options))
        {
            // Made with its mode; the handle below is the one that stays.
        }

        return File.OpenHandle(path, FileMode.Open, FileAccess.Write, FileShare.Read);
    }

    /// <summary>Fills the new file with the snapshot, syncs it, moves it over the old one and syncs the directory.</summary>
    private void Replace_NeedsLock(SafeFileHandle file)
    {
        long length = 0;
        try
        {
            foreach (string text in _snapshot?.Invoke() ?? [])
            {
                byte[] line = Line(text);
                RandomAccess.Write(file, line, length);
                length += line.Length;
            }

            DiskSync.Data(file);
            File.Move(_path + ".new", _path, overwrite: true);
            DiskSync.Directory(Path.GetDirectoryName(_path) ?? ".");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Fail(e);
            throw new SpoolUnavailableException("The gateway's spool cannot be written.", e);
        }

        if (!ReferenceEquals(file, _file))
        {
            _file.Dispose();
        }

        (_file, _length) = (file, length);
        _compactAt = Math.Max(CompactAt, 2 * length);
    }

    /// <summary>The one task that syncs; it lives on a thread of its own because fdatasync blocks.</summary>
    private void SyncLoop()
    {
        bool last = false;
        while (!last)
        {
            try
            {
                last = _stop.IsCancellationRequested;
                if (!last)
                {
                    _wake.Wait(TimeSpan.FromMilliseconds(50), _stop.Token);
                }
            }
            catch (OperationCanceledException)
            {
                last = true;
            }

            TaskCompletionSource waiting;
            lock (Gate)
            {
                if (!_dirty || _failure is not null)
                {
                    continue;
                }

                (waiting, _durable, _dirty) = (_durable, New(), false);
            }

            try
            {
                // Not under the lock: others append meanwhile, and are covered by the next round.
                DiskSync.Data(_file);
                waiting.TrySetResult();
                if (_length > _compactAt)
                {
                    lock (Gate)
                    {
                        Replace_NeedsLock(Create(_path + ".new"));
                    }
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                Fail(e);
                waiting.TrySetException(new SpoolUnavailableException("The gateway's spool cannot be synced.", e));
            }
        }
    }

    private void Fail(Exception cause)
    {
        lock (Gate)
        {
            Volatile.Write(ref _failure, cause);
            _durable.TrySetException(new SpoolUnavailableException("The gateway's spool cannot be written.", cause));
        }
    }
}
