using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.OpenApi;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Objects;

/// <summary>The kinds that are served now. CustomResourceDefinitions change it; each request sees one set from beginning to end.</summary>
internal sealed class KindRegistry
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, IReadOnlyList<ServedKind>> _custom = [];
    private readonly IReadOnlyList<RegisteredKind> _own;
    private volatile KindSet _current;

    public KindRegistry(bool allKinds)
    {
        _own =
        [
            .. (allKinds ? BuiltInKinds.All : BuiltInKinds.Core).Select(kind => new RegisteredKind(kind, custom: false)),
            .. UniverseKinds.All.Select(kind => new RegisteredKind(kind, custom: true)),
        ];
        _current = new KindSet(_own);
    }

    public KindSet Current => _current;

    /// <summary>Serves the kinds of a definition, in place of those that it had before. None: they are no longer served.</summary>
    public void SetCustom(string definition, IReadOnlyList<ServedKind> kinds)
    {
        lock (_lock)
        {
            if (kinds.Count == 0)
                _custom.Remove(definition);
            else
                _custom[definition] = kinds;
            _current = new KindSet([.. _own, .. _custom.OrderBy(entry => entry.Key, StringComparer.Ordinal).SelectMany(entry => entry.Value).Select(kind => new RegisteredKind(kind, custom: true))]);
        }
    }

    /// <summary>Every kind but those of one definition, whose names it must not take.</summary>
    public IReadOnlyList<ServedKind> Others(string definition)
    {
        lock (_lock)
            return [.. _own.Select(kind => kind.Kind), .. _custom.Where(entry => entry.Key != definition).SelectMany(entry => entry.Value)];
    }
}

/// <summary>Kinds at one moment.</summary>
internal sealed class KindSet
{
    private readonly Dictionary<(string Group, string Version, string Plural), RegisteredKind> _kinds = [];
    private readonly Lazy<OpenApiDocuments> _openApi;

    public KindSet(IReadOnlyList<RegisteredKind> kinds)
    {
        All = kinds;
        foreach (RegisteredKind kind in kinds)
            _kinds.TryAdd((kind.Kind.Group, kind.Kind.Version, kind.Kind.Plural), kind);
        _openApi = new Lazy<OpenApiDocuments>(() => new OpenApiDocuments([.. kinds.Select(kind => kind.Kind)]));
    }

    public IReadOnlyList<RegisteredKind> All { get; }

    /// <summary>Where objects are stored, once for all versions of a kind.</summary>
    public IEnumerable<KindKey> Stored(bool namespaced) => All.Where(kind => kind.Kind.Namespaced == namespaced).Select(kind => kind.Key).Distinct();

    public OpenApiDocuments OpenApi => _openApi.Value;

    public RegisteredKind? Find(string group, string version, string plural) => _kinds.GetValueOrDefault((group, version, plural));

    /// <summary>By kind, as an owner reference names it.</summary>
    public RegisteredKind? FindKind(string apiVersion, string kind) => All.FirstOrDefault(candidate => candidate.Kind.ApiVersion == apiVersion && candidate.Kind.Kind == kind);

    /// <summary>Some version of a stored kind: the one that was registered first.</summary>
    public RegisteredKind? Find(KindKey key) => All.FirstOrDefault(candidate => candidate.Key == key);
}
