using System.Text;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Resources.Identity;
using Rynxs.Server.Audit;
using Rynxs.Server.State;

namespace Rynxs.Server.Execution;

/// <summary>
/// Which executions of the execute API are under way: one small file each, there before the intent and gone after the outcome. So the next
/// start knows, without reading every chain, where an outcome may be missing. A hint, not evidence: the chain decides.
/// </summary>
internal sealed partial class PendingExecutions(string directory, ILogger<PendingExecutions> logger)
{
    private const int MaxFileBytes = 256;

    /// <summary>Notes an execution.</summary>
    /// <exception cref="IOException">It cannot be noted, so it must not begin.</exception>
    public void Add(string executionId, string agentNamespace, string chainName) =>
        StateDirectory.WriteAtomically(PathOf(executionId), Encoding.ASCII.GetBytes($"{agentNamespace}\n{chainName}\n"));

    /// <summary>Its outcome is on the record, or it never began.</summary>
    public void Remove(string executionId) => File.Delete(PathOf(executionId));

    /// <summary>
    /// Marks what an earlier process was cut off from: an intent without an outcome gets the outcome <c>unknown</c>, a sandbox without an end
    /// its end. Nothing is repeated. To be called before anything else writes to the chains. Returns how many outcomes are unknown.
    /// </summary>
    public async Task<int> RecoverAsync(AgentChains chains, CancellationToken cancellationToken)
    {
        int unknown = 0;
        foreach (string path in Directory.EnumerateFiles(directory))
        {
            string executionId = Path.GetFileName(path);
            try
            {
                // A name of another form is the unfinished note of an execution that never began.
                if (Guid.TryParse(executionId, out _) && ReadNote(path) is { } chain)
                {
                    unknown += await CloseAsync(executionId, await chains.OpenAsync(chain.Namespace, chain.Name, cancellationToken), cancellationToken) ? 1 : 0;
                }

                File.Delete(path);
            }
            catch (Exception exception) when (exception is LedgerCorruptException or LedgerUnavailableException or IOException)
            {
                // That chain cannot be used now; the note stays for the next start.
                LogNotRecovered(executionId, exception.Message);
            }
        }

        return unknown;
    }

    private static async Task<bool> CloseAsync(string executionId, ILedgerChain chain, CancellationToken cancellationToken)
    {
        LedgerRecord? intent = null;
        bool hasOutcome = false;
        var sandboxes = new HashSet<string>(StringComparer.Ordinal);
        await foreach (LedgerRecord record in chain.ReadAsync(0, cancellationToken))
        {
            switch (record.Type)
            {
                case nameof(ToolIntent) when Text(record, "call_id") == executionId:
                    intent = record;
                    break;
                case nameof(ToolOutcome) when Text(record, "call_id") == executionId:
                    hasOutcome = true;
                    break;
                case nameof(SandboxStarted):
                    sandboxes.Add(Text(record, "sandbox"));
                    break;
                case nameof(SandboxEnded):
                    sandboxes.Remove(Text(record, "sandbox"));
                    break;
            }
        }

        var audit = new ExecutionAudit(chain, intent?.AggregateId ?? $"{chain.Id.AgentNamespace}/{chain.Id.AgentName}", Principal.System.Name, executionId);
        foreach (string sandbox in sandboxes.Order(StringComparer.Ordinal))
        {
            await audit.EndedAsync(sandbox, "host_restarted");
        }

        if (intent is null || hasOutcome)
        {
            return false;
        }

        await audit.UnknownAsync();
        return true;
    }

    private static (string Namespace, string Name)? ReadNote(string path)
    {
        if (new FileInfo(path).Length > MaxFileBytes)
        {
            return null;
        }

        string[] lines = File.ReadAllText(path).Split('\n');
        return lines is [var agentNamespace, var name, ""] && Labels.IsDnsLabel(agentNamespace) && Labels.IsDnsLabel(name) ? (agentNamespace, name) : null;
    }

    private static string Text(LedgerRecord record, string name) =>
        record.Payload.TryGetProperty(name, out System.Text.Json.JsonElement value) ? value.ToString() : "";

    private string PathOf(string executionId) => Path.Combine(directory, executionId);

    [LoggerMessage(Level = LogLevel.Error, Message = "Whether execution {Execution} ended cannot be looked up: {Reason}")]
    private partial void LogNotRecovered(string execution, string reason);
}
