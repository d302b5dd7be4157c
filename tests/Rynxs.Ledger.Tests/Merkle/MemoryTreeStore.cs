using System.Collections.Concurrent;
using Rynxs.Ledger.Merkle;

namespace Rynxs.Ledger.Tests.Merkle;

/// <summary>A tree's blobs in memory, for properties over many trees; files are tested where durability matters.</summary>
internal sealed class MemoryTreeStore : ITreeStore
{
    public ConcurrentDictionary<string, byte[]> Blobs { get; } = [];

    public ValueTask<byte[]?> TryReadAsync(string path, int maxBytes, CancellationToken cancellationToken) =>
        ValueTask.FromResult(Blobs.TryGetValue(path, out byte[]? content) ? content : null);

    public ValueTask WriteAsync(IReadOnlyList<TreeBlob> blobs, CancellationToken cancellationToken)
    {
        foreach (TreeBlob blob in blobs)
        {
            TilePath.IsValid(blob.Path).ShouldBeTrue(blob.Path);
            Blobs[blob.Path] = blob.Content.ToArray();
        }

        return ValueTask.CompletedTask;
    }

    public ValueTask DeletePartialsAsync(string path, CancellationToken cancellationToken)
    {
        foreach (string partial in Blobs.Keys.Where(key => key.StartsWith(path + ".p/", StringComparison.Ordinal)))
        {
            Blobs.TryRemove(partial, out _);
        }

        return ValueTask.CompletedTask;
    }
}
