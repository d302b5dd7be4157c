using Rynxs.Gateway.Inference;
using Rynxs.Resources.Client;
using Rynxs.Resources.Inference;
using Rynxs.Resources.Meta;

namespace Rynxs.Server.Inference;

/// <summary>
/// Keeps what the gateway enforces equal to the InferencePolicy objects, and reports back which digest it really enforces. A change takes effect as a
/// whole; a policy that cannot be compiled keeps its last good form, and a new one stays away, so its agents are refused.
/// </summary>
internal sealed partial class InferencePolicyWatch(InferenceGateway gateway, IResourceClient resources, TimeProvider timeProvider, ILogger<InferencePolicyWatch> logger)
{
    private readonly Dictionary<NamespacedName, InferencePolicyConfig> _enforced = [];

    /// <summary>Reads all policies once: before the server answers anything.</summary>
    public async Task<string> LoadAsync(CancellationToken cancellationToken)
    {
        ResourceList<InferencePolicyResource> list = await resources.ListAsync<InferencePolicyResource>(new ResourceQuery(), cancellationToken);
        HashSet<NamespacedName> there = [.. list.Items.Select(policy => policy.Id)];
        foreach (NamespacedName gone in _enforced.Keys.Where(id => !there.Contains(id)).ToArray())
        {
            _enforced.Remove(gone);
        }

        foreach (InferencePolicyResource policy in list.Items)
        {
            await TakeAsync(policy, cancellationToken);
        }

        Publish();
        return list.ResourceVersion;
    }

    /// <summary>Follows changes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        while (true)
        {
            string version = await LoadAsync(cancellationToken);
            try
            {
                await foreach (WatchEvent<InferencePolicyResource> change in resources.WatchAsync<InferencePolicyResource>(new ResourceQuery(), version, cancellationToken))
                {
                    switch (change.Type)
                    {
                        case WatchEventType.Deleted:
                            _enforced.Remove(change.Resource.Id);
                            Publish();
                            break;
                        case WatchEventType.Added or WatchEventType.Modified:
                            await TakeAsync(change.Resource, cancellationToken);
                            break;
                        default:
                            break;
                    }
                }
            }
            catch (ResourceException exception) when (exception.Reason == ResourceErrorReason.Gone)
            {
                LogResync(version);
            }
        }
    }

    private async Task TakeAsync(InferencePolicyResource policy, CancellationToken cancellationToken)
    {
        string? problem = null;
        if (policy.Metadata.DeletionTimestamp is not null)
        {
            _enforced.Remove(policy.Id);
        }
        else if (!_enforced.TryGetValue(policy.Id, out InferencePolicyConfig? known) || known.Policy.Digest != InferencePolicyCompiler.DigestOf(policy))
        {
            try
            {
                _enforced[policy.Id] = InferencePolicyCompiler.Compile(policy);
            }
            catch (Exception meaningless) when (meaningless is ArgumentException or FormatException or OverflowException)
            {
                problem = meaningless.Message;
                LogNotCompiled(policy.Id.ToString(), problem);
            }
        }

        // Enforced first, told afterwards: the status never runs ahead of the truth.
        Publish();
        await TellAsync(policy, problem, cancellationToken);
    }

    private void Publish() => gateway.Replace(new InferenceModel
    {
        ByNamespace = _enforced.GroupBy(pair => pair.Key.Namespace)
            .ToDictionary(group => group.Key, group => (IReadOnlyList<InferencePolicyConfig>)[.. group.Select(pair => pair.Value)], StringComparer.Ordinal),
    });

    private async Task TellAsync(InferencePolicyResource policy, string? problem, CancellationToken cancellationToken)
    {
        string? digest = gateway.Model.ByNamespace.GetValueOrDefault(policy.Metadata.Namespace)?
            .FirstOrDefault(config => config.Policy.Name == policy.Id.ToString())?.Policy.Digest;
        string status = digest is not null && problem is null ? "True" : "False";
        Condition? before = policy.Status?.Conditions.FirstOrDefault(condition => condition.Type == "Enforced");
        if (policy.Status?.EnforcedDigest == digest && before?.Status == status && policy.Status?.ObservedGeneration == policy.Metadata.Generation)
        {
            return;
        }

        Condition enforced = new()
        {
            Type = "Enforced",
            Status = status,
            Reason = problem is null ? "Compiled" : "NotCompiled",
            Message = problem ?? "The gateway enforces this spec.",
            LastTransitionTime = before?.Status == status ? before.LastTransitionTime : timeProvider.GetUtcNow(),
        };
        try
        {
            await resources.UpdateStatusAsync(
                policy with { Status = new InferencePolicyStatus { ObservedGeneration = policy.Metadata.Generation, EnforcedDigest = digest, Conditions = [enforced] } }, cancellationToken);
        }
        catch (ResourceException exception) when (exception.Reason is ResourceErrorReason.Conflict or ResourceErrorReason.NotFound)
        {
            // It changed or went meanwhile: the watch brings what it is now.
        }
        catch (ResourceException exception)
        {
            // The store cannot be written; what is enforced does not depend on it.
            LogStatusNotWritten(policy.Id.ToString(), exception.Reason.ToString());
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Inference policy {Policy} cannot be carried out ({Reason}); its last good form stays")]
    private partial void LogNotCompiled(string policy, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "Changes of inference policies after version {Version} are gone; they are read anew")]
    private partial void LogResync(string version);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The status of inference policy {Policy} cannot be written: {Reason}")]
    private partial void LogStatusNotWritten(string policy, string reason);
}
