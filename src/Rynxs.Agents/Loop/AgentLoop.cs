using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Rynxs.Agents.Inbox;
using Rynxs.Agents.Lifecycle;
using Rynxs.Agents.Outbox;
using Rynxs.Agents.Tasks;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Resources.Client;

namespace Rynxs.Agents.Loop;

/// <summary>
/// One agent at work: recover, then read the inbox and answer one message after the other. Whatever fails unexpectedly ends the session;
/// the next one starts with recovery from what is durable, after a growing pause. So a failure in the process and a crash of the process
/// take the same way back.
/// </summary>
/// <remarks>
/// Stop: new work ends at once and waits are cancelled; a running tool call has the drain time and is then cancelled; the sandbox is ended
/// by the owner.
/// </remarks>
internal sealed partial class AgentLoop(
    AgentContext context, AgentPaths paths, AgentRuntimesOptions options, TaskGuard guard, Action<MessageProgress> progress, ILogger logger)
    : IAsyncDisposable
{
    private const int MaxCrashesOfOneMessage = 3;
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(200), MaxPause = TimeSpan.FromSeconds(10);

    private readonly CancellationTokenSource _stopping = new();
    private readonly ConcurrentDictionary<string, byte> _cancelled = new();
    private readonly Dictionary<string, int> _crashes = [];
    private readonly OutboxFile _outbox = new(paths.Outbox);
    private readonly Lock _lock = new();
    private PendingMessages _pending = new();
    private InboxWatcher? _watcher;
    private (string Id, MessageStop Stop)? _current;
    private volatile string? _degraded;
    private Task? _run;

    public AgentRuntimeStatus Status
    {
        get
        {
            lock (_lock)
            {
                AgentRuntimeState state = _run is null or { IsCompleted: true } ? AgentRuntimeState.Stopped
                    : _degraded is not null ? AgentRuntimeState.Degraded
                    : context.Spec.Suspended ? AgentRuntimeState.Suspended
                    : AgentRuntimeState.Running;
                return new AgentRuntimeStatus(
                    context.Agent, state, _degraded, _pending.Count + (_current is null ? 0 : 1), _current?.Id, context.Sandbox.CurrentId);
            }
        }
    }

    public void Start() => _run = Task.Run(RunAsync, CancellationToken.None);

    /// <summary>A hint that the inbox grew.</summary>
    public void Wake() => _watcher?.Wake();

    /// <summary>Cancels a message that waits or is being worked on; it is answered as cancelled.</summary>
    public void Cancel(string messageId, bool deadline)
    {
        lock (_lock)
        {
            if (_current is { } current && current.Id == messageId)
            {
                current.Stop.Stop(deadline ? StopCause.Deadline : StopCause.Cancelled);
                return;
            }
        }

        _cancelled[messageId] = 0;
    }

    /// <summary>Ends the loop. Returns when nothing of it runs any more.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        MessageStop? current;
        lock (_lock)
        {
            current = _current?.Stop;
            current?.Stop(StopCause.Shutdown);
        }

        Task run = _run ?? Task.CompletedTask;
        try
        {
            await run.WaitAsync(options.DrainTimeout, context.TimeProvider);
        }
        catch (TimeoutException)
        {
            lock (_lock)
            {
                _current?.Stop.Kill();
            }

            await run;
        }

        _stopping.Dispose();
    }

    private async Task RunAsync()
    {
        TimeSpan pause = FirstPause;
        while (!_stopping.IsCancellationRequested)
        {
            long started = context.TimeProvider.GetTimestamp();
            try
            {
                await RunSessionAsync(_stopping.Token);
                return;
            }
            catch (OperationCanceledException) when (_stopping.IsCancellationRequested)
            {
                return;
            }
            catch (Exception failure)
            {
                // The top of the loop: logged once, shown by health, tried again from what is durable.
                _degraded = failure switch
                {
                    LedgerUnavailableException { IsLasting: true } => "the ledger cannot be written until the server is restarted",
                    LedgerUnavailableException => "the ledger cannot be written",
                    IOException or UnauthorizedAccessException => "the state directory cannot be written",
                    _ => failure.GetType().Name,
                };
                pause = context.TimeProvider.GetElapsedTime(started) > MaxPause ? FirstPause : pause;
                LogSessionFailed(failure, context.Agent.ToString(), pause);
                await PauseAsync(pause);
                pause = pause * 2 < MaxPause ? pause * 2 : MaxPause;
            }
        }
    }

    private async Task PauseAsync(TimeSpan pause)
    {
        try
        {
            await Task.Delay(pause, context.TimeProvider, _stopping.Token);
        }
        catch (OperationCanceledException)
        {
            // Stopping: the loop above ends.
        }
    }

    private async Task RunSessionAsync(CancellationToken cancellationToken)
    {
        long cut = _outbox.RepairTail();
        if (cut > 0)
        {
            LogOutboxRepaired(context.Agent.ToString(), cut);
        }

        var pending = new PendingMessages();
        lock (_lock)
        {
            _pending = pending;
        }

        var recovery = new Recovery(context, paths, _outbox, pending, FinishAsync);
        ConversationJournal? resumed = await recovery.RunAsync(cancellationToken);
        var pump = new InboxPump(paths, context.Audit, _outbox, pending, context.TimeProvider);
        using var watcher = new InboxWatcher(paths.Inbox, options.InboxPollInterval, context.TimeProvider, logger);
        _watcher = watcher;
        try
        {
            while (true)
            {
                cancellationToken.ThrowIfCancellationRequested();
                await pump.PumpAsync(options.MaxPendingMessages, cancellationToken);
                _degraded = null;
                if (!context.Spec.Suspended && pending.TryTake(out ReceivedMessage? next) && next is not null)
                {
                    await WorkAsync(next, resumed?.MessageId == next.Id ? resumed : null, cancellationToken);
                }
                else
                {
                    await watcher.WaitAsync(cancellationToken);
                }
            }
        }
        finally
        {
            _watcher = null;
        }
    }

    private async Task WorkAsync(ReceivedMessage received, ConversationJournal? journal, CancellationToken cancellationToken)
    {
        InboxMessage? message = await MessageText.LoadAsync(context.Audit, received, cancellationToken);
        if (message is null)
        {
            await FailAsync(received, "text_erased", "The message's text was erased before it was answered.");
            return;
        }

        if (_crashes.GetValueOrDefault(received.Id) >= MaxCrashesOfOneMessage)
        {
            await FailAsync(received, "internal_error", $"Work on this message failed unexpectedly {MaxCrashesOfOneMessage} times.");
            return;
        }

        using var stop = new MessageStop(message.Deadline, context.TimeProvider);
        lock (_lock)
        {
            _current = (received.Id, stop);
            if (cancellationToken.IsCancellationRequested)
            {
                stop.Stop(StopCause.Shutdown);
            }
        }

        try
        {
            await WorkAsync(received, message, journal, stop, cancellationToken);
            _crashes.Remove(received.Id);
        }
        catch (Exception unexpected) when (unexpected is not
            (LedgerUnavailableException or OperationCanceledException or ResourceException or IOException or UnauthorizedAccessException))
        {
            // Not for a ledger, store or disk that fails: that is not the message's fault, and it is worked on when they are back.
            _crashes[received.Id] = _crashes.GetValueOrDefault(received.Id) + 1;
            throw;
        }
        finally
        {
            lock (_lock)
            {
                _current = null;
            }
        }
    }

    private async Task WorkAsync(
        ReceivedMessage received, InboxMessage message, ConversationJournal? journal, MessageStop stop, CancellationToken cancellationToken)
    {
        // The session's token: a deadline that has already passed must be answered, not end the session.
        if (_cancelled.TryRemove(received.Id, out _) || await guard.IsWithdrawnAsync(context.Agent, received, cancellationToken))
        {
            stop.Stop(StopCause.Cancelled);
        }
        else if (received.Task is not null && journal is null)
        {
            await context.Audit.AppendAsync(new TaskStarted { Task = received.Task, Attempt = TaskMessageId.AttemptOf(received.Id) }, cancellationToken);
        }

        progress(new MessageProgress(context.Agent, received.Id, null));
        OutboxLine? answer = await new MessageRun(context, message, journal).RunAsync(stop);
        if (answer is null)
        {
            throw new OperationCanceledException("The agent stops; the message waits for its next start.");
        }

        await FinishAsync(received, answer, FinishSteps.All);
    }

    private async Task FailAsync(ReceivedMessage received, string code, string text) =>
        await FinishAsync(
            received,
            new OutboxLine
            {
                Id = received.Id,
                T = context.TimeProvider.GetUtcNow(),
                TaskId = received.Task,
                Status = "failed",
                Output = new OutboxOutput(""),
                Error = new OutboxError(code, text),
            },
            FinishSteps.All);

    /// <summary>Outbox first, then the record that it is there: a crash between the two is seen by recovery. Not cancellable: a commit.</summary>
    private async Task FinishAsync(ReceivedMessage received, OutboxLine answer, FinishSteps steps)
    {
        if (steps == FinishSteps.All)
        {
            _outbox.Append(answer);
        }

        RecordedText text = AuditTrail.Preview(answer.Output?.Text is { Length: > 0 } said ? said : answer.Error?.Message ?? "");
        if (received.Task is not null && steps != FinishSteps.AnswerRecord)
        {
            await context.Audit.AppendAsync(
                new TaskFinished
                {
                    Task = received.Task,
                    Attempt = TaskMessageId.AttemptOf(received.Id),
                    Phase = answer.Status switch { "completed" => "Completed", "cancelled" => "Cancelled", _ => "Failed" },
                    Reason = answer.Error?.Code,
                },
                CancellationToken.None);
        }

        await context.Audit.AppendAsync(
            new MessageAnswered { MessageId = received.Id, Status = answer.Status, Text = text.Committed }, CancellationToken.None, text);
        File.Delete(paths.Journal);
        progress(new MessageProgress(context.Agent, received.Id, answer));
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The loop of agent {Agent} failed; it starts over from what is durable in {Pause}")]
    private partial void LogSessionFailed(Exception failure, string agent, TimeSpan pause);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The outbox of agent {Agent} ended in a half line; {Bytes} bytes were cut and the message is answered again")]
    private partial void LogOutboxRepaired(string agent, long bytes);
}
