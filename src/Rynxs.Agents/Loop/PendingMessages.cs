using Rynxs.Agents.Inbox;

namespace Rynxs.Agents.Loop;

/// <summary>Messages that wait, most urgent first, equal ones in order of arrival; and the ids that were seen. Safe for concurrent reads of the count.</summary>
internal sealed class PendingMessages
{
    private readonly PriorityQueue<ReceivedMessage, (int Urgency, long Arrival)> _queue = new();
    private readonly HashSet<string> _known = [];
    private readonly Queue<string> _knownOrder = new();
    private long _arrivals;
    private int _count;

    public int Count => Volatile.Read(ref _count);

    /// <summary>Whether a message of that id was received before, as far back as ids are remembered.</summary>
    public bool IsKnown(string id) => _known.Contains(id);

    public void Remember(string id)
    {
        if (_known.Add(id))
        {
            _knownOrder.Enqueue(id);
            if (_knownOrder.Count > RecoveryFold.MaxKnownIds)
            {
                _known.Remove(_knownOrder.Dequeue());
            }
        }
    }

    public void Add(ReceivedMessage message, MessagePriority priority)
    {
        Remember(message.Id);
        _queue.Enqueue(message, (-(int)priority, _arrivals++));
        Volatile.Write(ref _count, _queue.Count);
    }

    /// <summary>Adds the message that was being worked on: before all others, because the journal holds one conversation.</summary>
    public void AddFirst(ReceivedMessage message)
    {
        Remember(message.Id);
        _queue.Enqueue(message, (int.MinValue, _arrivals++));
        Volatile.Write(ref _count, _queue.Count);
    }

    public bool TryTake(out ReceivedMessage? message)
    {
        bool taken = _queue.TryDequeue(out message, out _);
        Volatile.Write(ref _count, _queue.Count);
        return taken;
    }
}
