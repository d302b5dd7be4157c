namespace Rynxs.ResourceServer.Storage;

/// <summary>
/// One change that is ready to be committed. It is decided outside of the writer, on the version that <see cref="Expected"/> names, and refused when
/// another commit came first: then its maker decides again.
/// </summary>
internal sealed record Mutation
{
    public required DocumentKey Key { get; init; }

    /// <summary>Version that the change was decided on; 0: there must be no such object.</summary>
    public required long Expected { get; init; }

    /// <summary>The document after the change; for a removal its last content.</summary>
    public required DocumentTemplate Next { get; init; }

    public bool Removes { get; init; }

    /// <summary>The document has a deletionTimestamp.</summary>
    public bool Deleting { get; init; }

    /// <summary>The namespace must be there and must not be going: checked in the same transaction.</summary>
    public bool NeedsNamespace { get; init; }

    /// <summary>Uids of <c>metadata.ownerReferences</c>.</summary>
    public IReadOnlyList<string> Owners { get; init; } = [];
    public required string Uid { get; init; }
    public required string Principal { get; init; }

    /// <summary>As in <see cref="MutationRecord.Verb"/>.</summary>
    public required string Verb { get; init; }

    /// <summary>Such as <c>Agent</c>.</summary>
    public required string KindName { get; init; }
}

/// <summary>What became of a mutation that the store could take.</summary>
internal abstract record CommitOutcome
{
    private CommitOutcome()
    {
    }

    /// <summary>Durable.</summary>
    public sealed record Committed(StoredDocument Document) : CommitOutcome;

    /// <summary>The object is no longer at the expected version.</summary>
    public sealed record Stale : CommitOutcome;

    public sealed record NamespaceMissing : CommitOutcome;

    public sealed record NamespaceTerminating : CommitOutcome;
}
