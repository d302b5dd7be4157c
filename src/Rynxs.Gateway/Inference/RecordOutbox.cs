using System.Globalization;
using System.Text.Json;
using Rynxs.Gateway.Spool;

namespace Rynxs.Gateway.Inference;

/// <summary>
/// Records on their way to the ledger: first on the gateway's own spool, then, in their order, in the ledger, then forgotten. A crash between the two
/// repeats a record, whose key makes the ledger take it once.
/// </summary>
internal sealed class RecordOutbox(GatewaySpool spool, TimeProvider timeProvider) : IDisposable
{
    /// <summary>Beyond it nothing more is served: a ledger that takes nothing for so long is down.</summary>
    public const int MaxWaiting = 50_000;

    private static readonly TimeSpan DenialPeriod = TimeSpan.FromMinutes(1);
    private const int MaxDenialKeys = 4096;

    private readonly Queue<(long Number, string Json)> _waiting = [];
    private readonly Dictionary<(string Caller, string Reason, string? Endpoint), (InferenceRecord.Denied First, long More, DateTimeOffset Since)> _denials = [];
    private readonly SemaphoreSlim _wake = new(0);
    private string _id = Guid.NewGuid().ToString("N");
    private long _last;

    /// <summary>Records that the ledger does not have yet.</summary>
    public int Waiting
    {
        get
        {
            lock (spool.Gate)
            {
                return _waiting.Count;
            }
        }
    }

    /// <summary>Takes a line that was read; whether it was one of ours.</summary>
    public bool TryRestore(string line)
    {
        if (line.StartsWith("A ", StringComparison.Ordinal))
        {
            int space = line.IndexOf(' ', 2);
            long number = long.Parse(line.AsSpan(2, space - 2), CultureInfo.InvariantCulture);
            _waiting.Enqueue((number, line[(space + 1)..]));
            _last = Math.Max(_last, number);
            return true;
        }

        if (line.StartsWith("D ", StringComparison.Ordinal))
        {
            long done = long.Parse(line.AsSpan(2), CultureInfo.InvariantCulture);
            _last = Math.Max(_last, done);
            while (_waiting.TryPeek(out (long Number, string Json) first) && first.Number <= done)
            {
                _waiting.Dequeue();
            }

            return true;
        }

        if (line.StartsWith("I ", StringComparison.Ordinal))
        {
            _id = line[2..];
            return true;
        }

        return false;
    }

    /// <summary>Lines that make the outbox; under the spool's lock.</summary>
    public IEnumerable<string> Snapshot_NeedsLock() =>
        [$"I {_id}", string.Create(CultureInfo.InvariantCulture, $"D {(_waiting.TryPeek(out (long Number, string Json) first) ? first.Number - 1 : _last)}"), .. _waiting.Select(Line)];

    /// <summary>Adds a record; it is with the kernel when this returns.</summary>
    /// <param name="record">The record.</param>
    /// <param name="urgent">Somebody waits for it to be on the disk.</param>
    /// <exception cref="SpoolUnavailableException">It is not written, or too many wait.</exception>
    public void Add(InferenceRecord record, bool urgent)
    {
        string json = JsonSerializer.Serialize(record, InferenceRecordJson.Default.InferenceRecord);
        lock (spool.Gate)
        {
            if (_waiting.Count >= MaxWaiting)
            {
                throw new SpoolUnavailableException("The ledger has taken no records for too long.");
            }

            (long Number, string Json) next = (_last + 1, json);
            spool.Append(Line(next), urgent);
            _last++;
            _waiting.Enqueue(next);
        }

        Wake();
    }

    /// <summary>Adds a denial, or counts it when the same was told within the last minute.</summary>
    public void AddDenial(InferenceRecord.Denied denied)
    {
        DateTimeOffset now = timeProvider.GetUtcNow();
        (string, string, string?) key = (denied.Caller.Key, denied.Reason, denied.Endpoint);
        lock (spool.Gate)
        {
            if (_denials.TryGetValue(key, out (InferenceRecord.Denied First, long More, DateTimeOffset Since) told))
            {
                _denials[key] = told with { More = told.More + 1 };
                return;
            }

            if (_denials.Count < MaxDenialKeys)
            {
                _denials[key] = (denied, 0, now);
            }
        }

        Add(denied, urgent: false);
    }

    /// <summary>Gives the ledger what waits, until cancelled. A ledger that is down is tried again every second.</summary>
    public async Task RunAsync(IInferenceLog log, CancellationToken cancellationToken)
    {
        while (true)
        {
            FlushDenials();
            if (!TryPeek(out (long Number, string Json) next))
            {
                await _wake.WaitAsync(TimeSpan.FromSeconds(1), cancellationToken).ConfigureAwait(false);
                continue;
            }

            InferenceRecord record = JsonSerializer.Deserialize(next.Json, InferenceRecordJson.Default.InferenceRecord)
                ?? throw new InvalidDataException("A record of the gateway's spool is empty.");
            try
            {
                await log.WriteAsync(record, $"gateway-{_id}-{next.Number}", cancellationToken).ConfigureAwait(false);
            }
            catch (IOException)
            {
                await Task.Delay(TimeSpan.FromSeconds(1), timeProvider, cancellationToken).ConfigureAwait(false);
                continue;
            }

            lock (spool.Gate)
            {
                _waiting.Dequeue();
                if (spool.Failure is null)
                {
                    spool.Append(string.Create(CultureInfo.InvariantCulture, $"D {next.Number}"), urgent: false);
                }
            }
        }
    }

    public void Dispose() => _wake.Dispose();

    private static string Line((long Number, string Json) record) => string.Create(CultureInfo.InvariantCulture, $"A {record.Number} {record.Json}");

    private bool TryPeek(out (long Number, string Json) next)
    {
        lock (spool.Gate)
        {
            return _waiting.TryPeek(out next);
        }
    }

    private void FlushDenials()
    {
        DateTimeOffset due = timeProvider.GetUtcNow() - DenialPeriod;
        List<InferenceRecord.Denied> told = [];
        lock (spool.Gate)
        {
            foreach (((string, string, string?) key, (InferenceRecord.Denied First, long More, DateTimeOffset Since) value) in _denials.Where(pair => pair.Value.Since <= due).ToArray())
            {
                _denials.Remove(key);
                if (value.More > 0)
                {
                    told.Add(value.First with { Count = value.More });
                }
            }
        }

        foreach (InferenceRecord.Denied denied in told)
        {
            Add(denied, urgent: false);
        }
    }

    private void Wake()
    {
        if (_wake.CurrentCount == 0)
        {
            _wake.Release();
        }
    }
}
