using Rynxs.Policy;
using Rynxs.Policy.Approvals;

namespace Rynxs.Agents.Loop;

/// <summary>
/// Holds one agent's policy and what it used. Lives longer than a loop, so that a changed spec does not refill token buckets.
/// After a restart of the process buckets are full again.
/// </summary>
internal sealed class PolicyGate(TimeProvider timeProvider)
{
    private readonly Lock _lock = new();
    private ToolPolicyState _state = ToolPolicyState.Initial;
    private ToolPolicyModel _model = new(); // No rules: denies everything until one is given.

    /// <summary>The rules in force.</summary>
    public ToolPolicyModel Model
    {
        get
        {
            lock (_lock)
            {
                return _model;
            }
        }

        set
        {
            lock (_lock)
            {
                _model = value;
            }
        }
    }

    /// <summary>Decides; an allowed call counts as in flight until <see cref="CallEnded"/>.</summary>
    public Verdict Decide(ToolCall call, GrantedApproval? approval)
    {
        lock (_lock)
        {
            Decision decision = ToolPolicy.Decide(_model, call, _state, timeProvider.GetUtcNow(), approval);
            _state = decision.State;
            return decision.Verdict;
        }
    }

    public void CallEnded()
    {
        lock (_lock)
        {
            _state = _state.WithCallEnded();
        }
    }
}
