namespace Rynxs.ResourceServer.Storage;

/// <summary>What a kind's objects are stored under: all versions of a kind share one place.</summary>
/// <param name="Group">API group; empty for the core group.</param>
/// <param name="Plural">Such as <c>agents</c>.</param>
internal readonly record struct KindKey(string Group, string Plural)
{
    public override string ToString() => Group.Length == 0 ? Plural : $"{Plural}.{Group}";
}

/// <summary>Where one object is stored.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Namespace">Empty for cluster-scoped kinds.</param>
/// <param name="Name">Its name.</param>
internal readonly record struct DocumentKey(KindKey Kind, string Namespace, string Name)
{
    public override string ToString() => Namespace.Length == 0 ? $"{Kind} {Name}" : $"{Kind} {Namespace}/{Name}";
}

/// <summary>An object as it is stored.</summary>
/// <param name="Key">Where.</param>
/// <param name="Version">Commit that wrote it.</param>
/// <param name="Body">The whole document as UTF-8 JSON in the form of <see cref="DocumentText"/>. Shared: never written to.</param>
internal sealed record StoredDocument(DocumentKey Key, long Version, byte[] Body);
