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
internal sealed partial class SessionRecordings(string root, AgentChains chains, TimeProvider timeProvider, ILogger<SessionRecordings> logger)
{
    /// <summary>A recorder for one program.</summary>
    public SessionRecorder Start() => new(new RecordingOptions { TimeProvider = timeProvider });

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
            SessionRecorded recorded = recorder.Complete(Path.Combine(root, agentNamespace, chainName, name + ".cast"), $"{agentNamespace}/{chainName} {callId}", callId, sandbox);
            ILedgerChain chain = await chains.OpenAsync(agentNamespace, chainName, CancellationToken.None);
            await chain.AppendAsync(
                new LedgerEntry { Payload = recorded, AggregateId = $"{agentNamespace}/{chainName}", Principal = principal }, CancellationToken.None);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or LedgerUnavailableException)
        {
            LogNotKept(exception, callId);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The recording of {Call} could not be kept")]
    private partial void LogNotKept(Exception exception, string call);
}
