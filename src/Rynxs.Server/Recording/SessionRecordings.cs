using System.Diagnostics.Metrics;
using System.Globalization;
using Rynxs.Agents.Tools;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Recording;
using Rynxs.Server.Audit;

namespace Rynxs.Server.Recording;

/// <summary>
/// Keeps the output of programs in sandboxes below <c>recordings/NAMESPACE/AGENT/</c> of the state directory, and links each file from the agent's
/// audit chain by its hash. Only with <c>--record-sessions</c>.
/// </summary>
/// <remarks>
/// A recording is evidence beside the outcome, not a condition of it: one that cannot be written is logged and the execution stands. It is
/// written after the program ended, so a crash in between loses the recording and not the outcome.
/// </remarks>
internal sealed partial class SessionRecordings : IOutputRecordings, IDisposable
{
    /// <summary>All recordings together: 4 GiB. Beyond it new ones are not kept, which is counted and logged; none is removed to make room, as they are evidence.</summary>
    internal const long MaxTotalBytes = 4L * 1024 * 1024 * 1024;

    private const int MaxSameName = 1000;

    private readonly string _root;
    private readonly AgentChains _chains;
    private readonly TimeProvider _timeProvider;
    private readonly ILogger<SessionRecordings> _logger;
    private readonly Meter _meter;
    private readonly Counter<long> _lost;
    private readonly long _maxTotalBytes;
    private long _bytes;

    public SessionRecordings(
        string root, AgentChains chains, TimeProvider timeProvider, IMeterFactory meters, ILogger<SessionRecordings> logger, long maxTotalBytes = MaxTotalBytes)
    {
        (_root, _chains, _timeProvider, _logger, _maxTotalBytes) = (root, chains, timeProvider, logger, maxTotalBytes);
        _bytes = Directory.Exists(root) ? Directory.EnumerateFiles(root, "*.cast", SearchOption.AllDirectories).Sum(file => new FileInfo(file).Length) : 0;
        _meter = meters.Create("Rynxs.Recordings");
        _meter.CreateObservableGauge("rynxs_recordings_bytes", () => Interlocked.Read(ref _bytes), "By", "Bytes of all recordings.");
        _lost = _meter.CreateCounter<long>("rynxs_recordings_lost_total", null, "Recordings that could not be kept.");
    }

    /// <summary>A recorder for one program.</summary>
    public SessionRecorder Start() => new(new RecordingOptions { TimeProvider = _timeProvider });

    /// <summary>Writes the file and its link.</summary>
    /// <param name="recorder">Has the output.</param>
    /// <param name="agentNamespace">Whose it is.</param>
    /// <param name="chainName">Name of its audit chain.</param>
    /// <param name="principal">In whose name the program ran.</param>
    /// <param name="callId">As in the records of the call.</param>
    /// <param name="sandbox">Where it ran; null when that is not known here.</param>
    public async Task KeepAsync(SessionRecorder recorder, string agentNamespace, string chainName, string principal, string callId, string? sandbox)
    {
        // Ids of calls hold only letters, digits, '-' and ':'; anything else could be a path.
        string name = new([.. callId.Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' ? c : '_').Take(100)]);
        try
        {
            if (Interlocked.Read(ref _bytes) >= _maxTotalBytes)
            {
                throw new IOException($"The recordings have {_maxTotalBytes} bytes together, the most that are kept.");
            }

            SessionRecorded recorded = recorder.Complete(FreePath(Path.Combine(_root, agentNamespace, chainName), name), $"{agentNamespace}/{chainName} {callId}", callId, sandbox);
            Interlocked.Add(ref _bytes, recorded.Bytes);
            ILedgerChain chain = await _chains.OpenAsync(agentNamespace, chainName, CancellationToken.None);
            await chain.AppendAsync(
                new LedgerEntry { Payload = recorded, AggregateId = $"{agentNamespace}/{chainName}", Principal = principal }, CancellationToken.None);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or LedgerUnavailableException)
        {
            _lost.Add(1);
            LogNotKept(exception, callId);
        }
    }

    public void Dispose() => _meter.Dispose();

    /// <summary>A model may name two of its calls alike; the record says which file is which by its hash.</summary>
    private static string FreePath(string directory, string name)
    {
        for (int number = 1; number <= MaxSameName; number++)
        {
            string path = Path.Combine(directory, number == 1 ? name + ".cast" : string.Create(CultureInfo.InvariantCulture, $"{name}.{number}.cast"));
            if (!File.Exists(path))
            {
                return path;
            }
        }

        throw new IOException($"There are {MaxSameName} recordings of calls with that name.");
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The recording of {Call} could not be kept")]
    private partial void LogNotKept(Exception exception, string call);
}
