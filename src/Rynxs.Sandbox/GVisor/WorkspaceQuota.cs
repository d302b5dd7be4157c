using System.Text;
using Microsoft.Win32.SafeHandles;
using Rynxs.Sandbox.Files;

namespace Rynxs.Sandbox.GVisor;

/// <summary>
/// Holds a program to the size of its workspace: measured before it starts, while it runs, and when it ended. Detection, not prevention:
/// between two looks a program can write as much as the disk takes.
/// </summary>
internal sealed class WorkspaceQuota : IDisposable
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(2);

    private readonly SafeFileHandle _directory;
    private readonly Func<IReadOnlyList<int>> _holders;
    private readonly TimeProvider _time;
    private readonly long _allowedBytes;
    private readonly long _allowedEntries;

    private WorkspaceQuota(SafeFileHandle directory, long limit, WorkspaceUsage before, Func<IReadOnlyList<int>> holders, TimeProvider time)
    {
        _directory = directory;
        _holders = holders;
        _time = time;
        IsOverAtStart = before.Bytes > limit;
        // A workspace that is already too large must still allow programs that make it smaller.
        _allowedBytes = Math.Max(limit, before.Bytes);
        _allowedEntries = Math.Max(WorkspaceUsage.MaxEntries, before.Entries);
    }

    /// <summary>True when the workspace was over its limit before the program: then it may remove files, and write none.</summary>
    public bool IsOverAtStart { get; }

    /// <summary>Measures what is there before the program starts, so that nothing of its own becomes part of what is allowed.</summary>
    /// <exception cref="SandboxStartException">The workspace cannot be measured within bounds: then no program may add to it.</exception>
    public static WorkspaceQuota Begin(string directory, long limit, Func<IReadOnlyList<int>> holders, TimeProvider time)
    {
        int descriptor = OpenAt2.OpenDirectory(Encoding.UTF8.GetBytes(directory + '\0'));
        if (descriptor < 0)
        {
            throw new SandboxStartException($"workspace: the directory cannot be opened (error {-descriptor})");
        }

        var handle = new SafeFileHandle(descriptor, ownsHandle: true);
        try
        {
            const int mostEntries = 2 * WorkspaceUsage.MaxEntries;
            WorkspaceUsage before = WorkspaceUsage.Measure(handle, long.MaxValue, mostEntries, [], CancellationToken.None);
            string? obstacle = before.Entries > mostEntries ? $"it holds more than {mostEntries} names" : before.Unmeasurable;
            return obstacle is null
                ? new WorkspaceQuota(handle, limit, before, holders, time)
                : throw new SandboxStartException($"workspace: its size cannot be measured: {obstacle}. Remove files with the file tools or on the host.");
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Looks until cancelled; calls back once when the program outgrew its limit.</summary>
    public async Task WatchAsync(Action onExceeded, CancellationToken cancellationToken)
    {
        while (!cancellationToken.IsCancellationRequested)
        {
            long begin = _time.GetTimestamp();
            try
            {
                if (IsExceeded(cancellationToken))
                {
                    onExceeded();
                    return;
                }
            }
            catch (OperationCanceledException)
            {
                return;
            }

            // A large tree takes long to walk: spend no more than a tenth of the time on it, but never look away for long.
            TimeSpan pause = TimeSpan.FromTicks(Math.Clamp(_time.GetElapsedTime(begin).Ticks * 9, Interval.Ticks, LongestPause.Ticks));
            await Task.Delay(pause, _time, cancellationToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>One look. What cannot be measured counts as exceeded.</summary>
    public bool IsExceeded(CancellationToken cancellationToken)
    {
        WorkspaceUsage now = WorkspaceUsage.Measure(_directory, _allowedBytes, _allowedEntries, _holders(), cancellationToken);
        return now.Unmeasurable is not null || now.Bytes > _allowedBytes || now.Entries > _allowedEntries;
    }

    public void Dispose() => _directory.Dispose();
}
