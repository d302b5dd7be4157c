using System.Text.Json;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Operator.Control;

namespace Rynxs.Server.Tests.Control;

/// <summary>A control chain in memory, written by the same steps as the controller's, driven by small numbers.</summary>
internal sealed class ControlLogModel
{
    private readonly List<(LedgerPayload Payload, string? Decider)> _entries = [];

    public ControlState State { get; private set; } = ControlState.Empty;
    public IReadOnlyList<LedgerRecord> Records => [.. _entries.Select((entry, seq) => Record(seq, entry.Payload, entry.Decider))];

    public static ControlLogModel Run(IEnumerable<int> commands)
    {
        var model = new ControlLogModel();
        model.Append(new LedgerOpened { Epoch = 1 });
        foreach (int command in commands)
        {
            model.Step(command);
        }

        return model;
    }

    public void Step(int command)
    {
        string name = "agent-" + (command % 3);
        int variant = command / 3 % 4;
        switch (command / 12 % 6)
        {
            case 0:
                Append(Observed(name, variant));
                break;
            case 1:
                if (State.Agents.ContainsKey("ns/" + name))
                {
                    Append(new AgentDeletionObserved { Name = name, Namespace = "ns", ObservedLogicalTime = State.LastSeq + 1 });
                }

                break;
            case 2:
                DecideAll();
                break;
            case 3:
                if (State.Pending("ns/" + name) is [{ } first, ..])
                {
                    Append(Applied(first));
                }

                break;
            case 4:
                if (State.Pending("ns/" + name) is [{ } failing, ..])
                {
                    Append(new ActionFailed
                    {
                        ActionId = failing.Id, ActionType = failing.Type.ToString(), Target = failing.Target, ResultCode = "busy",
                        Error = new ActionError("Image", "busy"),
                    });
                }

                break;
            default:
                if (variant % 2 == 0 && State.Applied.FirstOrDefault() is { Key: { } id, Value: { } applied })
                {
                    Append(new DriftObserved { ActionId = id, ActionType = applied.ActionType, Target = applied.Target, Objects = ["ConfigMap/ns/x"] });
                }
                else
                {
                    Append(new LedgerOpened { Epoch = command });
                }

                break;
        }
    }

    public void DecideAll()
    {
        foreach (ActionsDecided decision in AgentDecider.DecideMissing(State).ToArray())
        {
            Append(decision, AgentDecider.Version);
        }
    }

    public void ApplyAll()
    {
        foreach (string agent in State.Desired.Keys.ToArray())
        {
            foreach (ControlAction action in State.Pending(agent))
            {
                Append(Applied(action));
            }
        }
    }

    public ControlEvent Append(LedgerPayload payload, string? decider = null)
    {
        _entries.Add((payload, decider));
        var controlEvent = ControlEvent.From(Record(_entries.Count - 1, payload, decider));
        State = ControlReducer.Apply(State, controlEvent);
        return controlEvent;
    }

    public static AgentObserved Observed(string name, int variant)
    {
        JsonElement spec = JsonDocument.Parse($$$"""{"role":"worker","workspace":{"size":"{{{variant + 1}}}Gi"}}""").RootElement.Clone();
        return new AgentObserved
        {
            Name = name, Namespace = "ns", Labels = new Dictionary<string, string>(), Annotations = new Dictionary<string, string>(), Spec = spec,
            SpecHash = Ledger.Canonical.CanonicalJson.Sha256Hex(spec)[..16], ObservedLogicalTime = variant,
        };
    }

    public static ActionApplied Applied(ControlAction action) =>
        new() { ActionId = action.Id, ActionType = action.Type.ToString(), Target = action.Target, ResultCode = "CREATED" };

    private static LedgerRecord Record(long seq, LedgerPayload payload, string? decider) => new()
    {
        Seq = seq, Type = payload.EventType, AggregateId = "a", Ts = seq, Payload = payload.ToJson(), HashVersion = 2,
        Meta = JsonDocument.Parse(decider is null ? "{}" : $$"""{"decider":"{{decider}}"}""").RootElement.Clone(),
        EventHash = $"{seq:x64}", PrevHash = new string('0', 64),
    };
}
