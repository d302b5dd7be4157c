using System.Text.Json.Serialization;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Remote;

/// <summary>A ledger behind the role <c>ledger</c>: for processes that hold no keys of the store.</summary>
/// <remarks>
/// The spool directory belongs to one process at a time (a lock). What an earlier process left in it is sent when the ledger is opened. Chains
/// have no mirror here.
/// </remarks>
public sealed class RemoteLedger : ILedger
{
    private readonly RemoteLedgerOptions _options;
    private readonly LedgerLock _lock;
    private readonly RoleClient _role;
    private readonly SemaphoreSlim _opening = new(1);
    private readonly Dictionary<ChainId, RemoteChain> _chains = [];
    private IReadOnlyList<ChainId> _found = [];
    private bool _disposed;

    private RemoteLedger(RemoteLedgerOptions options, LedgerLock ledgerLock, RoleClient role) => (_options, _lock, _role) = (options, ledgerLock, role);

    /// <summary>Opens the spool and begins to send what is in it. The role may be away.</summary>
    /// <exception cref="LedgerLockedException">Another process has the spool.</exception>
    /// <exception cref="LedgerUnavailableException">The spool cannot be read or written.</exception>
    public static async Task<RemoteLedger> OpenAsync(RemoteLedgerOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.SpoolBytes, LedgerLimits.MaxRecordBytes);
        var role = new RoleClient(options);
        LedgerLock ledgerLock;
        try
        {
            LedgerFile.CreateDirectory(options.SpoolDirectory);
            ledgerLock = LedgerLock.Take(options.SpoolDirectory);
        }
        catch (LedgerLockedException)
        {
            role.Dispose();
            throw;
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            role.Dispose();
            throw new LedgerUnavailableException($"The spool {options.SpoolDirectory} cannot be opened: {exception.Message}", exception);
        }

        var ledger = new RemoteLedger(options, ledgerLock, role);
        try
        {
            foreach (ChainId left in FileLedger.ListChains(options.SpoolDirectory))
            {
                await ledger.OpenAsync(left, new ChainOptions(), cancellationToken).ConfigureAwait(false);
            }

            ledger._found = await ledger.TryListAsync(cancellationToken).ConfigureAwait(false);
            return ledger;
        }
        catch
        {
            await ledger.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Opens a chain and claims it: who had it is fenced. When the role is away the claim is made when it is back.</summary>
    /// <inheritdoc/>
    public async ValueTask<ILedgerChain> OpenAsync(ChainId id, ChainOptions options, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(id);
        ArgumentNullException.ThrowIfNull(options);
        if (options.MirrorPath is not null)
        {
            throw new ArgumentException("A remote chain has no mirror.", nameof(options));
        }

        await _opening.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (!_chains.TryGetValue(id, out RemoteChain? chain))
            {
                Spool spool = Spool.Open(Path.Combine(_options.SpoolDirectory, id.RelativePath), _options.SpoolBytes);
                chain = new RemoteChain(id, _options, _role, spool);
                _chains.Add(id, chain);
            }

            if (chain.IsFenced)
            {
                throw new LedgerFencedException($"Another writer has the chain {id}. Open the ledger again only when this process is to lead again.");
            }

            // Long enough for a role that is there; one that is not must not keep its writers from starting.
            await Task.WhenAny(chain.Claimed, Task.Delay(TimeSpan.FromSeconds(2), _options.TimeProvider, cancellationToken)).ConfigureAwait(false);
            cancellationToken.ThrowIfCancellationRequested();
            return chain;
        }
        finally
        {
            _opening.Release();
        }
    }

    /// <summary>The chains that the role had when the ledger was opened, and those that were opened since.</summary>
    public IReadOnlyList<ChainId> ListChains()
    {
        lock (_chains)
        {
            return [.. _found.Union(_chains.Keys).OrderBy(chain => chain.RelativePath, StringComparer.Ordinal)];
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await _opening.WaitAsync(CancellationToken.None).ConfigureAwait(false);
        try
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            await Task.WhenAll(_chains.Values.Select(chain => chain.DisposeAsync().AsTask())).ConfigureAwait(false);
            _role.Dispose();
            _lock.Dispose();
        }
        finally
        {
            _opening.Release();
        }
    }

    private async Task<IReadOnlyList<ChainId>> TryListAsync(CancellationToken cancellationToken)
    {
        try
        {
            RemoteChains chains = await _role.ListAsync(cancellationToken).ConfigureAwait(false);
            return [.. chains.Chains.Select(ChainId.TryParse).OfType<ChainId>()];
        }
        catch (LedgerUnavailableException)
        {
            return []; // The role is away.
        }
    }
}

/// <summary>Lines of the spool: entries as they are sent.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = System.Text.Json.Serialization.JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(RemoteEntry))]
internal sealed partial class SpoolJson : JsonSerializerContext;
