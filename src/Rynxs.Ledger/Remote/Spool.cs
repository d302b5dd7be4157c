using System.Buffers.Binary;
using System.Globalization;
using System.Threading.Channels;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Remote;

/// <summary>An entry in the spool.</summary>
/// <param name="File">Number of its file.</param>
/// <param name="Offset">Where its line begins.</param>
/// <param name="Length">Length of the line without its newline.</param>
/// <param name="Done">Told where it was recorded; null for one that an earlier process left.</param>
internal sealed record SpooledEntry(int File, long Offset, int Length, TaskCompletionSource<AppendedRecord>? Done);

/// <summary>
/// Entries of one chain that the role has not confirmed: lines in files <c>spool-NNNNNNNN.jsonl</c>, synced before they count, and the place up
/// to which they are confirmed in <c>confirmed</c>. That place may lag behind after a power failure: then entries are sent again, and the role
/// knows their keys.
/// </summary>
/// <remarks>
/// Many callers add; what gathers is synced together by one writing task. One caller takes and confirms. Bounded: beyond the limit entries
/// are refused. Only places are held in memory, not the entries.
/// </remarks>
internal sealed class Spool : IAsyncDisposable
{
    private const long FileBytes = 8 * 1024 * 1024;

    private readonly string _directory;
    private readonly long _maxBytes;
    private readonly Channel<Adding> _adding = Channel.CreateBounded<Adding>(1024);
    private readonly Channel<SpooledEntry> _waiting = Channel.CreateUnbounded<SpooledEntry>(new UnboundedChannelOptions { SingleReader = true }); // Bounded by the bytes below.
    private readonly SafeFileHandle _confirmed;
    private readonly Task _writing;
    private AppendOnlyFile? _live;
    private int _liveNumber;
    private int _oldest;
    private long _bytes;

    private Spool(string directory, long maxBytes, SafeFileHandle confirmed)
    {
        (_directory, _maxBytes, _confirmed) = (directory, maxBytes, confirmed);
        _writing = Task.Run(WriteAsync);
    }

    /// <summary>Bytes that wait.</summary>
    public long Bytes => Interlocked.Read(ref _bytes);

    /// <summary>Opens a directory with what an earlier process left in it. A torn last line was never acknowledged, and is cut off.</summary>
    /// <exception cref="LedgerUnavailableException">It cannot be read or written.</exception>
    public static Spool Open(string directory, long maxBytes)
    {
        try
        {
            LedgerFile.CreateDirectory(directory);
            SafeFileHandle confirmed = LedgerFile.OpenOrCreate(Path.Combine(directory, "confirmed"));
            Span<byte> place = stackalloc byte[12];
            bool known = RandomAccess.Read(confirmed, place, 0) == place.Length;
            (int file, long offset) = known ? (BinaryPrimitives.ReadInt32LittleEndian(place), BinaryPrimitives.ReadInt64LittleEndian(place[4..])) : (0, 0);
            var spool = new Spool(directory, maxBytes, confirmed);
            spool.Load(file, offset);
            return spool;
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception) || exception is LineTooLongException)
        {
            throw new LedgerUnavailableException($"The spool {directory} cannot be opened: {exception.Message}", exception);
        }
    }

    /// <summary>Adds a line (without newline); returns when it is durable.</summary>
    /// <exception cref="LedgerUnavailableException">The spool is full, closed, or its disk failed: the entry is not in it.</exception>
    public async Task<SpooledEntry> AddAsync(byte[] line, TaskCompletionSource<AppendedRecord>? done, CancellationToken cancellationToken)
    {
        if (Interlocked.Add(ref _bytes, line.Length + 1) > _maxBytes)
        {
            Interlocked.Add(ref _bytes, -(line.Length + 1));
            throw new LedgerUnavailableException($"The spool {_directory} is full ({_maxBytes} bytes): the ledger role has been away for too long.");
        }

        var adding = new Adding(line, done);
        try
        {
            await _adding.Writer.WriteAsync(adding, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is ChannelClosedException or OperationCanceledException)
        {
            Interlocked.Add(ref _bytes, -(line.Length + 1));
            throw exception is ChannelClosedException ? new LedgerUnavailableException($"The spool {_directory} is closed.", exception) { IsLasting = true } : exception;
        }

        return await adding.Added.Task.ConfigureAwait(false);
    }

    /// <summary>Waits until an entry is there; false once the spool is closed and empty.</summary>
    public ValueTask<bool> WaitAsync(CancellationToken cancellationToken) => _waiting.Reader.WaitToReadAsync(cancellationToken);

    /// <summary>The next entry, which counts as waiting until it is confirmed.</summary>
    public bool TryTake(out SpooledEntry? entry) => _waiting.Reader.TryRead(out entry);

    /// <summary>Whether there is a next entry, and which.</summary>
    public bool TryPeek(out SpooledEntry? entry) => _waiting.Reader.TryPeek(out entry);

    /// <summary>The line of an entry.</summary>
    public byte[] Read(SpooledEntry entry)
    {
        byte[] line = new byte[entry.Length];
        using SafeFileHandle file = LedgerFile.OpenRead(PathOf(entry.File));
        for (int at = 0; at < line.Length;)
        {
            int read = RandomAccess.Read(file, line.AsSpan(at), entry.Offset + at);
            at += read > 0 ? read : throw new EndOfStreamException($"{PathOf(entry.File)} is shorter than what was written to it.");
        }

        return line;
    }

    /// <summary>Notes that an entry and those before it are recorded; files that hold only such ones are removed.</summary>
    public void Confirm(SpooledEntry entry, long confirmedBytes)
    {
        Span<byte> place = stackalloc byte[12];
        BinaryPrimitives.WriteInt32LittleEndian(place, entry.File);
        BinaryPrimitives.WriteInt64LittleEndian(place[4..], entry.Offset + entry.Length + 1);
        RandomAccess.Write(_confirmed, place, 0);
        Interlocked.Add(ref _bytes, -confirmedBytes);
        for (; _oldest < entry.File; _oldest++)
        {
            File.Delete(PathOf(_oldest));
        }
    }

    /// <summary>
    /// Keeps an entry that the role will never take, for people: in <c>refused.jsonl</c>, durable before the entry is confirmed. It was acknowledged as
    /// spooled, so it must not vanish.
    /// </summary>
    public void KeepRefused(SpooledEntry entry)
    {
        byte[] line = [.. Read(entry), (byte)'\n'];
        using SafeFileHandle file = LedgerFile.OpenOrCreate(Path.Combine(_directory, "refused.jsonl"));
        RandomAccess.Write(file, line, RandomAccess.GetLength(file));
        LinuxFile.SyncData(file);
        LinuxFile.SyncDirectory(_directory);
    }

    /// <summary>Keeps what waits from ever being sent: the writer has lost its chain. The files stay, under another name, as evidence.</summary>
    public void SetAside()
    {
        string aside = Path.Combine(_directory, "fenced");
        LedgerFile.CreateDirectory(aside);
        for (; _oldest <= _liveNumber; _oldest++)
        {
            if (File.Exists(PathOf(_oldest)))
            {
                File.Move(PathOf(_oldest), Path.Combine(aside, Path.GetFileName(PathOf(_oldest))), overwrite: true);
            }
        }
    }

    /// <summary>Takes no more; what was added is durable when this returns.</summary>
    public async ValueTask CloseAsync()
    {
        _adding.Writer.TryComplete();
        await _writing.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await CloseAsync().ConfigureAwait(false);
        _live?.Dispose();
        _confirmed.Dispose();
    }

    private void Load(int confirmedFile, long confirmedOffset)
    {
        (int Number, string Path)[] files =
        [
            .. Directory.EnumerateFiles(_directory, "spool-*.jsonl")
                .Select(path => (int.TryParse(Path.GetFileNameWithoutExtension(path).AsSpan(6), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : -1, path))
                .Where(file => file.Item1 > 0).OrderBy(file => file.Item1),
        ];
        _oldest = files is [(int first, _), ..] ? first : confirmedFile + 1;
        _liveNumber = Math.Max(confirmedFile, files is [.., (int last, _)] ? last : 0);
        foreach ((int number, string path) in files)
        {
            if (number < confirmedFile)
            {
                File.Delete(path);
                continue;
            }

            using SafeFileHandle file = LedgerFile.OpenOrCreate(path);
            long size = RandomAccess.GetLength(file);
            if (number == confirmedFile && confirmedOffset == size)
            {
                File.Delete(path); // The role has all of it: texts do not stay here longer than they must.
                continue;
            }

            var scanner = new LineScanner(file, number == confirmedFile ? Math.Min(confirmedOffset, size) : 0, size, RemoteLimits.MaxBodyBytes);
            while (scanner.TryRead(out ReadOnlyMemory<byte> line))
            {
                Interlocked.Add(ref _bytes, line.Length + 1);
                _waiting.Writer.TryWrite(new SpooledEntry(number, scanner.Offset, line.Length, null));
            }

            if (scanner.Offset < size)
            {
                RandomAccess.SetLength(file, scanner.Offset);
                LinuxFile.SyncData(file);
            }
        }
    }

    private async Task WriteAsync()
    {
        var group = new List<Adding>();
        while (await _adding.Reader.WaitToReadAsync(CancellationToken.None).ConfigureAwait(false))
        {
            group.Clear();
            int bytes = 0;
            while (bytes < FileBytes && _adding.Reader.TryRead(out Adding? next))
            {
                group.Add(next);
                bytes += next.Line.Length + 1;
            }

            try
            {
                Write(group, bytes);
            }
            catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception) || exception is LedgerUnavailableException)
            {
                Interlocked.Add(ref _bytes, -bytes);
                foreach (Adding refused in group)
                {
                    refused.Added.SetException(new LedgerUnavailableException($"The spool {_directory} cannot be written: {exception.Message}", exception));
                }
            }
        }

        _waiting.Writer.TryComplete();
    }

    private void Write(List<Adding> group, int bytes)
    {
        // After a failed sync the file is given up; the next one is another file.
        if (_live is null || _live.HasFailed || _live.Length > FileBytes)
        {
            AppendOnlyFile next = AppendOnlyFile.Create(PathOf(_liveNumber + 1), isLost: static () => false);
            _live?.Dispose();
            (_live, _liveNumber) = (next, _liveNumber + 1);
        }

        byte[] lines = new byte[bytes];
        int at = 0;
        foreach (Adding adding in group)
        {
            adding.Line.CopyTo(lines, at);
            at += adding.Line.Length;
            lines[at++] = (byte)'\n';
        }

        long offset = _live.Length;
        _live.Append(lines);
        foreach (Adding adding in group)
        {
            var entry = new SpooledEntry(_liveNumber, offset, adding.Line.Length, adding.Done);
            offset += adding.Line.Length + 1;
            _waiting.Writer.TryWrite(entry); // Unbounded and open: only this task completes it.
            adding.Added.SetResult(entry);
        }
    }

    private string PathOf(int number) => Path.Combine(_directory, string.Create(CultureInfo.InvariantCulture, $"spool-{number:D8}.jsonl"));

    private sealed record Adding(byte[] Line, TaskCompletionSource<AppendedRecord>? Done)
    {
        public TaskCompletionSource<SpooledEntry> Added { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
