using Rynxs.Ledger.Recording;

namespace Rynxs.Agents.Tools;

/// <summary>Keeps the output of what agents run, linked from their audit chains by hash. A recording that cannot be kept fails nothing.</summary>
public interface IOutputRecordings
{
    /// <summary>A recorder for one program.</summary>
    SessionRecorder Start();

    /// <summary>Keeps what a recorder took.</summary>
    /// <param name="recorder">Has the output.</param>
    /// <param name="agentNamespace">Whose it is.</param>
    /// <param name="chainName">Name of its audit chain.</param>
    /// <param name="principal">In whose name the program ran.</param>
    /// <param name="callId">As in the records of the call.</param>
    /// <param name="sandbox">Where it ran; null when that is not known.</param>
    Task KeepAsync(SessionRecorder recorder, string agentNamespace, string chainName, string principal, string callId, string? sandbox);
}
