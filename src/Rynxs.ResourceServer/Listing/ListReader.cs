using System.Globalization;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Client;

namespace Rynxs.ResourceServer.Listing;

/// <summary>What a list asks for beside its selection.</summary>
internal sealed record ListOptions
{
    /// <summary>At most so many objects; 0 for all.</summary>
    public long Limit { get; init; }

    /// <summary>From the page before.</summary>
    public string? Continue { get; init; }

    /// <summary>Null or empty: the latest. <c>0</c>: any, which is the latest here too.</summary>
    public string? ResourceVersion { get; init; }

    /// <summary><c>Exact</c>, <c>NotOlderThan</c> or null.</summary>
    public string? ResourceVersionMatch { get; init; }
}

/// <summary>
/// Reads lists in pieces, all as of one commit, so that a long list needs little memory and holds no transaction. The selection's objects come in order of
/// (namespace, name).
/// </summary>
internal sealed class ListReader
{
    private const int PieceLength = 500;

    private readonly DocumentStore _store;
    private readonly RegisteredKind _kind;
    private readonly ObjectSelection _selection;
    private readonly long _limit;
    private DocumentQuery _query;
    private long _given;
    private bool _ended;

    /// <exception cref="ApiException">400, 422 or 504: the options do not go together, or name a version that is not there.</exception>
    public ListReader(DocumentStore store, RegisteredKind kind, ObjectSelection selection, ListOptions options)
    {
        _store = store;
        _kind = kind;
        _selection = selection;
        bool any = options is { ResourceVersion: "0", Continue: null or "" };
        // As the real server's cache: a list that takes any version is not cut.
        _limit = any ? 0 : options.Limit;
        _query = new DocumentQuery { Kind = kind.Key, Namespace = selection.Namespace };
        if (options.Continue is { Length: > 0 } text)
        {
            if (options.ResourceVersion is { Length: > 0 } and not "0")
                throw ApiErrors.BadRequest("specifying resource version is not allowed when using continue");
            ContinueToken token = ContinueToken.Parse(text, AcrossNamespaces);
            _query = _query with
            {
                AfterNamespace = AcrossNamespaces ? token.AfterNamespace : selection.Namespace ?? "",
                AfterName = token.AfterName,
                Version = token.Version < 0 ? null : token.Version,
            };
        }
        else if (options.ResourceVersion is { Length: > 0 } version && !any)
        {
            long asked = Version(version);
            if (asked > store.Sequence)
                throw ApiErrors.TooLargeVersion(asked, store.Sequence);
            if (options.ResourceVersionMatch == "Exact" || (options.ResourceVersionMatch is null or "" && options.Limit > 0))
                _query = _query with { Version = asked };
        }
    }

    private bool AcrossNamespaces => _kind.Kind.Namespaced && _selection.Namespace is null;

    /// <summary>Commit that the list is as of; known after the first piece.</summary>
    public long ListVersion { get; private set; }

    /// <summary>Token for the next page, when the list was cut by its limit; known after the last piece.</summary>
    public string? Continue { get; private set; }

    /// <summary>How many objects follow the page; null when that is not known because something is selected.</summary>
    public long? Remaining { get; private set; }

    /// <summary>The next objects; null after the last.</summary>
    /// <exception cref="ApiException">410: the history no longer reaches back to the list's version.</exception>
    public async Task<IReadOnlyList<StoredDocument>?> NextAsync(CancellationToken cancellationToken)
    {
        if (_ended)
            return null;
        if (_selection.OnlyName is { } name && !AcrossNamespaces && _query.Version is null && _query.AfterName is null)
            return await OnlyAsync(name, cancellationToken);

        DocumentPage page;
        try
        {
            int wanted = _limit == 0 ? PieceLength : (int)Math.Min(PieceLength, _limit - _given);
            page = await _store.PageAsync(_query with { Limit = wanted }, cancellationToken);
        }
        catch (ResourceException e) when (e.Reason == ResourceErrorReason.Gone)
        {
            throw Expired();
        }

        ListVersion = page.Version;
        List<StoredDocument> matching = _selection.Filters ? [.. page.Items.Where(item => _selection.Matches(new DocumentView(item.Key, item.Body)))] : [.. page.Items];
        _given += matching.Count;
        if (page.Items.Count > 0)
            _query = _query with { AfterNamespace = page.Items[^1].Key.Namespace, AfterName = page.Items[^1].Key.Name, Version = page.Version };
        _ended = !page.More || (_limit > 0 && _given >= _limit);
        if (page.More && _ended)
        {
            Continue = new ContinueToken(page.Version, AcrossNamespaces ? _query.AfterNamespace ?? "" : "", _query.AfterName ?? "").ToString();
            if (!_selection.Filters)
                Remaining = await _store.CountAsync(_query, cancellationToken);
        }

        return matching;
    }

    /// <summary>Every object at once: for callers that want them together anyway.</summary>
    public async Task<IReadOnlyList<StoredDocument>> AllAsync(CancellationToken cancellationToken)
    {
        List<StoredDocument> all = [];
        while (await NextAsync(cancellationToken) is { } piece)
            all.AddRange(piece);
        return all;
    }

    private async Task<IReadOnlyList<StoredDocument>> OnlyAsync(string name, CancellationToken cancellationToken)
    {
        long version = _store.Sequence;
        _ended = true;
        StoredDocument? found = await _store.FindAsync(new DocumentKey(_kind.Key, _selection.Namespace ?? "", name), cancellationToken);
        // Only this object is in the list, so that a commit of it in between makes the list newer and leaves it complete.
        ListVersion = Math.Max(version, found?.Version ?? 0);
        return found is not null && _selection.Matches(new DocumentView(found.Key, found.Body)) ? [found] : [];
    }

    private ApiException Expired()
    {
        if (_query.AfterName is null)
            return ApiErrors.Expired("The resourceVersion for the provided list is too old.");
        string resume = new ContinueToken(-1, AcrossNamespaces ? _query.AfterNamespace ?? "" : "", _query.AfterName).ToString();
        return ApiErrors.Expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
            resume);
    }

    internal static long Version(string text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long version)
            ? version
            : throw ApiErrors.Plain(500, null, $"resourceVersion: Invalid value: {ApiErrors.Quote(text)}: strconv.ParseUint: parsing {ApiErrors.Quote(text)}: {(text.All(char.IsAsciiDigit) && text.Length > 0 ? "value out of range" : "invalid syntax")}");
}
