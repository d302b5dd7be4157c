using Rynxs.Agents.Outbox;
using Rynxs.Agents.Tasks;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;
using TaskStatus = Rynxs.Resources.Tasks.TaskStatus;

namespace Rynxs.Agents.Tests.Tasks;

public sealed class TaskPlanTests
{
    private static readonly DateTimeOffset Now = new(2026, 3, 2, 12, 0, 0, TimeSpan.Zero);

    [Fact]
    public void A_new_task_is_assigned() => Decide(Task("a")).ShouldBe(new TaskStep.Assign());

    [Fact]
    public void A_task_waits_for_its_dependencies_and_fails_with_them()
    {
        Decide(Task("a", "b"), Task("b")).ShouldBeOfType<TaskStep.Wait>().Reason.ShouldBe("DependencyPending");
        Decide(Task("a", "b")).ShouldBeOfType<TaskStep.Wait>().Reason.ShouldBe("DependencyMissing");
        Decide(Task("a", "b"), In(Task("b"), "Completed")).ShouldBe(new TaskStep.Assign());
        Decide(Task("a", "b"), In(Task("b"), "Failed")).ShouldBeOfType<TaskStep.Finish>().Reason.ShouldBe("DependencyFailed");
        Decide(Task("a", "b"), In(Task("b"), "Cancelled")).ShouldBeOfType<TaskStep.Finish>().Reason.ShouldBe("DependencyFailed");
    }

    [Fact]
    public void A_cycle_fails_every_task_in_it_and_no_other()
    {
        TaskResource a = Task("a", "b"), b = Task("b", "c"), c = Task("c", "a"), outside = Task("d", "a"), self = Task("e", "e");

        TaskStep.Finish finish = Decide(a, b, c).ShouldBeOfType<TaskStep.Finish>();
        (finish.Phase, finish.Reason).ShouldBe(("Failed", "DependencyCycle"));
        finish.Message.ShouldContain("a → b → c → a");
        Decide(self).ShouldBeOfType<TaskStep.Finish>().Reason.ShouldBe("DependencyCycle");
        Decide(outside, a, b, c).ShouldBeOfType<TaskStep.Wait>();
    }

    [Fact]
    public void A_long_chain_of_dependencies_needs_no_deep_stack()
    {
        TaskResource[] chain = [.. Enumerable.Range(0, 20_000).Select(i => Task($"t{i}", $"t{i + 1}"))];

        Decide(chain[0], chain[1..]).ShouldBeOfType<TaskStep.Wait>();
    }

    [Fact]
    public void Cancelling_ends_a_waiting_task_and_interrupts_one_that_runs()
    {
        TaskResource cancelled = Task("a") with { Spec = Task("a").Spec with { Cancel = true } };

        Decide(cancelled).ShouldBeOfType<TaskStep.Finish>().Phase.ShouldBe("Cancelled");
        Decide(In(cancelled, "InProgress")).ShouldBe(new TaskStep.Interrupt(Deadline: false));
    }

    [Fact]
    public void A_deadline_fails_a_waiting_task_and_interrupts_one_that_runs()
    {
        TaskResource late = Task("a") with { Spec = Task("a").Spec with { Deadline = Now } };

        Decide(late).ShouldBeOfType<TaskStep.Finish>().Reason.ShouldBe("DeadlineExceeded");
        Decide(In(late, "Assigned")).ShouldBe(new TaskStep.Interrupt(Deadline: true));
    }

    [Theory]
    [InlineData("model_failed", 1, true)]
    [InlineData("model_failed", 3, false)]
    [InlineData("outcome_unknown", 1, false)]
    [InlineData("progress_lost", 1, false)]
    [InlineData("deadline_exceeded", 1, false)]
    public void A_failed_attempt_is_repeated_only_when_nothing_can_happen_twice(string code, int attempts, bool again)
    {
        TaskResource task = In(Task("a") with { Spec = Task("a").Spec with { MaxAttempts = 3 } }, "InProgress", attempts);
        OutboxLine answer = new() { T = Now, Status = "failed", Error = new OutboxError(code, "why") };

        (TaskPlan.Decide(task, By(task), answer, Now) is TaskStep.Retry).ShouldBe(again);
    }

    [Fact]
    public void A_retry_waits_longer_each_time()
    {
        TaskResource failed = In(Task("a"), "Pending", 3);
        failed = failed with
        {
            Status = failed.Status! with { Conditions = [new Condition { Type = "Assigned", Status = "False", Reason = "Retrying", LastTransitionTime = Now }] },
        };

        TaskPlan.Decide(failed, By(failed), null, Now.AddSeconds(3.9)).ShouldBeOfType<TaskStep.Wait>().Until.ShouldBe(Now.AddSeconds(4));
        TaskPlan.Decide(failed, By(failed), null, Now.AddSeconds(4)).ShouldBe(new TaskStep.Assign());
        TaskPlan.RetryDelay(1000).ShouldBe(TimeSpan.FromMinutes(5));
    }

    [Fact]
    public void Urgent_tasks_go_first_then_older_ones()
    {
        TaskResource Of(string name, string priority, int age) => Task(name) with
        {
            Metadata = new ObjectMeta { Name = name, Namespace = "ns", CreationTimestamp = Now.AddMinutes(-age) },
            Spec = Task(name).Spec with { Priority = priority },
        };

        TaskPlan.InOrder([Of("low", "low", 9), Of("new", "normal", 1), Of("old", "normal", 5), Of("critical", "critical", 0), Of("high", "high", 0)])
            .Select(task => task.Metadata.Name).ShouldBe(["critical", "high", "old", "new", "low"]);
    }

    [Theory]
    [InlineData("task-abc-1.2", true)]
    [InlineData("task-.2", false)]
    [InlineData("task-abc", false)]
    [InlineData("m0-1-abcd", false)]
    public void Only_delivered_lines_have_the_id_of_an_attempt(string id, bool parses)
    {
        TaskMessageId.TryParse(id, out _, out _).ShouldBe(parses);
        TaskMessageId.TryParse(TaskMessageId.Of("u-1", 3), out string uid, out int attempt).ShouldBeTrue();
        (uid, attempt).ShouldBe(("u-1", 3));
    }

    private static TaskStep Decide(TaskResource task, params TaskResource[] others) => TaskPlan.Decide(task, By([task, .. others]), null, Now);

    private static Dictionary<string, TaskResource> By(params TaskResource[] tasks) => tasks.ToDictionary(task => task.Metadata.Name);

    private static TaskResource In(TaskResource task, string phase, int attempts = 1) => task with { Status = new TaskStatus { Phase = phase, Attempts = attempts } };

    private static TaskResource Task(string name, params string[] dependencies) => new()
    {
        Metadata = new ObjectMeta { Name = name, Namespace = "ns", Uid = "u-" + name },
        Spec = new TaskSpec { Title = name, Description = "say hello", Dependencies = dependencies },
    };
}
