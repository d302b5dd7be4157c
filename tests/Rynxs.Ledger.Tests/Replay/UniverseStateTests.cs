using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Tests.Replay;

/// <summary>The original's reducer: state hashes as in its conformance vectors.</summary>
public sealed class UniverseStateTests
{
    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static JsonElement Demo => Logs.Vectors.GetProperty("demo_log_v1");

    [Fact]
    public void An_empty_state_has_the_hash_of_the_original()
    {
        new UniverseState().Hash().ShouldBe("7a2ff3bbffba63e38420be436e9c5f5ac253f56c8fd7fe45e01fcedc6f44869d");
    }

    [Fact]
    public void The_demonstration_log_leads_to_the_state_of_the_original_byte_for_byte()
    {
        using var directory = new TemporaryDirectory();
        ReplayResult result = Replay(Logs.Write(directory, Logs.DemoV1));

        result.Universe.Version.ShouldBe(Demo.GetProperty("state_version").GetInt64());
        Encoding.UTF8.GetString(result.Universe.ToCanonical()).ShouldBe(Encoding.UTF8.GetString(Demo.GetProperty("state_base64").GetBytesFromBase64()));
        result.Universe.Hash().ShouldBe(Demo.GetProperty("state_hash").GetString());
        result.Last.EventHash.ShouldBe(Demo.GetProperty("final_event_hash").GetString());
    }

    [Fact]
    public void A_state_read_from_its_bytes_goes_on_as_if_it_had_never_been_written()
    {
        using var directory = new TemporaryDirectory();
        string path = Logs.Write(directory, Logs.DemoV1);
        for (int cut = 0; cut < Logs.DemoV1.Count; cut++)
        {
            ReplayResult first = LogReplay.Run(LogSource.Open(path), new ReplayEnd.Sequence(cut), null, Stop);
            ReplayResult rest = LogReplay.RunFrom(
                LogSource.Open(path), UniverseState.Parse(first.Universe.ToCanonical()), first.Last, new ReplayEnd.Head(), Stop);

            rest.Universe.Hash().ShouldBe(Demo.GetProperty("state_hash").GetString());
            rest.Records.ShouldBe(Logs.DemoV1.Count - cut - 1);
        }
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("{\"aggregates\":{},\"version\":1}")]
    [InlineData("{\"aggregates\":{\"universe\":3},\"version\":1}")]
    [InlineData("{\"aggregates\":{},\"version\":0} ")]
    [InlineData("{\"aggregates\":{\"universe\":{\"agents\":{},\"applied\":{\"x\":1},\"desired\":{},\"failures\":[],\"last_seen_spec_hash\":{}}},\"version\":1}")]
    [InlineData("{\"aggregates\":{\"universe\":{\"agents\":{},\"applied\":[],\"desired\":{},\"failures\":[\"\"],\"last_seen_spec_hash\":{}}},\"version\":1}")]
    [InlineData("not json")]
    [InlineData("")]
    public void Bytes_that_are_no_state_are_refused(string text)
    {
        Should.Throw<FormatException>(() => UniverseState.Parse(Encoding.UTF8.GetBytes(text)));
    }

    [Fact]
    public void Types_that_the_original_does_not_know_change_nothing_and_are_named()
    {
        using var directory = new TemporaryDirectory();
        string line = Logs.Line("{\"aggregate_id\":\"A\",\"hash_version\":\"v2\",\"payload\":{},\"seq\":0,\"ts\":1,\"type\":\"FromTheFuture\"}");
        ReplayResult result = Replay(Logs.Write(directory, [line]));

        result.Universe.Hash().ShouldBe(new UniverseState().Hash());
        result.UnknownTypes.ShouldBe(new Dictionary<string, long> { ["FromTheFuture"] = 1 });
        result.Last.Seq.ShouldBe(0);
    }

    [Fact]
    public void Queries_list_resolve_and_show_drift_and_failures_of_one_agent()
    {
        using var directory = new TemporaryDirectory();
        UniverseState state = Replay(Logs.Write(directory, Logs.DemoV1.Take(6))).Universe;

        state.ListAgents().ShouldBe(["ns-1/demo"]);
        state.Resolve("demo").ShouldBe(["ns-1/demo"]);
        state.Resolve("ns-1/demo").ShouldBe(["ns-1/demo"]);
        state.Resolve("ns-2/demo").ShouldBeEmpty();
        AgentDrift drift = state.Drift("ns-1/demo").ShouldNotBeNull();
        drift.Missing.ShouldBe(["5cc5d03423042d84d68dc526571cab06a3acd4da201b8db48536b5df56645e8c"]);
        drift.Extra.ShouldBeEmpty();
        drift.TriggerEventSeq.ShouldBe(0);
        state.Failures("ns-1/demo").ShouldHaveSingleItem().ErrorCode.ShouldBe("K8S_CONFLICT");
        state.Drift("ns-1/other").ShouldBeNull();
    }

    [Fact]
    public void Drift_of_one_agent_does_not_show_what_belongs_to_another()
    {
        // In the original every agent showed the others' actions as extra, because its successes are global.
        using var directory = new TemporaryDirectory();
        var log = new ChainBuilder();
        log.Decide("ns/a", "EnsureWorkspace").Applied("ns/a", "EnsureWorkspace").Decide("ns/b", "EnsureWorkspace").Applied("ns/b", "EnsureWorkspace");
        log.Decide("ns/b", "EnsureImage");
        UniverseState state = Replay(Logs.Write(directory, log.Lines)).Universe;

        state.Drift("ns/a").ShouldNotBeNull().HasDrift.ShouldBeFalse();
        state.Drift("ns/b").ShouldNotBeNull().Extra.ShouldHaveSingleItem();
        state.Drift("ns/b").ShouldNotBeNull().Missing.ShouldHaveSingleItem();
    }

    private static ReplayResult Replay(string path) => LogReplay.Run(LogSource.Open(path), new ReplayEnd.Head(), observe: null, Stop);
}
