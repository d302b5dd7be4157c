using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Rynxs.Sandbox.GVisor;

namespace Rynxs.Sandbox.Pool;

/// <summary>
/// Sandboxes of one template that are restored, reseeded, stopped and wait. Each serves once and is destroyed, so nothing of one user reaches the next.
/// </summary>
/// <remarks>
/// One task refills, one sandbox at a time, so that a burst of requests does not compete with its own refill for all CPUs. Stopping: the task is
/// cancelled and awaited; the sandboxes belong to the runtime, which destroys them with its others.
/// </remarks>
internal sealed partial class WarmPool : IAsyncDisposable
{
    private static readonly TimeSpan IdleStep = TimeSpan.FromMinutes(60);
    private static readonly TimeSpan HoldPoll = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan LongestBackoff = TimeSpan.FromMinutes(1);
    private readonly Func<CancellationToken, Task<GVisorSandbox>> _restore;
    private readonly Func<GVisorSandbox, CancellationToken, Task> _sample;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly ConcurrentQueue<GVisorSandbox> _ready = new();
    private readonly SemaphoreSlim _wanted = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _refill;
    private int _target;
    private long _lastUse;
    private int _prepared;
    private int _holds;

    /// <param name="template">What is kept.</param>
    /// <param name="restore">Makes one that is running and reserved.</param>
    /// <param name="sample">Probes the controls of one that is discarded then.</param>
    /// <param name="time">Clock.</param>
    /// <param name="logger">Told of failures.</param>
    public WarmPool(SandboxTemplate template, Func<CancellationToken, Task<GVisorSandbox>> restore, Func<GVisorSandbox, CancellationToken, Task> sample, TimeProvider time, ILogger logger)
    {
        Template = template;
        _restore = restore;
        _sample = sample;
        _time = time;
        _logger = logger;
        _target = template.Size;
        _lastUse = time.GetTimestamp();
        _refill = Task.Run(RefillAsync);
    }

    /// <summary>One in so many is probed and discarded.</summary>
    public const int SampleEvery = 64;

    public SandboxTemplate Template { get; }

    /// <summary>How many wait now.</summary>
    public int Ready => _ready.Count;

    /// <summary>How many should.</summary>
    public int Target => Volatile.Read(ref _target);

    /// <summary>Until it is disposed no further sandbox is begun: a request that restores its own meets no competition from us.</summary>
    public IDisposable HoldRefill()
    {
        Interlocked.Increment(ref _holds);
        return new RefillHold(this);
    }

    /// <summary>Completes when as many as wanted wait; for tests and benchmarks.</summary>
    public async Task FullAsync(CancellationToken cancellationToken)
    {
        while (Ready < Target)
        {
            await Task.Delay(TimeSpan.FromMilliseconds(5), _time, cancellationToken);
        }
    }

    /// <summary>One that is alive and still stopped, or null. Whoever takes it destroys it.</summary>
    public GVisorSandbox? TryTake()
    {
        Volatile.Write(ref _lastUse, _time.GetTimestamp());
        try
        {
            while (_ready.TryDequeue(out GVisorSandbox? slot))
            {
                if (!slot.IsGone)
                {
                    return slot;
                }

                LogDiedWaiting(slot.Id);
            }

            Interlocked.Exchange(ref _target, Math.Min(Template.Ceiling, Target + 1));
            return null;
        }
        finally
        {
            _wanted.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _refill;
        _ready.Clear();
    }

    private async Task RefillAsync()
    {
        TimeSpan backoff = TimeSpan.FromSeconds(1);
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                while (Ready < Target)
                {
                    while (Volatile.Read(ref _holds) > 0)
                    {
                        await Task.Delay(HoldPoll, _time, _stop.Token);
                    }

                    await AddAsync();
                    backoff = TimeSpan.FromSeconds(1);
                }

                if (!await _wanted.WaitAsync(IdleStep, _stop.Token) && _time.GetElapsedTime(Volatile.Read(ref _lastUse)) >= IdleStep)
                {
                    Interlocked.Exchange(ref _target, Math.Max(Template.Floor, Target - 1));
                    if (Ready > Target && _ready.TryDequeue(out GVisorSandbox? surplus))
                    {
                        await surplus.DisposeAsync();
                    }
                }
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failed)
            {
                // The top of the loop: requests go the cold way meanwhile, and this tries again.
                LogRefillFailed(failed, Template.Name);
                await Task.Delay(backoff, _time, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                backoff = TimeSpan.FromTicks(Math.Min(backoff.Ticks * 2, LongestBackoff.Ticks));
            }
        }
    }

    private async Task AddAsync()
    {
        GVisorSandbox slot = await _restore(_stop.Token);
        if (++_prepared % SampleEvery == 0)
        {
            await using (slot)
            {
                await _sample(slot, _stop.Token);
            }

            return;
        }

        slot.Park();
        _ready.Enqueue(slot);
    }

    private sealed class RefillHold(WarmPool pool) : IDisposable
    {
        private int _released;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _released, 1) == 0)
            {
                Interlocked.Decrement(ref pool._holds);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Pool {Template}: a sandbox could not be prepared; requests start theirs when they come")]
    private partial void LogRefillFailed(Exception exception, string template);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Sandbox {Sandbox} died while it waited in the pool")]
    private partial void LogDiedWaiting(SandboxId sandbox);
}
