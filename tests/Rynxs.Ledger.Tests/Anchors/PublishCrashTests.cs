using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Anchors;

/// <summary>A publisher that dies before or after any of its durable steps: the next one goes on, and nothing that anybody was shown is contradicted.</summary>
public sealed class PublishCrashTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task F3_a_crash_at_any_step_of_publishing_leaves_a_log_that_goes_on_and_verifies(bool afterTheStep)
    {
        string keys = _directory.At("keys");
        SignedCheckpoint before;
        PinnedKey key;
        await using (PublishedLedger first = await PublishedLedger.OpenAsync(_directory.At("first"), keys))
        {
            // Near the edge of a tile, so that a full tile is made and partial ones are dropped.
            await Task.WhenAll(Enumerable.Range(1000, 250).SelectMany(number => new[] { first.AgentChain, first.Control }.Select(
                chain => chain.AppendAsync(Entries.Numbered(number), Cancelled).AsTask())));
            await first.AppendAndPublishAsync(1);
            (before, key) = (first.Checkpoint(), first.Key);
        }

        int steps = 0;
        for (bool crashed = true; crashed; steps++)
        {
            string path = _directory.At($"ledger-{steps}");
            PublishedLedger.Copy(_directory.At("first"), path);
            SignedCheckpoint between;
            var fuse = new Fuse(steps, afterTheStep);
            await using (PublishedLedger dying = await PublishedLedger.OpenAsync(path, keys, around: store => new DyingStore(store, fuse)))
            {
                await dying.AppendAsync(6);
                crashed = false;
                try
                {
                    await dying.Log.PublishAsync(Cancelled);
                }
                catch (CrashException)
                {
                    crashed = true;
                }

                between = dying.Checkpoint(); // What an auditor could have fetched in that moment.
            }

            ChainVerifier.VerifyPath(path, new VerificationOptions { Keys = [key], Checkpoints = [new KeptCheckpoint("before", before)] }, Cancelled)
                .Valid.ShouldBeTrue($"after the crash at step {steps}");
            await using (PublishedLedger next = await PublishedLedger.OpenAsync(path, keys))
            {
                (await next.AppendAndPublishAsync(1)).Alarms.ShouldBeEmpty($"step {steps}");
            }

            LedgerVerification verified = ChainVerifier.VerifyPath(
                path,
                new VerificationOptions { Keys = [key], Checkpoints = [new KeptCheckpoint("before", before), new KeptCheckpoint("between", between)] }, Cancelled);
            verified.Valid.ShouldBeTrue($"step {steps}: {verified.Chains.FirstOrDefault(chain => chain.Failure is not null)?.Failure?.Message}");
        }

        steps.ShouldBeGreaterThan(5, "tiles, anchor and checkpoint of two chains are steps of their own");
    }

    private sealed class CrashException : Exception;

    private sealed class Fuse(int at, bool after)
    {
        private int _steps;
        private bool _dead;

        public async ValueTask StepAsync(Func<ValueTask> step)
        {
            bool now = _steps++ == at;
            if (_dead || (now && !after))
            {
                _dead = true;
                throw new CrashException();
            }

            await step();
            if (now)
            {
                _dead = true;
                throw new CrashException();
            }
        }
    }

    private sealed class DyingStore(ITreeStore inner, Fuse fuse) : ITreeStore
    {
        public ValueTask<byte[]?> TryReadAsync(string path, int maxBytes, CancellationToken cancellationToken) => inner.TryReadAsync(path, maxBytes, cancellationToken);

        /// <summary>Blob by blob: the contract promises nothing about which of several are there after a crash.</summary>
        public async ValueTask WriteAsync(IReadOnlyList<TreeBlob> blobs, CancellationToken cancellationToken)
        {
            foreach (TreeBlob blob in blobs)
            {
                await fuse.StepAsync(() => inner.WriteAsync([blob], cancellationToken));
            }
        }

        public ValueTask DeletePartialsAsync(string path, CancellationToken cancellationToken) => fuse.StepAsync(() => inner.DeletePartialsAsync(path, cancellationToken));
    }
}
