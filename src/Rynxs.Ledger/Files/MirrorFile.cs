using Microsoft.Win32.SafeHandles;

namespace Rynxs.Ledger.Files;

/// <summary>
/// A copy of a chain's lines in one file (an agent's <c>audit.jsonl</c>). A convenience: its failures are counted and never stop an
/// append; it catches up from the chain when it can be written again.
/// </summary>
/// <remarks>One caller at a time: first the open, then the commit loop.</remarks>
internal sealed class MirrorFile(string path, TimeProvider time) : IDisposable
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    private SafeFileHandle? _file;
    private long _length;
    private long _failedAt;
    private long _failures;

    /// <summary>How often the copy could not be made.</summary>
    public long Failures => Interlocked.Read(ref _failures);

    public string Path { get; } = path;

    /// <summary>Brings the mirror to what is committed.</summary>
    /// <param name="committed">What the chain holds.</param>
    /// <param name="last">The lines of the last commit, which end at <c>committed.Bytes</c>; may be empty.</param>
    public void Follow(ChainSnapshot committed, ReadOnlySpan<byte> last)
    {
        if (_file is null && _failedAt != 0 && time.GetElapsedTime(_failedAt) < RetryAfter)
        {
            return;
        }

        try
        {
            _file ??= OpenAgreeing(committed);
            if (_length == committed.Bytes - last.Length)
            {
                Write(last);
            }
            else
            {
                committed.Copy(_length, chunk =>
                {
                    Write(chunk);
                    return true;
                });
            }
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            Interlocked.Increment(ref _failures);
            _failedAt = time.GetTimestamp();
            _file?.Dispose();
            _file = null;
        }
    }

    public void Dispose() => _file?.Dispose();

    private void Write(ReadOnlySpan<byte> bytes)
    {
        if (_file is null)
        {
            return;
        }

        RandomAccess.Write(_file, bytes, _length);
        _length += bytes.Length;
    }

    /// <summary>Opens the mirror if it is a beginning of the chain; else writes it anew beside and renames it into place.</summary>
    private SafeFileHandle OpenAgreeing(ChainSnapshot committed)
    {
        // A link would let its target be overwritten; a rename replaces the link itself.
        if (File.Exists(Path) && new FileInfo(Path).LinkTarget is null)
        {
            SafeFileHandle existing = LedgerFile.OpenOrCreate(Path);
            if (IsBeginning(existing, committed))
            {
                _length = RandomAccess.GetLength(existing);
                return existing;
            }

            existing.Dispose();
        }

        string draft = Path + ".rebuild";
        File.Delete(draft);
        SafeFileHandle fresh = LedgerFile.CreateEmpty(draft);
        try
        {
            long at = 0;
            committed.Copy(0, chunk =>
            {
                RandomAccess.Write(fresh, chunk, at);
                at += chunk.Length;
                return true;
            });
            LinuxFile.SyncData(fresh);
            File.Move(draft, Path, overwrite: true);
            _length = at;
            return fresh;
        }
        catch
        {
            fresh.Dispose();
            throw;
        }
    }

    private static bool IsBeginning(SafeFileHandle mirror, ChainSnapshot committed)
    {
        long length = RandomAccess.GetLength(mirror);
        if (length > committed.Bytes)
        {
            return false;
        }

        byte[] mine = new byte[128 * 1024];
        long at = 0;
        bool same = true;
        committed.Copy(0, chunk =>
        {
            int wanted = (int)Math.Min(chunk.Length, length - at);
            if (wanted == 0)
            {
                return false;
            }

            int read = ReadFully(mirror, mine.AsSpan(0, wanted), at);
            same = read == wanted && mine.AsSpan(0, read).SequenceEqual(chunk[..read]);
            at += read;
            return same;
        });
        return same;
    }

    private static int ReadFully(SafeFileHandle file, Span<byte> into, long offset)
    {
        int total = 0;
        while (total < into.Length && RandomAccess.Read(file, into[total..], offset + total) is int read and > 0)
        {
            total += read;
        }

        return total;
    }
}
