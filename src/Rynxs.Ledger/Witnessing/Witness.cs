using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;

namespace Rynxs.Ledger.Witnessing;

/// <summary>Settings of a <see cref="Witness"/>.</summary>
public sealed record WitnessOptions
{
    /// <summary>Where the last cosigned checkpoint of each log is kept; created (mode 0700) when it does not exist.</summary>
    public required string Directory { get; init; }

    /// <summary>The witness's keys, of type 4.</summary>
    public required KeyDirectory Keys { get; init; }

    /// <summary>Public keys of the logs that are cosigned, by the origin of their checkpoints. Others are unknown.</summary>
    public required IReadOnlyList<WitnessedLog> Logs { get; init; }

    /// <summary>
    /// Gives the logs anew, asked before each checkpoint, so that a log may rotate its key while the witness runs; null: they stay as they are. It throws
    /// <see cref="InvalidDataException"/> when the list cannot be read: nothing is cosigned then, because a key may have been taken out of it.
    /// </summary>
    public Func<IReadOnlyList<WitnessedLog>>? ReadLogs { get; init; }

    /// <summary>Clock of the cosignatures.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}

/// <summary>A log that a witness follows.</summary>
/// <param name="Origin">Origin line of its checkpoints.</param>
/// <param name="Keys">Its public keys; several while it rotates.</param>
public sealed record WitnessedLog(string Origin, IReadOnlyList<VerifierKey> Keys);

/// <summary>An answer of the witness protocol.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="Body">Signature lines (200), the size (409), or one line for people.</param>
/// <param name="ContentType">Of the body.</param>
public sealed record WitnessAnswer(int Status, string Body, string ContentType = "text/plain; charset=utf-8");

/// <summary>
/// Cosigns checkpoints that continue what it saw before, and nothing else (C2SP tlog-witness, <c>add-checkpoint</c>): so two parties who both
/// insist on its cosignature cannot be shown two histories.
/// </summary>
/// <remarks>
/// The state is one file per log, durable before the answer leaves. Requests take turns: comparing with the last size and storing the new one
/// are one step. Whoever restores an old copy of the state makes the witness forget; back up its key, never its state.
/// </remarks>
public sealed class Witness : IDisposable
{
    private readonly WitnessOptions _options;
    private readonly LedgerLock _lock;
    private readonly SemaphoreSlim _turn = new(1);
    private readonly Dictionary<string, (TreeCheckpoint Checkpoint, SignedNote Note)> _latest = [];
    private bool _disposed;

    private Witness(WitnessOptions options, LedgerLock ledgerLock) => (_options, _lock) = (options, ledgerLock);

    /// <summary>Opens the state.</summary>
    /// <exception cref="LedgerLockedException">Another process has it.</exception>
    /// <exception cref="LedgerCorruptException">What was stored is not what this witness cosigned. It then cosigns nothing until a person looked.</exception>
    /// <exception cref="LedgerUnavailableException">The directory cannot be used.</exception>
    public static Witness Open(WitnessOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        try
        {
            LedgerFile.CreateDirectory(options.Directory);
            var witness = new Witness(options, LedgerLock.Take(options.Directory, takeOver: false));
            try
            {
                foreach (WitnessedLog log in options.Logs)
                {
                    witness.Load(log);
                }

                return witness;
            }
            catch
            {
                witness.Dispose();
                throw;
            }
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"The witness's state {options.Directory} cannot be used: {exception.Message}", exception);
        }
    }

    /// <summary>Answers <c>POST add-checkpoint</c>.</summary>
    /// <param name="body">At most <see cref="ConsistencyProof.MaxBytes"/> bytes.</param>
    /// <param name="cancellationToken">Ends the wait for its turn; what has begun is finished.</param>
    /// <exception cref="LedgerUnavailableException">The state cannot be stored; nothing was cosigned.</exception>
    public async Task<WitnessAnswer> AddCheckpointAsync(ReadOnlyMemory<byte> body, CancellationToken cancellationToken)
    {
        ConsistencyProof request;
        TreeCheckpoint checkpoint;
        try
        {
            request = ConsistencyProof.Parse(body.Span);
            checkpoint = TreeCheckpoint.Parse(request.Checkpoint.Text);
        }
        catch (FormatException exception)
        {
            return new WitnessAnswer(400, exception.Message + "\n");
        }

        if (ReadLogs().FirstOrDefault(log => log.Origin == checkpoint.Origin) is not { } known)
        {
            return new WitnessAnswer(404, "This witness does not know the log of that origin.\n");
        }

        IReadOnlyList<NoteSignature> signatures;
        try
        {
            IReadOnlyList<VerifierKey> signed = request.Checkpoint.VerifyBy(known.Keys);
            signatures = [.. request.Checkpoint.Signatures.Where(signature => signed.Any(key => key.Name == signature.Name && key.Id == signature.Id))];
        }
        catch (FormatException exception)
        {
            return new WitnessAnswer(403, exception.Message + "\n");
        }

        if (signatures.Count == 0)
        {
            return new WitnessAnswer(403, "No key of the log signed the checkpoint.\n");
        }

        if (request.OldSize > checkpoint.Size)
        {
            return new WitnessAnswer(400, "The old size is larger than the checkpoint's.\n");
        }

        await _turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            RefreshKeys();
            if (!_latest.ContainsKey(known.Origin))
            {
                Load(known); // A log that was added while the witness ran may have a past here.
            }

            return Decide(request, checkpoint, signatures);
        }
        catch (LedgerCorruptException exception)
        {
            throw new LedgerUnavailableException(exception.Message, exception);
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>The last cosigned checkpoint of a log, by the SHA-256 of its origin in hexadecimal; null when there is none.</summary>
    public async Task<SignedNote?> LatestAsync(string originHash, CancellationToken cancellationToken)
    {
        await _turn.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            return _latest.Where(entry => HashOf(entry.Key) == originHash).Select(entry => entry.Value.Note).FirstOrDefault();
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!Interlocked.Exchange(ref _disposed, true))
        {
            _lock.Dispose();
            _turn.Dispose();
        }
    }

    private WitnessAnswer Decide(ConsistencyProof request, TreeCheckpoint checkpoint, IReadOnlyList<NoteSignature> signatures)
    {
        bool seen = _latest.TryGetValue(checkpoint.Origin, out (TreeCheckpoint Checkpoint, SignedNote Note) last);
        long size = seen ? last.Checkpoint.Size : 0;
        if (request.OldSize != size)
        {
            return new WitnessAnswer(409, size.ToString(CultureInfo.InvariantCulture) + "\n", "text/x.tlog.size");
        }

        TreeHash root = seen ? last.Checkpoint.Root : TreeHash.OfEmptyTree;
        if (!MerkleProof.VerifyConsistency(size, root, checkpoint.Size, checkpoint.Root, request.Path)
            || (checkpoint.Size == 0 && checkpoint.Root != TreeHash.OfEmptyTree))
        {
            return new WitnessAnswer(422, "The checkpoint is not shown to continue the one that was cosigned last.\n");
        }

        DateTimeOffset now = _options.TimeProvider.GetUtcNow();
        NoteSignature[] mine = [.. _options.Keys.SigningAt(now).Select(key => key.Cosign(request.Checkpoint.Text, now))];
        var note = new SignedNote(request.Checkpoint.Text, [.. signatures, .. mine]);
        try
        {
            LedgerFile.Replace(PathOf(checkpoint.Origin), note.ToBytes());
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new LedgerUnavailableException($"The witness's state cannot be stored: {exception.Message}", exception);
        }

        _latest[checkpoint.Origin] = (checkpoint, note);
        return new WitnessAnswer(200, string.Concat(mine.Select(signature => signature.ToLine())));
    }

    private IReadOnlyList<WitnessedLog> ReadLogs()
    {
        try
        {
            return _options.ReadLogs?.Invoke() ?? _options.Logs;
        }
        catch (InvalidDataException exception)
        {
            throw new LedgerUnavailableException(exception.Message, exception);
        }
    }

    /// <summary>The witness's own key may have been rotated.</summary>
    private void RefreshKeys()
    {
        try
        {
            _options.Keys.Refresh();
        }
        catch (KeyDirectoryException exception)
        {
            throw new LedgerUnavailableException(exception.Message, exception);
        }
    }

    private void Load(WitnessedLog log)
    {
        string path = PathOf(log.Origin);
        if (!File.Exists(path))
        {
            return;
        }

        try
        {
            using SafeFileHandle file = LedgerFile.OpenRead(path);
            byte[] content = new byte[Math.Min(RandomAccess.GetLength(file), SignedNote.MaxBytes + 1)];
            SignedNote note = SignedNote.Parse(content.AsSpan(0, RandomAccess.Read(file, content, 0)));
            TreeCheckpoint checkpoint = TreeCheckpoint.Parse(note.Text);
            if (checkpoint.Origin != log.Origin || note.VerifyBy(_options.Keys.Keys.Select(key => key.PublicKey)).Count == 0)
            {
                throw new FormatException("this witness did not cosign it");
            }

            _latest.Add(log.Origin, (checkpoint, note));
        }
        catch (FormatException exception)
        {
            throw new LedgerCorruptException($"{path}, the last checkpoint of {log.Origin}, was changed: {exception.Message}", path, -1, null, null);
        }
    }

    private string PathOf(string origin) => Path.Combine(_options.Directory, HashOf(origin) + ".checkpoint");

    private static string HashOf(string origin) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(origin)));
}
