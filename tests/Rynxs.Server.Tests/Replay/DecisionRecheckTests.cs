using System.Collections.Immutable;
using System.Text.Json;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Replay;
using Rynxs.Operator.Control;
using Rynxs.Server.Replay;

namespace Rynxs.Server.Tests.Replay;

/// <summary>The two folds of the control chain have one hash, and decisions are made again as they were logged.</summary>
public sealed class DecisionRecheckTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Our_state_hash_of_a_replay_is_that_of_the_operators_fold_after_every_record()
    {
        using var directory = new TemporaryDirectory();
        await using FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = directory }, Stop);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), Stop);
        await LiveAsync(chain, rounds: 120);

        ControlState state = ControlState.Empty;
        await using IAsyncEnumerator<LedgerRecord> records = chain.ReadAsync(0, Stop).GetAsyncEnumerator(Stop);
        ReplayResult result = LogReplay.Run(LogSource.Open(directory), new ReplayEnd.Head(), (record, replayed) =>
        {
            records.MoveNextAsync().AsTask().GetAwaiter().GetResult().ShouldBeTrue();
            state = ControlReducer.Apply(state, ControlEvent.From(records.Current));
            replayed.Rynxs.ShouldNotBeNull().Hash().ShouldBe(state.Hash(), $"after {record.Seq} ({record.Type})");
        }, Stop);

        result.Last.ShouldBe(chain.Head);
        result.Counts.Keys.ShouldBe(["ActionApplied", "ActionFailed", "ActionsDecided", "AgentDeletionObserved", "AgentObserved", "LedgerOpened"]);
    }

    [Fact]
    public async Task Decisions_of_the_known_decider_are_made_again_the_same()
    {
        using var directory = new TemporaryDirectory();
        await using FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = directory }, Stop);
        await LiveAsync(await ledger.OpenAsync(ChainId.Control, new ChainOptions(), Stop), rounds: 60);

        DecisionRecheck recheck = Recheck(directory);

        recheck.Checked.ShouldBeGreaterThan(10);
        recheck.Different.ShouldBe(0);
        recheck.UnknownDeciders.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("agents/1", 1, 0)]
    [InlineData("agents/99", 0, 1)]
    [InlineData(null, 0, 1)]
    public async Task F1_A_decision_that_its_decider_would_not_make_is_found(string? decider, int different, int unknown)
    {
        using var directory = new TemporaryDirectory();
        await using FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = directory }, Stop);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), Stop);
        AppendedRecord observed = await AppendAsync(chain, Observation("a", "0123456789abcdef"), null);
        ControlAction forged = ControlAction.Create(ControlActionType.EnsureImage, "ns/a", new System.Text.Json.Nodes.JsonObject { ["image"] = "evil:latest" });
        AppendedRecord decision = await AppendAsync(
            chain,
            new ActionsDecided
            {
                AgentId = "ns/a", TriggerEventSeq = observed.Seq, TriggerEventHash = observed.EventHash, TriggerEventType = "AgentObserved",
                TriggerSpecHash = "0123456789abcdef", Actions = [forged.ToDecided()], ActionsHash = new string('0', 64), ActionIds = [forged.Id],
            },
            decider);

        DecisionRecheck recheck = Recheck(directory);

        recheck.Different.ShouldBe(different);
        recheck.UnknownDeciders.Values.Sum().ShouldBe(unknown);
        if (different == 1)
        {
            recheck.Mismatches.ShouldHaveSingleItem().Seq.ShouldBe(decision.Seq);
        }
    }

    private static DecisionRecheck Recheck(string directory)
    {
        var recheck = new DecisionRecheck();
        foreach (LogRecord record in LogWalk.Read(LogSource.Open(directory), Stop))
        {
            recheck.Observe(record);
        }

        return recheck;
    }

    /// <summary>Agents come, change, fail, succeed and go, with the real decider.</summary>
    private static async Task LiveAsync(ILedgerChain chain, int rounds)
    {
        var random = new Random(11);
        ControlState state = ControlState.Empty;
        for (int round = 0; round < rounds; round++)
        {
            string name = "a" + random.Next(4);
            await AppendAsync(
                chain,
                random.Next(6) == 0 ? new AgentDeletionObserved { Name = name, Namespace = "ns", ObservedLogicalTime = round } : Observation(name, $"{random.Next(3):x16}"), null);
            state = await CatchUpAsync(chain, state);
            foreach (ActionsDecided decision in AgentDecider.DecideMissing(state).ToImmutableArray())
            {
                await AppendAsync(chain, decision, AgentDecider.Version);
            }

            state = await CatchUpAsync(chain, state);
            foreach (ControlAction action in state.Pending($"ns/{name}"))
            {
                LedgerPayload outcome = random.Next(4) == 0
                    ? new ActionFailed { ActionId = action.Id, ActionType = $"{action.Type}", Target = action.Target, ResultCode = "x", Error = new ActionError("T", "x") }
                    : new ActionApplied { ActionId = action.Id, ActionType = $"{action.Type}", Target = action.Target, ResultCode = "CREATED" };
                await AppendAsync(chain, outcome, null);
                if (outcome is ActionFailed && random.Next(2) == 0)
                {
                    break;
                }
            }

            state = await CatchUpAsync(chain, state);
        }
    }

    private static async Task<ControlState> CatchUpAsync(ILedgerChain chain, ControlState state)
    {
        await foreach (LedgerRecord record in chain.ReadAsync(state.LastSeq + 1, Stop))
        {
            state = ControlReducer.Apply(state, ControlEvent.From(record));
        }

        return state;
    }

    private static AgentObserved Observation(string name, string specHash) => new()
    {
        Name = name, Namespace = "ns", Labels = new Dictionary<string, string>(), Annotations = new Dictionary<string, string>(),
        Spec = JsonElement.Parse("{\"workspace\":{\"size\":\"1Gi\"}}"), SpecHash = specHash, ObservedLogicalTime = 1,
    };

    private static async Task<AppendedRecord> AppendAsync(ILedgerChain chain, LedgerPayload payload, string? decider) =>
        await chain.AppendAsync(new LedgerEntry { Payload = payload, AggregateId = "ns/a", Principal = "system", Decider = decider }, Stop);
}
