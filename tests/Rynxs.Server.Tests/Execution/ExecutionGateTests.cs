using Rynxs.Server.Execution;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Tests.Execution;

public sealed class ExecutionGateTests
{
    [Fact]
    public async Task G6_a_thousand_wait_the_next_is_refused_and_a_place_that_frees_up_goes_on()
    {
        using var gate = new ExecutionGate(maxRunning: 1);
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        IDisposable running = await gate.EnterAsync("ns/a", cancellationToken);
        List<Task<IDisposable>> waiting =
            [.. Enumerable.Range(0, ExecutionGate.MaxRunningPerAgent + ExecutionGate.MaxQueuedPerAgent - 1).Select(_ => gate.EnterAsync("ns/a", cancellationToken))];

        ProblemException refused = await Should.ThrowAsync<ProblemException>(() => gate.EnterAsync("ns/a", cancellationToken));

        refused.Problem.Status.ShouldBe(429);
        waiting.ShouldAllBe(task => !task.IsCompleted);
        Task<IDisposable> other = gate.EnterAsync("ns/b", cancellationToken);
        running.Dispose();
        IDisposable next = await await Task.WhenAny(waiting.Append(other));
        next.ShouldNotBeNull("positive control: the gate is not stuck");
    }

    [Fact]
    public async Task G6_the_queue_of_all_agents_has_a_bound_and_says_when_to_come_again()
    {
        var time = new SteppedClock();
        using var gate = new ExecutionGate(maxRunning: 1, maxQueued: 10, time);
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        for (int i = 0; i < 100; i++)
        {
            using IDisposable place = await gate.EnterAsync("ns/slow", cancellationToken);
            time.Advance(TimeSpan.FromSeconds(8));
        }

        IDisposable running = await gate.EnterAsync("ns/a", cancellationToken);
        List<Task<IDisposable>> waiting = [.. Enumerable.Range(0, 10).Select(index => gate.EnterAsync($"ns/{index}", cancellationToken))];

        ProblemException refused = await Should.ThrowAsync<ProblemException>(() => gate.EnterAsync("ns/other", cancellationToken));

        (refused.Problem.Status, refused.Problem.Code).ShouldBe((429, "queue_full"));
        refused.Problem.RetryAfterSeconds.ShouldBeInRange(35, 50, "eleven of eight seconds each wait or ask, one at a time; half of that");
        running.Dispose();
        (await await Task.WhenAny(waiting)).ShouldNotBeNull("positive control: those who wait go on");
        gate.Queued.ShouldBe(9);
    }

    [Fact]
    public async Task Who_leaves_the_queue_gives_the_place_back()
    {
        using var gate = new ExecutionGate(maxRunning: 1);
        using var leaving = new CancellationTokenSource();
        IDisposable running = await gate.EnterAsync("ns/a", TestContext.Current.CancellationToken);
        Task<IDisposable> waiting = gate.EnterAsync("ns/a", leaving.Token);
        gate.Queued.ShouldBe(1);

        await leaving.CancelAsync();

        await Should.ThrowAsync<OperationCanceledException>(() => waiting);
        gate.Queued.ShouldBe(0);
        running.Dispose();
        (await gate.EnterAsync("ns/a", TestContext.Current.CancellationToken)).Dispose();
    }

    private sealed class SteppedClock : TimeProvider
    {
        private long _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public void Advance(TimeSpan by) => _now += by.Ticks;

        public override long GetTimestamp() => _now;
    }
}
