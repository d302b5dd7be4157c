using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Selectors;

namespace Rynxs.ResourceServer.Listing;

/// <summary>Which objects of a kind a list or a watch is about: by namespace, by what its principal may see, by labels and by fields.</summary>
internal sealed class ObjectSelection
{
    private readonly LabelSelector _labels;
    private readonly IReadOnlyList<FieldTerm> _fields;
    private readonly Principal _principal;
    private readonly RegisteredKind _kind;

    /// <exception cref="ApiException">400: a selector that cannot be read, or that names a field which the kind cannot be selected by.</exception>
    public ObjectSelection(Principal principal, RegisteredKind kind, string? inNamespace, string? labelSelector, string? fieldSelector)
    {
        _principal = principal;
        _kind = kind;
        Namespace = kind.Kind.Namespaced ? inNamespace : null;
        _labels = LabelSelector.Parse(labelSelector);
        HasLabels = !string.IsNullOrWhiteSpace(labelSelector);
        _fields = FieldTerms.Parse(fieldSelector, kind);
    }

    /// <summary>One namespace, or null for all.</summary>
    public string? Namespace { get; }

    public bool HasLabels { get; }

    /// <summary>Some objects may be left out though they are in the namespace.</summary>
    public bool Filters => HasLabels || _fields.Count > 0 || Cuts;

    /// <summary>The only name that can match, when the selector says so.</summary>
    public string? OnlyName => _fields.FirstOrDefault(term => term is { Path: "metadata.name", Equal: true })?.Value;

    /// <summary>The only namespace that can match.</summary>
    public string? OnlyNamespace => Namespace ?? _fields.FirstOrDefault(term => term is { Path: "metadata.namespace", Equal: true })?.Value;

    private bool Cuts => _principal.Namespaces is not null && Namespace is null;

    public bool Matches(DocumentView view)
    {
        if (Namespace is { } one && view.Key.Namespace != one)
            return false;
        if (Cuts && !_principal.CanSee(_kind.Kind.Namespaced ? view.Key.Namespace : view.Key.Name))
            return false;
        if (HasLabels && !_labels.Matches(view.Labels))
            return false;
        foreach (FieldTerm term in _fields)
        {
            if (term.Holds(view) != term.Equal)
                return false;
        }

        return true;
    }

    /// <summary>The change as a watcher with this selection sees it, or null: entering it is an addition, leaving it a deletion.</summary>
    public WatchEventType? Translate(StoredChange change)
    {
        if (!Filters && (Namespace is null || Namespace == change.Key.Namespace))
            return change.Type;
        if (Namespace is not null && Namespace != change.Key.Namespace)
            return null;
        bool before = change.PreviousView is { } previous && Matches(previous);
        if (change.Type == WatchEventType.Deleted)
            return before ? WatchEventType.Deleted : null;
        return (before, Matches(change.View)) switch
        {
            (false, true) => WatchEventType.Added,
            (true, true) => WatchEventType.Modified,
            (true, false) => WatchEventType.Deleted,
            (false, false) => null,
        };
    }
}
