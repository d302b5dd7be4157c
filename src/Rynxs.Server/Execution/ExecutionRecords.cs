using System.Diagnostics.CodeAnalysis;

namespace Rynxs.Server.Execution;

/// <summary>
/// The newest answers, for whoever lost the connection. In memory and bounded: the durable evidence of an execution is the audit chain.
/// </summary>
internal sealed class ExecutionRecords
{
    internal const int MaxRecords = 1000;
    internal const long MaxBytes = 64L * 1024 * 1024;

    private readonly Dictionary<string, ExecutionRecord> _records = new(StringComparer.Ordinal);
    private readonly Queue<ExecutionRecord> _order = new();
    private readonly Lock _gate = new();
    private long _bytes;

    public void Add(ExecutionRecord record)
    {
        lock (_gate)
        {
            _records[record.Response.ExecutionId] = record;
            _order.Enqueue(record);
            _bytes += record.Size;
            while (_order.Count > MaxRecords || (_bytes > MaxBytes && _order.Count > 1))
            {
                ExecutionRecord oldest = _order.Dequeue();
                _records.Remove(oldest.Response.ExecutionId);
                _bytes -= oldest.Size;
            }
        }
    }

    public bool TryGet(string executionId, [NotNullWhen(true)] out ExecutionRecord? record)
    {
        lock (_gate)
        {
            return _records.TryGetValue(executionId, out record);
        }
    }
}

/// <summary>An answer, and who may read it again.</summary>
/// <param name="Namespace">Where it ran.</param>
/// <param name="Principal">Who asked.</param>
/// <param name="Response">What was answered.</param>
internal sealed record ExecutionRecord(string Namespace, string Principal, ExecuteResponse Response)
{
    public long Size => 1024 + (2L * (Response.Output.Length + Response.Stdout.Length + Response.Stderr.Length));
}
