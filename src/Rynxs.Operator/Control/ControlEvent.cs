using System.Text.Json;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;

namespace Rynxs.Operator.Control;

/// <summary>One record of the control chain, as the fold sees it.</summary>
/// <param name="Seq">Its sequence.</param>
/// <param name="EventHash">Its hash.</param>
/// <param name="Payload">Its payload; null for types that the fold does not look at.</param>
public sealed record ControlEvent(long Seq, string EventHash, LedgerPayload? Payload)
{
    /// <summary>Reads a stored record.</summary>
    /// <exception cref="LedgerCorruptException">A payload of a known type cannot be read.</exception>
    public static ControlEvent From(LedgerRecord record)
    {
        try
        {
            LedgerPayload? payload = record.Type switch
            {
                nameof(AgentObserved) => record.Payload.Deserialize(OperatorJson.Default.AgentObserved),
                nameof(AgentDeletionObserved) => record.Payload.Deserialize(OperatorJson.Default.AgentDeletionObserved),
                nameof(ActionsDecided) => record.Payload.Deserialize(OperatorJson.Default.ActionsDecided),
                nameof(ActionApplied) => record.Payload.Deserialize(OperatorJson.Default.ActionApplied),
                nameof(ActionFailed) => record.Payload.Deserialize(OperatorJson.Default.ActionFailed),
                nameof(DriftObserved) => record.Payload.Deserialize(OperatorJson.Default.DriftObserved),
                nameof(LedgerOpened) => record.Payload.Deserialize(OperatorJson.Default.LedgerOpened),
                _ => null,
            };
            return new ControlEvent(record.Seq, record.EventHash, payload);
        }
        catch (JsonException exception)
        {
            throw new LedgerCorruptException(
                $"Record {record.Seq} of the control chain is no {record.Type}: {exception.Message}", "control", record.Seq, record.Type, actual: null);
        }
    }
}
