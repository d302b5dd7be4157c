namespace Rynxs.Server.Execution.Sessions;

/// <summary>One piece of output.</summary>
/// <param name="Number">Counts the pieces of this log from 1.</param>
/// <param name="ExecutionId">Whose it is.</param>
/// <param name="IsError">Standard error.</param>
/// <param name="Data">As it came.</param>
internal sealed record OutputPiece(long Number, string ExecutionId, bool IsError, ReadOnlyMemory<byte> Data);

/// <summary>
/// The newest output of programs, for any number of readers, each at its own place. Writing never waits: what a reader was too slow for is gone, and the jump in the numbers says so.
/// </summary>
internal sealed class OutputLog(int maxBytes)
{
    private readonly LinkedList<OutputPiece> _pieces = new();
    private readonly Lock _gate = new();
    private TaskCompletionSource _more = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _number;
    private long _bytes;
    private bool _ended;

    public void Write(string executionId, bool isError, ReadOnlyMemory<byte> data)
    {
        TaskCompletionSource more;
        lock (_gate)
        {
            _pieces.AddLast(new OutputPiece(++_number, executionId, isError, data));
            _bytes += data.Length;
            while (_bytes > maxBytes && _pieces.First is { } oldest && _pieces.Count > 1)
            {
                _bytes -= oldest.Value.Data.Length;
                _pieces.RemoveFirst();
            }

            more = _more;
            _more = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        more.TrySetResult();
    }

    /// <summary>No more comes.</summary>
    public void End()
    {
        lock (_gate)
        {
            _ended = true;
            _more.TrySetResult();
        }
    }

    /// <summary>What is kept now, from a number on.</summary>
    public IReadOnlyList<OutputPiece> Read(long from)
    {
        lock (_gate)
        {
            return [.. _pieces.Where(piece => piece.Number >= from)];
        }
    }

    /// <summary>From a number on, as it comes, until it ends.</summary>
    public async IAsyncEnumerable<OutputPiece> FollowAsync(long from, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellationToken)
    {
        while (true)
        {
            Task more;
            bool ended;
            lock (_gate)
            {
                (more, ended) = (_more.Task, _ended);
            }

            foreach (OutputPiece piece in Read(from))
            {
                from = piece.Number + 1;
                yield return piece;
            }

            if (ended)
            {
                yield break;
            }

            await more.WaitAsync(cancellationToken);
        }
    }
}
