namespace Rynxs.ResourceServer.Http;

/// <summary>What a path below <c>/api</c> or <c>/apis</c> names.</summary>
/// <param name="Group">Empty for the core group.</param>
/// <param name="Version">Such as <c>v1</c>; empty in <c>/apis</c> and <c>/apis/GROUP</c>.</param>
/// <param name="Namespace">Null when the path names none.</param>
/// <param name="Plural">Null: discovery.</param>
/// <param name="Name">Null: the collection.</param>
/// <param name="Subresource">Null: the object itself.</param>
internal sealed record ApiRoute(string Group, string Version, string? Namespace, string? Plural, string? Name, string? Subresource)
{
    /// <summary>Null for a path of no known shape.</summary>
    public static ApiRoute? Parse(string path)
    {
        string[] parts = path.Trim('/').Split('/');
        // An empty part in the middle names nothing; a trailing slash is forgiven.
        if (parts.Any(part => part.Length == 0) || parts.Length > 8)
            return null;
        return parts[0] switch
        {
            "api" when parts.Length >= 2 => Resource("", parts[1], parts[2..]),
            "api" => new ApiRoute("", "", null, null, null, null),
            "apis" when parts.Length >= 3 => Resource(parts[1], parts[2], parts[3..]),
            "apis" => new ApiRoute(parts.Length == 2 ? parts[1] : "", "", null, null, null, null),
            _ => null,
        };
    }

    private static ApiRoute? Resource(string group, string version, string[] rest) => rest switch
    {
        [] => new ApiRoute(group, version, null, null, null, null),
        ["namespaces", string name, "status" or "finalize"] => new ApiRoute(group, version, null, "namespaces", name, rest[2]),
        ["namespaces", string ns, string plural] => new ApiRoute(group, version, ns, plural, null, null),
        ["namespaces", string ns, string plural, string name] => new ApiRoute(group, version, ns, plural, name, null),
        ["namespaces", string ns, string plural, string name, string subresource] => new ApiRoute(group, version, ns, plural, name, subresource),
        [string plural] => new ApiRoute(group, version, null, plural, null, null),
        [string plural, string name] => new ApiRoute(group, version, null, plural, name, null),
        [string plural, string name, string subresource] => new ApiRoute(group, version, null, plural, name, subresource),
        _ => null,
    };
}
