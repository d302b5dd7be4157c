using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Chains;

/// <summary>
/// A copy of a chain's lines in one file (an agent's <c>audit.jsonl</c>). A convenience: its failures are counted and never stop an
/// append; it catches up from the chain when it can be written again.
/// </summary>
/// <remarks>One caller at a time: the committer.</remarks>
internal sealed class MirrorFile(string path, IChainStore store, TimeProvider time) : IDisposable
{
    private static readonly TimeSpan RetryAfter = TimeSpan.FromSeconds(5);

    private SafeFileHandle? _file;
    private long _length;
    private long _nextSeq;
    private long _failedAt;
    private long _failures;

    /// <summary>How often the copy could not be made.</summary>
    public long Failures => Interlocked.Read(ref _failures);

    public string Path { get; } = path;

    /// <summary>Brings the mirror to what is committed.</summary>
    /// <param name="firstSeq">Sequence of the first of the lines.</param>
    /// <param name="last">The lines of the last commit.</param>
    /// <param name="head">The head that the commit made.</param>
    public async ValueTask FollowAsync(long firstSeq, ReadOnlyMemory<byte> last, ChainHead head)
    {
        if (_file is null && _failedAt != 0 && time.GetElapsedTime(_failedAt) < RetryAfter)
        {
            return;
        }

        try
        {
            if (_file is not null && _nextSeq == firstSeq)
            {
                RandomAccess.Write(_file, last.Span, _length);
                _length += last.Length;
            }
            else
            {
                _file?.Dispose();
                _file = null;
                _file = await ContinueAsync(head).ConfigureAwait(false) ?? await RebuildAsync(head).ConfigureAwait(false);
            }

            _nextSeq = head.Seq + 1;
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception) || exception is LedgerUnavailableException)
        {
            Interlocked.Increment(ref _failures);
            _failedAt = time.GetTimestamp();
            _file?.Dispose();
            _file = null;
        }
    }

    public void Dispose() => _file?.Dispose();

    /// <summary>Adds to the file what it lacks, if it is a beginning of the chain; null when it is not.</summary>
    private async Task<SafeFileHandle?> ContinueAsync(ChainHead head)
    {
        // A link would let its target be overwritten; a rename replaces the link itself.
        if (!File.Exists(Path) || new FileInfo(Path).LinkTarget is not null)
        {
            return null;
        }

        SafeFileHandle file = LedgerFile.OpenOrCreate(Path);
        try
        {
            long length = RandomAccess.GetLength(file);
            long at = 0;
            byte[] mine = [];
            await foreach (StoredLines stored in store.ReadAsync(0, head, CancellationToken.None).ConfigureAwait(false))
            {
                ReadOnlyMemory<byte> lines = UpTo(head, stored);
                int common = (int)Math.Min(lines.Length, Math.Max(0, length - at));
                mine = mine.Length < common ? new byte[Math.Max(common, 128 * 1024)] : mine;
                if (ReadFully(file, mine.AsSpan(0, common), at) != common || !mine.AsSpan(0, common).SequenceEqual(lines.Span[..common]))
                {
                    file.Dispose();
                    return null;
                }

                RandomAccess.Write(file, lines.Span[common..], at + common);
                at += lines.Length;
            }

            if (at < length)
            {
                file.Dispose();
                return null;
            }

            _length = at;
            return file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Writes the chain anew beside the mirror and renames it into place.</summary>
    private async Task<SafeFileHandle> RebuildAsync(ChainHead head)
    {
        string draft = Path + ".rebuild";
        File.Delete(draft);
        SafeFileHandle fresh = LedgerFile.CreateEmpty(draft);
        try
        {
            long at = 0;
            await foreach (StoredLines stored in store.ReadAsync(0, head, CancellationToken.None).ConfigureAwait(false))
            {
                ReadOnlyMemory<byte> lines = UpTo(head, stored);
                RandomAccess.Write(fresh, lines.Span, at);
                at += lines.Length;
            }

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

    /// <summary>The committer reads, so nothing is committed meanwhile: a store gives at most what is committed.</summary>
    private static ReadOnlyMemory<byte> UpTo(ChainHead head, StoredLines stored) => stored.FirstSeq > head.Seq ? default : stored.Lines;

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
