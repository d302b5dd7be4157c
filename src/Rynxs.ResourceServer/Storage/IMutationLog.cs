namespace Rynxs.ResourceServer.Storage;

/// <summary>
/// Where mutations are recorded. It is called inside the write transaction, before the commit: a mutation that cannot be recorded does not
/// happen (docs/decisions/0006-mutations-are-recorded-before-they-commit.md).
/// </summary>
public interface IMutationLog
{
    /// <summary>
    /// Makes the record durable. An exception refuses the mutation; callers then see <c>StoreUnavailable</c>.
    /// When the commit fails afterwards, the record's version is burned: no later mutation carries it.
    /// </summary>
    ValueTask RecordAsync(MutationRecord mutation, CancellationToken cancellationToken);
}

/// <summary>One mutation that is about to be committed.</summary>
public sealed record MutationRecord
{
    /// <summary>Name of the principal that asked.</summary>
    public required string Principal { get; init; }

    /// <summary><c>create</c>, <c>update</c>, <c>patch</c>, <c>update-status</c> or <c>delete</c>.</summary>
    public required string Verb { get; init; }

    /// <summary>Such as <c>Agent</c>.</summary>
    public required string Kind { get; init; }

    /// <summary>Empty for cluster-scoped kinds.</summary>
    public required string Namespace { get; init; }

    /// <summary>Name of the object.</summary>
    public required string Name { get; init; }

    /// <summary>The object's uid.</summary>
    public required string Uid { get; init; }

    /// <summary>The version that the commit will give. Unique in the store's life, also when the commit fails.</summary>
    public required long ResourceVersion { get; init; }

    /// <summary>Whether this mutation removes the object (rather than marks it while finalizers remain).</summary>
    public required bool Removes { get; init; }

    /// <summary>The object after the mutation as UTF-8 JSON, for a removal its last content. Commit to it; do not store it inline.</summary>
    public required ReadOnlyMemory<byte> ObjectJson { get; init; }
}
