using Rynxs.Resources.Identity;

namespace Rynxs.ResourceServer.Objects;

/// <summary>What a request is about, whoever made it: over HTTP or in process.</summary>
internal sealed record ObjectRequest
{
    public required Principal Principal { get; init; }

    /// <summary>The kinds that are served while this request runs.</summary>
    public required KindSet Kinds { get; init; }
    public required RegisteredKind Kind { get; init; }

    /// <summary>Empty for cluster-scoped kinds.</summary>
    public required string Namespace { get; init; }

    /// <summary>Empty where the body names the object.</summary>
    public string Name { get; init; } = "";

    /// <summary><c>status</c>, <c>scale</c> or null.</summary>
    public string? Subresource { get; init; }

    /// <summary>Who is named in managedFields.</summary>
    public string FieldManager { get; init; } = "unknown";

    /// <summary>Nothing is stored.</summary>
    public bool DryRun { get; init; }
    public FieldValidation FieldValidation { get; init; } = FieldValidation.Warn;

    /// <summary>An update may come without a version. Calls in process may, whatever the kind says.</summary>
    public bool Unconditional { get; init; }

    /// <summary>What the caller should be told though the request succeeded; the first byte of each answer waits for none of them.</summary>
    public List<string> Warnings { get; init; } = [];
}

/// <summary>What happens to fields that the kind does not know, and to fields that are given twice.</summary>
internal enum FieldValidation
{
    /// <summary>Dropped, and told.</summary>
    Warn,

    /// <summary>Dropped.</summary>
    Ignore,

    /// <summary>Refused.</summary>
    Strict,
}

/// <summary>Outcome of a request that writes.</summary>
/// <param name="Body">The object as it now is, or was last.</param>
/// <param name="Created">It is new.</param>
/// <param name="Removed">It is gone.</param>
internal sealed record WriteResult(byte[] Body, bool Created = false, bool Removed = false);
