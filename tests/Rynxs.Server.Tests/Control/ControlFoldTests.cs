using FsCheck;
using FsCheck.Fluent;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Operator.Control;

namespace Rynxs.Server.Tests.Control;

public sealed class ControlFoldTests
{
    private static readonly Arbitrary<List<int>> Commands = Gen.Choose(0, 71).ListOf().Select(commands => commands.ToList()).ToArbitrary();

    [Fact]
    public void What_drifted_is_to_be_done_again_and_a_new_leader_of_a_cluster_repeats_nothing_else()
    {
        ControlLogModel model = ControlLogModel.Run([]);
        model.Append(ControlLogModel.Observed("agent-0", 0));
        model.DecideAll();
        model.ApplyAll();
        model.Append(new LedgerOpened { Epoch = 2 });
        model.State.Pending("ns/agent-0", effectsOutliveProcess: true).ShouldBeEmpty();
        model.State.Pending("ns/agent-0").Count.ShouldBe(4, "on one machine the loop has ended with its process");

        ControlAction runtime = model.State.Desired["ns/agent-0"].Actions[3];
        model.Append(new DriftObserved { ActionId = runtime.Id, ActionType = runtime.Type.ToString(), Target = runtime.Target, Objects = ["StatefulSet/ns/agent-0"] });

        model.State.Pending("ns/agent-0", effectsOutliveProcess: true).Select(action => action.Id).ShouldBe([runtime.Id]);
    }

    [Fact]
    public void Replaying_a_log_gives_the_same_state_hash_whatever_happened() =>
        Prop.ForAll(Commands, commands =>
        {
            ControlLogModel model = ControlLogModel.Run(commands);
            ControlState replayed = model.Records.Aggregate(ControlState.Empty, (state, record) => ControlReducer.Apply(state, ControlEvent.From(record)));
            return replayed.Hash() == model.State.Hash();
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Every_decision_of_a_log_is_made_again_by_the_decider_of_its_version() =>
        Prop.ForAll(Commands, commands => ControlReplay.FindDifferences(ControlLogModel.Run(commands).Records).Count == 0).QuickCheckThrowOnFailure();

    [Fact]
    public void A_decision_that_was_not_the_deciders_is_found()
    {
        ControlLogModel model = ControlLogModel.Run([]);
        model.Append(ControlLogModel.Observed("agent-0", 0));
        model.DecideAll();
        ControlReplay.FindDifferences(model.Records).ShouldBeEmpty("positive control: the log as the decider made it");

        ActionsDecided genuine = AgentDecider.DecideMissing(Observe("agent-1")).Single();
        ControlLogModel forged = ControlLogModel.Run([]);
        forged.Append(ControlLogModel.Observed("agent-1", 0));
        forged.Append(genuine with { Actions = [.. genuine.Actions.Take(1)], ActionIds = [.. genuine.ActionIds.Take(1)] }, AgentDecider.Version);

        ControlReplay.FindDifferences(forged.Records).ShouldBe([2]);
    }

    [Fact]
    public void Once_decided_nothing_more_is_decided_until_the_spec_changes() =>
        Prop.ForAll(Commands, commands =>
        {
            ControlLogModel model = ControlLogModel.Run(commands);
            model.DecideAll();
            bool settled = !AgentDecider.DecideMissing(model.State).Any();
            foreach (ObservedAgent agent in model.State.Agents.Values.Where(agent => !agent.Deleting))
            {
                // The same spec again, as after a list and watch that was started anew.
                ControlEvent again = model.Append(ControlLogModel.Observed(agent.Name, VariantOf(agent)));
                settled &= AgentDecider.Decide(model.State, again) is null;
            }

            return settled;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Applying_what_is_pending_leaves_nothing_pending() =>
        Prop.ForAll(Commands, commands =>
        {
            ControlLogModel model = ControlLogModel.Run(commands);
            model.DecideAll();
            model.ApplyAll();
            return model.State.Desired.Keys.All(agent => model.State.Pending(agent).Count == 0)
                && model.State.Agents.Values.All(agent => !agent.Deleting);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void A_new_epoch_makes_every_action_of_every_agent_pending_again()
    {
        ControlLogModel model = ControlLogModel.Run([]);
        model.Append(ControlLogModel.Observed("agent-0", 0));
        model.DecideAll();
        model.ApplyAll();
        model.State.Pending("ns/agent-0").ShouldBeEmpty("positive control: all of it is in effect");

        model.Append(new LedgerOpened { Epoch = 2 });

        model.State.Pending("ns/agent-0").Select(action => action.Type).ShouldBe(
        [
            ControlActionType.EnsureWorkspace, ControlActionType.EnsureAuditChain, ControlActionType.EnsureImage, ControlActionType.EnsureAgentRuntime,
        ]);
    }

    [Fact]
    public void A_deleted_agent_is_stopped_then_released_then_forgotten()
    {
        ControlLogModel model = ControlLogModel.Run([]);
        model.Append(ControlLogModel.Observed("agent-0", 0));
        model.DecideAll();
        model.ApplyAll();
        model.Append(new AgentDeletionObserved { Name = "agent-0", Namespace = "ns", ObservedLogicalTime = 9 });
        model.DecideAll();

        model.State.Pending("ns/agent-0").Select(action => action.Type).ShouldBe([ControlActionType.RemoveAgentRuntime, ControlActionType.ReleaseFinalizer]);
        model.ApplyAll();
        model.State.Agents.ShouldBeEmpty();
        model.State.Desired.ShouldBeEmpty();
        model.State.Applied.ShouldBeEmpty();

        model.Append(ControlLogModel.Observed("agent-0", 0));
        AgentDecider.DecideMissing(model.State).Count().ShouldBe(1, "created again, it is decided about again");
    }

    [Fact]
    public void Failures_are_counted_until_the_action_succeeds()
    {
        ControlLogModel model = ControlLogModel.Run([]);
        model.Append(ControlLogModel.Observed("agent-0", 0));
        model.DecideAll();
        ControlAction action = model.State.Pending("ns/agent-0")[0];
        model.Step(48);
        model.Step(48);

        model.State.Failures[action.Id].Count.ShouldBe(2);
        model.Append(ControlLogModel.Applied(action));
        model.State.Failures.ShouldBeEmpty();
    }

    [Fact]
    public void An_action_id_is_the_digest_of_its_type_its_target_and_its_canonical_parameters()
    {
        ControlAction action = ControlAction.Create(ControlActionType.EnsureWorkspace, "ns/a", new System.Text.Json.Nodes.JsonObject { ["size"] = "1Gi" });
        byte[] digest = System.Security.Cryptography.SHA256.HashData("EnsureWorkspace|ns/a|{\"size\":\"1Gi\"}"u8);

        action.Id.ShouldBe(Convert.ToHexStringLower(digest));
    }

    [Fact]
    public void A_record_out_of_sequence_is_refused()
    {
        ControlLogModel model = ControlLogModel.Run([]);

        Should.Throw<LedgerCorruptException>(() => ControlReducer.Apply(model.State, new ControlEvent(5, "x", null))).Seq.ShouldBe(5);
    }

    private static ControlState Observe(string name)
    {
        ControlLogModel model = ControlLogModel.Run([]);
        model.Append(ControlLogModel.Observed(name, 0));
        return model.State;
    }

    private static int VariantOf(ObservedAgent agent) =>
        int.Parse(agent.Spec.GetProperty("workspace").GetProperty("size").GetString()!.TrimEnd('G', 'i'), System.Globalization.CultureInfo.InvariantCulture) - 1;
}
