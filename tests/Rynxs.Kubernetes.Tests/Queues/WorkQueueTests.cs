using FsCheck;
using FsCheck.Fluent;
using Rynxs.Kubernetes.Queues;
using Rynxs.Kubernetes.Requests;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Kubernetes.Tests.Queues;

public sealed class WorkQueueTests
{
    [Fact]
    public void Any_sequence_of_adding_taking_and_giving_back_keeps_the_promises()
    {
        // Model: the set of keys that are owed a look. The promises: never one key twice in work, no add is lost, no look without an add, first come first served.
        Gen<int[]> steps = Gen.Choose(0, 14).ArrayOf(60);
        Prop.ForAll(steps.ToArbitrary(), sequence =>
        {
            using var queue = new WorkQueue<int>(new WorkQueueOptions());
            List<int> ready = [];
            HashSet<int> working = [], again = [];
            foreach (int step in sequence)
            {
                int key = step % 5;
                if (step < 5)
                {
                    queue.Add(key);
                    if (working.Contains(key))
                        again.Add(key);
                    else if (!ready.Contains(key))
                        ready.Add(key);
                }
                else if (step < 10)
                {
                    if (ready.Count == 0)
                        continue;
                    (bool taken, int next) = queue.TakeAsync(Ct).AsTask().GetAwaiter().GetResult();
                    if (!taken || next != ready[0] || !working.Add(next))
                        return false;
                    ready.RemoveAt(0);
                }
                else if (working.Remove(key))
                {
                    queue.Done(key);
                    if (again.Remove(key))
                        ready.Add(key);
                }

                if (queue.Length != ready.Count)
                    return false;
            }

            return true;
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public async Task Many_workers_never_have_the_same_key_and_see_every_last_value()
    {
        using var queue = new WorkQueue<int>(new WorkQueueOptions());
        int[] written = new int[8], seen = new int[8], inWork = new int[8];
        int collisions = 0;
        Task[] workers = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            while (await queue.TakeAsync(Ct) is { Taken: true, Key: int key })
            {
                if (Interlocked.Increment(ref inWork[key]) > 1)
                    Interlocked.Increment(ref collisions);
                Volatile.Write(ref seen[key], Volatile.Read(ref written[key]));
                await Task.Yield();
                Interlocked.Decrement(ref inWork[key]);
                queue.Done(key);
            }
        }))];
        for (int i = 1; i <= 4000; i++)
        {
            written[i % 8] = i;
            queue.Add(i % 8);
        }

        await Kit.Eventually.TrueAsync(() => seen.AsSpan().SequenceEqual(written), "the last value of every key");
        queue.Close();
        await Task.WhenAll(workers);
        collisions.ShouldBe(0);
    }

    [Fact]
    public async Task A_key_that_fails_waits_longer_each_time_and_starts_anew_after_a_success()
    {
        using var queue = new WorkQueue<string>(new WorkQueueOptions { Backoff = new Backoff(TimeSpan.FromMilliseconds(20), TimeSpan.FromSeconds(60)), Random = new Random(1) });
        TimeSpan[] waits = [.. Enumerable.Range(0, 6).Select(_ => queue.AddFailed("a"))];

        waits.ShouldBeInOrder(SortDirection.Ascending);
        waits[5].ShouldBeInRange(TimeSpan.FromMilliseconds(320), TimeSpan.FromMilliseconds(640));
        queue.Forget("a");
        queue.AddFailed("a").ShouldBeLessThanOrEqualTo(TimeSpan.FromMilliseconds(20));
        (await queue.TakeAsync(Ct)).ShouldBe((true, "a"));
    }

    [Fact]
    public async Task A_key_that_is_added_now_is_not_looked_at_again_when_its_delay_ends()
    {
        using var queue = new WorkQueue<string>(new WorkQueueOptions());
        queue.AddAfter("a", TimeSpan.FromMilliseconds(30));
        queue.Add("a");
        (await queue.TakeAsync(Ct)).Key.ShouldBe("a");
        queue.Done("a");
        queue.AddAfter("b", TimeSpan.FromMilliseconds(60));

        (await queue.TakeAsync(Ct)).Key.ShouldBe("b");
    }

    [Fact]
    public async Task Of_several_delays_the_earliest_counts_and_closing_ends_all_takers()
    {
        using var queue = new WorkQueue<string>(new WorkQueueOptions());
        queue.AddAfter("a", TimeSpan.FromHours(1));
        queue.AddAfter("a", TimeSpan.FromMilliseconds(10));
        (await queue.TakeAsync(Ct)).Key.ShouldBe("a");
        queue.Done("a");

        Task<(bool Taken, string Key)>[] takers = [queue.TakeAsync(Ct).AsTask(), queue.TakeAsync(Ct).AsTask()];
        queue.Close();
        (await Task.WhenAll(takers)).ShouldAllBe(taken => !taken.Taken);
    }

    [Fact]
    public async Task The_rate_is_kept_after_the_burst()
    {
        using var queue = new WorkQueue<int>(new WorkQueueOptions { PerSecond = 50, Burst = 5 });
        for (int i = 0; i < 15; i++)
            queue.Add(i);
        long start = TimeProvider.System.GetTimestamp();
        for (int i = 0; i < 15; i++)
            await queue.TakeAsync(Ct);

        TimeProvider.System.GetElapsedTime(start).ShouldBeGreaterThanOrEqualTo(TimeSpan.FromMilliseconds(190), "ten keys beyond the burst at 50 a second");
    }
}
