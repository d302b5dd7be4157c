using Rynxs.Agents.Loop;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Tasks;

namespace Rynxs.Agents.Tasks;

/// <summary>Before an agent begins with a delivered Task: is it still wanted? It may have been cancelled, finished or deleted while the line waited.</summary>
internal sealed class TaskGuard(IResourceClient resources)
{
    /// <summary>True when the line delivers a Task that is gone, cancelled or in a final phase. Lines written by hand are never withdrawn.</summary>
    public async Task<bool> IsWithdrawnAsync(NamespacedName agent, ReceivedMessage message, CancellationToken cancellationToken)
    {
        if (message.Task is null || !TaskMessageId.TryParse(message.Id, out string uid, out _))
        {
            return false;
        }

        TaskResource? task = await resources.TryGetAsync<TaskResource>(new NamespacedName(agent.Namespace, message.Task), cancellationToken);
        return task is null || task.Metadata.Uid != uid || task.Spec.Cancel || task.Status?.Phase is "Completed" or "Failed" or "Cancelled";
    }
}
