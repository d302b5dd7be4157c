using Rynxs.Agents.Tests.AgentLoops;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Approvals;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;

namespace Rynxs.Agents.Tests.Approvals;

public sealed class ApprovalTests
{
    private static readonly Principal Approver = new("user:ann", new HashSet<Role> { Role.Approver }, null);

    private const string Line = """{"id":"m","text":"call effect.do {\"what\":\"it\"}"}""" + "\n";

    [Fact]
    public async Task E5_an_approved_call_runs_once_and_names_its_approval()
    {
        await using AgentBench bench = await StartAsync();
        bench.AppendByHand(Line);
        ApprovalResource open = await OpenApprovalAsync(bench);
        bench.Effect.Effects.ShouldBeEmpty();
        open.Spec.Summary.ShouldBe("""{"what":"it"}""");
        open.Spec.Requester.ShouldBe("agent:rynxs/my-agent");

        await DecideAsync(bench, open, Approver, "Approved");

        bench.NextAnswer().Output!.Text.ShouldBe("did it");
        IReadOnlyList<LedgerRecord> records = await bench.RecordsAsync();
        records.Single(record => record.Type == nameof(ToolIntent)).Payload.GetProperty("approval").GetString().ShouldBe(open.Metadata.Name);
        records.Where(record => record.Type == nameof(PolicyDecided)).Select(record => record.Payload.GetProperty("verdict").GetString()).ShouldBe(["ask", "allow"]);
        records.Single(record => record.Type == nameof(ApprovalDecided)).Payload.GetProperty("approver").GetString().ShouldBe("user:ann");
    }

    [Fact]
    public async Task E5_a_rejected_call_does_not_run()
    {
        await using AgentBench bench = await StartAsync();
        bench.AppendByHand(Line);

        await DecideAsync(bench, await OpenApprovalAsync(bench), Approver, "Rejected");

        bench.NextAnswer().Error!.Code.ShouldBe("approval_rejected");
        bench.Effect.Effects.ShouldBeEmpty();
    }

    [Fact]
    public async Task E5_the_agent_cannot_approve_its_own_call()
    {
        await using AgentBench bench = await StartAsync();
        bench.AppendByHand(Line);
        ApprovalResource open = await OpenApprovalAsync(bench);

        await Should.ThrowAsync<ResourceException>(DecideAsync(bench, open, Principal.ForAgent("rynxs", "my-agent"), "Approved"));
        await Should.ThrowAsync<ResourceException>(DecideAsync(bench, open, Principal.System, "Approved", approver: open.Spec.Requester));

        bench.Effect.Effects.ShouldBeEmpty();
        await DecideAsync(bench, open, Approver, "Rejected");
        bench.NextAnswer().Status.ShouldBe("failed");
    }

    [Fact]
    public async Task E5_an_approval_that_nobody_decides_expires_and_nothing_runs()
    {
        await using AgentBench bench = await StartAsync(TimeSpan.FromSeconds(2));
        bench.AppendByHand(Line);

        bench.NextAnswer().Error!.Code.ShouldBe("approval_expired");
        bench.Effect.Effects.ShouldBeEmpty();
    }

    [Fact]
    public async Task E5_an_approval_is_not_good_for_the_same_call_of_another_message()
    {
        await using AgentBench bench = await StartAsync();
        bench.AppendByHand(Line);
        ApprovalResource first = await OpenApprovalAsync(bench);
        await DecideAsync(bench, first, Approver, "Approved");
        bench.NextAnswer().Status.ShouldBe("completed");

        bench.AppendByHand(Line.Replace("\"m\"", "\"m2\"", StringComparison.Ordinal));
        ApprovalResource second = await OpenApprovalAsync(bench);

        second.Metadata.Name.ShouldNotBe(first.Metadata.Name);
        second.Spec.SubjectHash.ShouldBe(first.Spec.SubjectHash);
        await DecideAsync(bench, second, Approver, "Rejected");
        bench.NextAnswer().Status.ShouldBe("failed");
        bench.Effect.Effects.Count.ShouldBe(1);
    }

    [Fact]
    public async Task An_open_approval_survives_a_restart_and_is_not_asked_again()
    {
        await using AgentBench bench = await StartAsync();
        bench.AppendByHand(Line);
        ApprovalResource open = await OpenApprovalAsync(bench);

        await bench.RestartAsync();
        await DecideAsync(bench, open, Approver, "Approved");

        bench.NextAnswer().Output!.Text.ShouldBe("did it");
        bench.Effect.Effects.Count.ShouldBe(1);
        (await bench.Store.For(Principal.System).ListAsync<ApprovalResource>(new ResourceQuery(), TestContext.Current.CancellationToken)).Items.Count.ShouldBe(1);
        (await bench.RecordsAsync()).Count(record => record.Type == nameof(ApprovalRequested)).ShouldBe(1);
    }

    [Fact]
    public async Task E5_approvals_cannot_be_flooded()
    {
        await using AgentBench bench = await StartAsync(maxOpen: 0);

        bench.AppendByHand(Line);

        bench.NextAnswer().Error!.Code.ShouldBe("too_many_approvals");
        (await bench.Store.For(Principal.System).ListAsync<ApprovalResource>(new ResourceQuery(), TestContext.Current.CancellationToken)).Items.ShouldBeEmpty();
    }

    [Fact]
    public void What_an_approver_sees_cannot_hide_anything()
    {
        string seen = Agents.Approvals.ApprovalDesk.Visible("rm \u202Efdp.txt\u0007\u001b[2K\u200b\n end");

        seen.ShouldBe("rm \\u{202e}fdp.txt\\u{7}\\u{1b}[2K\\u{200b}\\u{a} end");
        System.Text.Encoding.UTF8.GetByteCount(Agents.Approvals.ApprovalDesk.Visible(new string('€', 10_000))).ShouldBeLessThanOrEqualTo(4096);
    }

    private static Task<AgentBench> StartAsync(TimeSpan? lifetime = null, int maxOpen = 32) => AgentBench.StartAsync(bench =>
    {
        bench.Spec = bench.Spec with { Tools = new ToolsSpec { RequireApproval = ["effect.*"] } };
        bench.Options = bench.Options with { ApprovalLifetime = lifetime ?? TimeSpan.FromHours(1), MaxOpenApprovals = maxOpen };
    });

    private static async Task<ApprovalResource> OpenApprovalAsync(AgentBench bench)
    {
        IResourceClient client = bench.Store.For(Principal.System);
        ResourceList<ApprovalResource> now = await client.ListAsync<ApprovalResource>(new ResourceQuery(), TestContext.Current.CancellationToken);
        if (now.Items.FirstOrDefault(approval => approval.Status?.Decision is null) is { } there)
        {
            return there;
        }

        using var timeout = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        await foreach (WatchEvent<ApprovalResource> change in client.WatchAsync<ApprovalResource>(new ResourceQuery(), now.ResourceVersion, timeout.Token))
        {
            if (change.Type == WatchEventType.Added && change.Resource.Status?.Decision is null)
            {
                return change.Resource;
            }
        }

        throw new TimeoutException("No approval was asked for.");
    }

    private static async Task DecideAsync(AgentBench bench, ApprovalResource approval, Principal principal, string decision, string? approver = null) =>
        await bench.Store.For(principal).UpdateStatusAsync(
            approval with
            {
                Metadata = approval.Metadata with { ResourceVersion = null },
                Status = new ApprovalStatus { Decision = decision, Approver = approver ?? principal.Name, DecidedAt = TimeProvider.System.GetUtcNow() },
            },
            TestContext.Current.CancellationToken);
}
