namespace Rynxs.Sandbox.GVisor;

/// <summary>
/// Watches the size of a workspace while a program runs and stops the program when it outgrew its limit. Detection, not prevention:
/// between two looks a program can write as much as the disk takes.
/// </summary>
internal static class WorkspaceQuota
{
    private const int MaxEntries = 1_000_000;
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    public static async Task WatchAsync(string directory, long limit, Action onExceeded, TimeProvider time, CancellationToken cancellationToken)
    {
        // A workspace that is already too large must still allow programs that make it smaller.
        long allowed = Math.Max(limit, Measure(directory, long.MaxValue));
        while (!cancellationToken.IsCancellationRequested)
        {
            long begin = time.GetTimestamp();
            if (Measure(directory, allowed) > allowed)
            {
                onExceeded();
                return;
            }

            // A large tree takes long to walk: never spend more than a tenth of the time on it.
            TimeSpan pause = TimeSpan.FromTicks(Math.Max(Interval.Ticks, time.GetElapsedTime(begin).Ticks * 9));
            await Task.Delay(pause, time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Bytes of all files; stops counting above <paramref name="enough"/>. Links are not followed.</summary>
    public static long Measure(string directory, long enough)
    {
        long bytes = 0;
        int entries = 0;
        var options = new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true, AttributesToSkip = FileAttributes.ReparsePoint };
        try
        {
            foreach (FileInfo file in new DirectoryInfo(directory).EnumerateFiles("*", options))
            {
                try
                {
                    bytes += file.Length;
                }
                catch (FileNotFoundException)
                {
                    // Removed meanwhile.
                }

                if (bytes > enough || ++entries > MaxEntries)
                {
                    return Math.Max(bytes, enough == long.MaxValue ? bytes : enough + 1);
                }
            }
        }
        catch (IOException)
        {
            // A directory vanished while it was read; the next look counts again.
        }

        return bytes;
    }
}
