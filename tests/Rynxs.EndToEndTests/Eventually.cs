namespace Rynxs.EndToEndTests;

/// <summary>For what another process does and tells nobody: asks again until there is an answer, up to one generous limit.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(90);

    public static Task<T> Async<T>(Func<T?> ask)
        where T : struct => PollAsync(() => Task.FromResult((object?)ask()), answer => (T)answer);

    public static Task<T> Async<T>(Func<Task<T?>> ask)
        where T : class => PollAsync(async () => await ask(), answer => (T)answer);

    private static async Task<T> PollAsync<T>(Func<Task<object?>> ask, Func<object, T> read)
    {
        long started = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(started) < Limit)
        {
            if (await ask() is { } answer)
            {
                return read(answer);
            }

            await Task.Delay(100, TestContext.Current.CancellationToken);
        }

        throw new TimeoutException($"It did not happen within {Limit.TotalSeconds:0} s.");
    }
}
