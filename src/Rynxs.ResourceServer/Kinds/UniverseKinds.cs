namespace Rynxs.ResourceServer.Kinds;

/// <summary>The kinds of <c>universe.ai/v1alpha1</c>, from the C# types of Rynxs.Resources.</summary>
public static class UniverseKinds
{
    /// <summary>In alphabetical order.</summary>
    public static IReadOnlyList<ServedKind> All => throw new NotImplementedException();
}
