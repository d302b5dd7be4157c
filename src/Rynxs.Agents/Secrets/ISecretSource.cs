namespace Rynxs.Agents.Secrets;

/// <summary>Where credentials of model providers come from: files of the state directory, or Kubernetes Secrets. Implemented by the composition root.</summary>
public interface ISecretSource
{
    /// <summary>The value of one key of a Secret in a namespace, or null when there is none. Never logged, never recorded.</summary>
    ValueTask<string?> TryGetAsync(string secretNamespace, string name, string key, CancellationToken cancellationToken);
}
