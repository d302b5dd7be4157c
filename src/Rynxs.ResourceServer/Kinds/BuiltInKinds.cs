namespace Rynxs.ResourceServer.Kinds;

/// <summary>Kinds of Kubernetes itself.</summary>
public static class BuiltInKinds
{
    /// <summary>Always served: Namespace, Secret, ConfigMap, ServiceAccount, Event (both groups), CustomResourceDefinition.</summary>
    public static IReadOnlyList<ServedKind> Core => throw new NotImplementedException();

    /// <summary><see cref="Core"/> and all others: stored objects without controllers.</summary>
    public static IReadOnlyList<ServedKind> All => throw new NotImplementedException();
}
