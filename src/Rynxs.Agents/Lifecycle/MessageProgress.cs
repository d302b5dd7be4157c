using Rynxs.Agents.Outbox;
using Rynxs.Resources.Meta;

namespace Rynxs.Agents.Lifecycle;

/// <summary>Something happened to a message of an agent.</summary>
/// <param name="Agent">Whose inbox it came from.</param>
/// <param name="MessageId">Which.</param>
/// <param name="Answer">Its line in the outbox, durable by now; null when work on it began.</param>
public sealed record MessageProgress(NamespacedName Agent, string MessageId, OutboxLine? Answer);
