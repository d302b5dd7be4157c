using System.Collections.Concurrent;
using Rynxs.Gateway.Egress;
using Rynxs.Ledger;

namespace Rynxs.Server.Egress;

/// <summary>Channels that are open, and whose they are. Nothing that is said over a channel changes this.</summary>
internal sealed class EgressChannels
{
    private readonly ConcurrentDictionary<ChannelId, OpenChannel> _open = [];

    public IReadOnlyCollection<OpenChannel> All => [.. _open.Values];

    public OpenChannel? Find(ChannelId id) => _open.GetValueOrDefault(id);

    public void Add(OpenChannel channel) => _open[channel.Id] = channel;

    public void Remove(ChannelId id) => _open.TryRemove(id, out _);
}

/// <summary>One channel.</summary>
internal sealed class OpenChannel(ChannelId id, EgressSubjectOf subject, ILedgerChain chain, string principal)
{
    public ChannelId Id => id;

    public EgressSubjectOf Subject => subject;

    /// <summary>Where its events are recorded.</summary>
    public ILedgerChain Chain => chain;

    /// <summary>In whose name they are.</summary>
    public string Principal => principal;

    /// <summary>Set before the channel is known to others.</summary>
    public EgressChannel Channel { get; set; } = null!; // As said.
}
