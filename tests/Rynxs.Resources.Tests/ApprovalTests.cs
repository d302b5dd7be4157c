using System.Text.Json;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using static Rynxs.Resources.Tests.StoreScenario;

namespace Rynxs.Resources.Tests;

/// <summary>Threat catalogue E5: approvals cannot be given by the wrong one, twice, too late, or by another path.</summary>
public sealed class ApprovalTests
{
    private static readonly NamespacedName Id = new("ns", "p");

    [Fact]
    public async Task E5_an_approver_decides_once()
    {
        await using StoreScenario scenario = await WithApprovalAsync();
        Principal approver = User("ann", Role.Approver);

        DecisionOutcome outcome = await DecideAsync(scenario, approver);

        ApprovalResource approval = outcome.ShouldBeOfType<DecisionOutcome.Decided>().Approval;
        approval.Status.ShouldNotBeNull().ShouldSatisfyAllConditions(
            status => status.Decision.ShouldBe("Approved"), status => status.Approver.ShouldBe("user:ann"), status => status.Reason.ShouldBe("looks fine"));
        (await DecideAsync(scenario, User("bob", Role.Approver), approve: false)).ShouldBeOfType<DecisionOutcome.AlreadyDecided>().Code.ShouldBe("already_decided");
    }

    [Fact]
    public async Task E5_of_two_approvers_at_once_exactly_one_decides()
    {
        await using StoreScenario scenario = await WithApprovalAsync();

        DecisionOutcome[] outcomes = await System.Threading.Tasks.Task.WhenAll(
            Enumerable.Range(0, 16).Select(i => DecideAsync(scenario, User($"u{i}", Role.Approver), approve: i % 2 == 0)));

        outcomes.OfType<DecisionOutcome.Decided>().Count().ShouldBe(1);
        outcomes.OfType<DecisionOutcome.AlreadyDecided>().Count().ShouldBe(15);
    }

    [Theory]
    [InlineData("user:asker", Role.Approver, "self_approval")]
    [InlineData("user:asker", Role.Admin, "self_approval")]
    [InlineData("agent:ns/g", Role.Agent, "not_an_approver")]
    [InlineData("agent:ns/g", Role.Approver, "not_an_approver")]
    public async Task E5_the_requester_and_agents_never_decide(string name, Role role, string code)
    {
        await using StoreScenario scenario = await WithApprovalAsync();
        Principal principal = new(name, new HashSet<Role> { role }, null);

        // With the system's client, so that the operation itself refuses and not the lack of a right to read.
        DecisionOutcome outcome = await ApprovalDecisions.DecideAsync(scenario.System, Id, principal, approve: true, null, TimeProvider.System, Ct);

        outcome.Code.ShouldBe(code);
        (await scenario.System.GetAsync<ApprovalResource>(Id, Ct)).Status.ShouldBeNull();
    }

    [Theory]
    [InlineData(Role.Operator)]
    [InlineData(Role.Developer)]
    [InlineData(Role.Auditor)]
    public async Task E5_other_roles_do_not_decide(Role role)
    {
        await using StoreScenario scenario = await WithApprovalAsync();

        DecisionOutcome outcome = await ApprovalDecisions.DecideAsync(scenario.System, Id, User("x", role), true, null, TimeProvider.System, Ct);

        outcome.ShouldBeOfType<DecisionOutcome.NotAnApprover>();
    }

    [Fact]
    public async Task E5_an_expired_approval_cannot_be_given()
    {
        await using StoreScenario scenario = await WithApprovalAsync(expires: DateTimeOffset.UnixEpoch.AddYears(40));

        (await DecideAsync(scenario, User("ann", Role.Approver))).ShouldBeOfType<DecisionOutcome.Expired>();
        await RefusedAsync(() => PatchStatusAsync(scenario, User("ann", Role.Approver),
            """{"status":{"decision":"Approved","approver":"user:ann","decidedAt":"2001-01-01T00:00:00Z"}}"""));
    }

    [Theory]
    [InlineData("user:asker", Role.Admin, "user:asker")]
    [InlineData("user:asker", Role.Approver, "user:asker")]
    [InlineData("user:asker", Role.Approver, "user:other")]
    [InlineData("user:ann", Role.Approver, "user:asker")]
    [InlineData("user:ann", Role.Admin, "user:other")]
    public async Task E5_the_status_endpoint_is_no_way_around(string name, Role role, string writtenApprover)
    {
        await using StoreScenario scenario = await WithApprovalAsync();
        Principal principal = new(name, new HashSet<Role> { role }, null);
        string patch = $$$"""{"status":{"decision":"Approved","approver":"{{{writtenApprover}}}","decidedAt":"2026-01-01T00:00:00Z"}}""";

        await RefusedAsync(() => PatchStatusAsync(scenario, principal, patch));

        // Positive control: the same request in one's own name, by somebody who did not ask, is taken.
        (await PatchStatusAsync(scenario, User("ann", Role.Approver), patch.Replace(writtenApprover, "user:ann", StringComparison.Ordinal)))
            .Status?.Decision.ShouldBe("Approved");
    }

    [Fact]
    public async Task E5_the_subject_cannot_be_changed_under_a_decision()
    {
        await using StoreScenario scenario = await WithApprovalAsync();

        ResourceException e = await RefusedAsync(() => scenario.System.MergePatchAsync<ApprovalResource>(
            Id, JsonDocument.Parse($$$"""{"spec":{"subjectHash":"{{{new string('b', 64)}}}"}}""").RootElement, null, Ct));

        e.Causes.ShouldHaveSingleItem().Field.ShouldBe("spec");
    }

    [Fact]
    public async Task E5_nobody_asks_in_anothers_name()
    {
        await using StoreScenario scenario = await WithApprovalAsync();
        ApprovalResource other = Approval(TimeProvider.System.GetUtcNow().AddHours(1)) with { Metadata = new ObjectMeta { Name = "q", Namespace = "ns" } };

        await RefusedAsync(() => scenario.Store.For(User("admin", Role.Admin)).CreateAsync(other, Ct));
    }

    private static async Task<StoreScenario> WithApprovalAsync(DateTimeOffset? expires = null)
    {
        StoreScenario scenario = await OpenAsync();
        await scenario.System.CreateAsync(Approval(expires ?? TimeProvider.System.GetUtcNow().AddHours(1)), Ct);
        return scenario;
    }

    private static ApprovalResource Approval(DateTimeOffset expires) => new()
    {
        Metadata = new ObjectMeta { Name = Id.Name, Namespace = Id.Namespace },
        Spec = new ApprovalSpec { Kind = "tool", SubjectHash = new string('a', 64), Requester = "user:asker", Expires = expires },
    };

    private static Task<DecisionOutcome> DecideAsync(StoreScenario scenario, Principal approver, bool approve = true) =>
        ApprovalDecisions.DecideAsync(scenario.Store.For(approver), Id, approver, approve, "looks fine", TimeProvider.System, Ct);

    private static Task<ApprovalResource> PatchStatusAsync(StoreScenario scenario, Principal principal, string patch) =>
        scenario.Store.For(principal).MergePatchAsync<ApprovalResource>(Id, JsonDocument.Parse(patch).RootElement, "status", Ct);

    private static async Task<ResourceException> RefusedAsync(Func<Task> action)
    {
        ResourceException e = await Should.ThrowAsync<ResourceException>(action);
        e.Reason.ShouldBeOneOf(ResourceErrorReason.Invalid, ResourceErrorReason.Forbidden);
        return e;
    }
}
