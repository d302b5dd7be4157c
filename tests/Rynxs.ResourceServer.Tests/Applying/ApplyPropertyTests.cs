using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.ResourceServer.Applying;

namespace Rynxs.ResourceServer.Tests.Applying;

/// <summary>What holds of apply and of tracking, whatever is written. Seeds of <see cref="RandomRequests"/> are what FsCheck varies.</summary>
public sealed class ApplyPropertyTests
{
    private static readonly DateTimeOffset Start = DateTimeOffset.FromUnixTimeSeconds(1_800_000_000);

    [Fact]
    public void Applying_twice_is_applying_once() => ForSeeds(seed =>
    {
        (DocumentRequests ours, JsonObject config) = Grown(seed);
        JsonObject once = Apply(ours, config, "me", force: true, Start.AddSeconds(50));
        JsonObject twice = Apply(ours, config, "me", force: false, Start.AddSeconds(99));
        DocumentValue.Canonical(twice).ShouldBe(DocumentValue.Canonical(once));
    });

    [Fact]
    public void Applying_nothing_gives_up_exactly_what_was_owned() => ForSeeds(seed =>
    {
        (DocumentRequests ours, JsonObject config) = Grown(seed);
        JsonObject before = ours.Live!.DeepClone().AsObject();
        Apply(ours, config, "fresh", force: false, Start.AddSeconds(50), mayConflict: true);
        if (!Managers(ours.Live!).Contains("fresh"))
            return; // it conflicted, or owns nothing

        JsonObject after = Apply(ours, Things.Json("""{"apiVersion":"test.universe.ai/v1","kind":"Thing","metadata":{"name":"t"}}"""), "fresh", force: false, Start.AddSeconds(60));
        Managers(after).ShouldNotContain("fresh");
        FieldSet gone = TypedFields.Of(before, TypeRef.Of(Things.Schema)).Difference(TypedFields.Of(after, TypeRef.Of(Things.Schema)));

        // What had an owner is there still, unless it hung below an item that nobody else owned.
        foreach (OwnedFields owned in ManagerTable.Decode(before["metadata"]?["managedFields"]).Owners.Values)
            owned.Fields.Intersection(gone).Paths().Where(path => path.Count <= 2).ShouldBeEmpty();
    });

    [Fact]
    public void Managers_of_different_fields_commute() => ForSeeds(seed =>
    {
        JsonObject left = Config(seed, "text", "set", "ports", "free");
        JsonObject right = Config(seed + 1, "number", "numbers", "map", "deepMap");
        if (left["spec"] is not JsonObject { Count: > 0 } || right["spec"] is not JsonObject { Count: > 0 } || OwnsNothing(left) || OwnsNothing(right))
            return; // an object that nobody owns anything of is the next one's, as before-first-apply
        DocumentRequests one = Things.Requests();
        DocumentRequests other = Things.Requests();
        Apply(one, left, "l", force: false, Start);
        Apply(one, right, "r", force: false, Start);
        Apply(other, right, "r", force: false, Start);
        Apply(other, left, "l", force: false, Start);
        DocumentValue.Canonical(WithoutTimes(one.Live!)).ShouldBe(DocumentValue.Canonical(WithoutTimes(other.Live!)));
    });

    [Fact]
    public void No_field_has_two_managers_that_update_and_no_manager_owns_what_is_not_there() => ForSeeds(seed =>
    {
        DocumentRequests ours = Grown(seed).Ours;
        ManagerTable table = ManagerTable.Decode(ours.Live!["metadata"]?["managedFields"]);
        FieldSet seen = new();
        foreach ((ManagerIdentity identity, OwnedFields owned) in table.Owners)
        {
            owned.Fields.IsEmpty.ShouldBeFalse();
            if (identity.IsApply)
                continue;
            owned.Fields.Intersection(seen).Encode().ToJsonString().ShouldBe("{}");
            seen = seen.Union(owned.Fields);
        }

        table.Owners.Keys.Count(identity => !identity.IsApply).ShouldBeLessThanOrEqualTo(ManagedFields.MaxUpdateManagers);
    });

    [Fact]
    public void A_forced_apply_leaves_every_field_of_the_configuration() => ForSeeds(seed =>
    {
        (DocumentRequests ours, JsonObject config) = Grown(seed);
        JsonObject after = Apply(ours, config, "me", force: true, Start.AddSeconds(50));
        TypedComparison comparison = TypedComparison.Of(config["spec"], after["spec"], TypeRef.Of(Things.Schema.Properties["spec"]));
        comparison.Removed.Encode().ToJsonString().ShouldBe("{}");
        comparison.Modified.Intersection(TypedFields.Of(config["spec"], TypeRef.Of(Things.Schema.Properties["spec"]))).Paths()
            .ShouldAllBe(path => path[0].Text == "nul" || config["spec"]![path[0].Text] == null);
    });

    /// <summary>E: G3 - a configuration cannot make the server's work explode.</summary>
    [Fact]
    public void G3_hostile_configurations_end_quickly_and_with_a_clear_refusal()
    {
        JsonObject deep = [];
        JsonObject inner = deep;
        for (int i = 0; i < 400; i++)
        {
            JsonObject next = [];
            inner["a"] = next;
            inner = next;
        }

        JsonObject config = Config(1);
        config["spec"] = new JsonObject { ["free"] = deep };
        DocumentRequests ours = Things.Requests();
        DocumentAnswer answer = ours.Execute(new DocumentRequest("PATCH", DocumentRequests.ApplyType, config, "m"), Start);
        (answer.Status, answer.Message).ShouldBe((400, "the configuration is nested deeper than 256 levels"));

        // A list of 20,000 keyed items twice: seconds would mean that it is quadratic.
        JsonObject wide = Config(1);
        wide["spec"] = new JsonObject { ["ports"] = new JsonArray([.. Enumerable.Range(0, 20_000).Select(port => (JsonNode)new JsonObject { ["port"] = port })]) };
        System.Diagnostics.Stopwatch watch = System.Diagnostics.Stopwatch.StartNew();
        Apply(ours, wide, "m", force: false, Start);
        Apply(ours, wide, "n", force: false, Start);
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(20));
        ManagerTable.Decode(ours.Live!["metadata"]!["managedFields"]).Owners.Count.ShouldBe(2);
    }

    private static (DocumentRequests Ours, JsonObject Config) Grown(int seed)
    {
        DocumentRequests ours = Things.Requests();
        RandomRequests random = new(seed);
        for (int i = 0; i < 10 || ours.Live is null; i++)
        {
            DocumentRequest request = random.Next(ours.Live, "t");
            JsonObject? before = ours.Live?.DeepClone().AsObject();
            if (ours.Execute(request, Start.AddSeconds(i)).Status >= 300)
                ours.Live = before;
        }

        return (ours, Config(seed + 7));
    }

    private static JsonObject Config(int seed, params string[] fields) => new RandomRequests(seed).Config("t", fields);

    private static JsonObject Apply(DocumentRequests ours, JsonObject config, string manager, bool force, DateTimeOffset now, bool mayConflict = false)
    {
        DocumentAnswer answer = ours.Execute(new DocumentRequest("PATCH", DocumentRequests.ApplyType, config, manager, Force: force), now);
        if (mayConflict && answer.Status == 409)
            return ours.Live!;
        answer.Status.ShouldBeLessThan(300, answer.Message);
        return answer.Document!;
    }

    private static bool OwnsNothing(JsonObject config) => TypedFields.Of(config["spec"], TypeRef.Of(Things.Schema.Properties["spec"])).IsEmpty;

    /// <summary>An apply that changes nothing has no time, and which one that is depends on the order; so does the entries' order on the times.</summary>
    private static JsonObject WithoutTimes(JsonObject document)
    {
        JsonObject copy = document.DeepClone().AsObject();
        JsonNode[] entries = [.. copy["metadata"]!["managedFields"]!.AsArray().OrderBy(entry => (string)entry!["manager"]!, StringComparer.Ordinal).Select(entry => entry!.DeepClone())];
        foreach (JsonNode entry in entries)
            entry.AsObject().Remove("time");
        copy["metadata"]!["managedFields"] = new JsonArray(entries);
        return copy;
    }

    private static IEnumerable<string> Managers(JsonObject document) =>
        (document["metadata"]?["managedFields"]?.AsArray() ?? []).Select(entry => (string)entry!["manager"]!);

    private static void ForSeeds(Action<int> property) =>
        Prop.ForAll(Arb.From(Gen.Choose(1, 1_000_000)), property).Check(FsCheck.Config.QuickThrowOnFailure.WithMaxTest(Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1" ? 3000 : 60));
}
