using Rynxs.Resources.Client;

namespace Rynxs.ResourceServer.Storage;

/// <summary>One line of the history. Shared by all who watch.</summary>
/// <param name="Version">Commit; the body carries it too.</param>
/// <param name="Type">What happened to the object, whoever looks.</param>
/// <param name="Key">Which object.</param>
/// <param name="Body">After the change; for a deletion its last content.</param>
/// <param name="Previous">Before the change; null for a new object.</param>
internal sealed record StoredChange(long Version, WatchEventType Type, DocumentKey Key, byte[] Body, byte[]? Previous)
{
    private DocumentView? _view;
    private DocumentView? _previousView;

    /// <summary>Labels and fields of the body, read once for all watchers.</summary>
    public DocumentView View => _view ??= new DocumentView(Key, Body);

    /// <inheritdoc cref="View"/>
    public DocumentView? PreviousView => Previous is null ? null : _previousView ??= new DocumentView(Key, Previous);
}

/// <summary>Some changes, and the version up to which they are complete.</summary>
internal sealed record ChangePage(IReadOnlyList<StoredChange> Changes, long Through);
