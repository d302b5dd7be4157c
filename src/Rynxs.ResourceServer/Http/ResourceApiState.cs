using System.Collections.Concurrent;
using Rynxs.ResourceServer.Discovery;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Http;

/// <summary>What the requests of one mapped API share.</summary>
internal sealed class ResourceApiState(ResourceStore store, ResourceApiOptions options)
{
    private readonly ConcurrentDictionary<string, int> _watches = new();
    private readonly Lock _lock = new();
    private (KindSet Kinds, DiscoveryDocuments Documents)? _discovery;
    private int _allWatches;

    public ResourceStore Store => store;

    public ResourceApiOptions Options => options;

    /// <summary>Documents of the kinds that are served now.</summary>
    public DiscoveryDocuments Discovery(KindSet kinds)
    {
        lock (_lock)
        {
            if (_discovery is not { } known || known.Kinds != kinds)
                _discovery = known = (kinds, new DiscoveryDocuments(kinds, options.OtherResources));
            return known.Documents;
        }
    }

    /// <summary>Counts an open watch until disposed of.</summary>
    /// <exception cref="ApiException">429: there are too many.</exception>
    public IDisposable OpenWatch(string principal)
    {
        lock (_lock)
        {
            int own = _watches.GetValueOrDefault(principal);
            if (_allWatches >= options.MaxWatches || own >= options.MaxWatchesPerPrincipal)
            {
                throw new ApiException(new ApiStatus
                {
                    Code = 429,
                    Reason = "TooManyRequests",
                    Message = "too many watches are open, please try again later",
                    Details = new ApiStatusDetails { RetryAfterSeconds = 1 },
                });
            }

            _allWatches++;
            _watches[principal] = own + 1;
        }

        return new Slot(this, principal);
    }

    private void CloseWatch(string principal)
    {
        lock (_lock)
        {
            _allWatches--;
            if (_watches[principal] == 1)
                _watches.TryRemove(principal, out _);
            else
                _watches[principal]--;
        }
    }

    private sealed class Slot(ResourceApiState state, string principal) : IDisposable
    {
        private int _closed;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _closed, 1) == 0)
                state.CloseWatch(principal);
        }
    }
}
