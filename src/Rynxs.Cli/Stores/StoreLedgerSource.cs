using Rynxs.Ledger;
using Rynxs.Ledger.Stores.Copying;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Cli.Stores;

/// <summary>Hands the bytes of any store to the verifier; interprets nothing.</summary>
internal sealed class StoreLedgerSource(string name, LedgerReader reader) : LedgerSource
{
    public override string Name => name;

    public override async Task<IReadOnlyList<ChainSource>> ListChainsAsync(CancellationToken cancellationToken) =>
        [.. (await reader.ListChainsAsync(cancellationToken)).Select(id => new StoredChainSource(name, reader, id))];

    private sealed class StoredChainSource(string store, LedgerReader reader, ChainId id) : ChainSource
    {
        public override string Chain => id.RelativePath;

        public override string Location => store;

        // Without the head that the store states: the verifier must see rows or objects behind it.
        public override Task<IReadOnlyList<SegmentSource>> ListSegmentsAsync(CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<SegmentSource>>(
        [
            new SegmentSource($"{store}, chain {id}", null, token => Task.FromResult<Stream>(new LineStream(LinesAsync(token).GetAsyncEnumerator(token)))),
        ]);

        public override Task<IReadOnlyList<SegmentSource>> ListBlobFilesAsync(CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<SegmentSource>>(
        [
            new SegmentSource($"{store}, side blobs of {id}", null, token => Task.FromResult<Stream>(new LineStream(reader.ReadBlobsAsync(id, token).GetAsyncEnumerator(token)))),
        ]);

        public override async ValueTask<byte[]?> TryReadTreeAsync(string path, int maxBytes, CancellationToken cancellationToken)
        {
            try
            {
                return await reader.OpenTree(id).TryReadAsync(path, maxBytes, cancellationToken);
            }
            catch (LedgerCorruptException)
            {
                // Longer than may be: as many zeros say the same to the verifier, whose the verdict is.
                return new byte[maxBytes + 1];
            }
        }

        private async IAsyncEnumerable<ReadOnlyMemory<byte>> LinesAsync([System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
        {
            await foreach (RawLines lines in reader.ReadLinesAsync(id, 0, head: null, cancellationToken))
            {
                yield return lines.Lines;
            }
        }
    }

    /// <summary>Pieces of memory, one after the other, as a stream for one reading.</summary>
    private sealed class LineStream(IAsyncEnumerator<ReadOnlyMemory<byte>> pieces) : Stream
    {
        private ReadOnlyMemory<byte> _rest;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            while (_rest.IsEmpty)
            {
                if (!await pieces.MoveNextAsync())
                {
                    return 0;
                }

                _rest = pieces.Current;
            }

            int length = Math.Min(buffer.Length, _rest.Length);
            _rest[..length].CopyTo(buffer);
            _rest = _rest[length..];
            return length;
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("Reads are asynchronous.");

        public override async ValueTask DisposeAsync()
        {
            await pieces.DisposeAsync();
            await base.DisposeAsync();
        }

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
