namespace Rynxs.Cli.Objects;

/// <summary>What a person names on the command line: <c>KIND</c>, <c>KIND NAME…</c> or <c>KIND/NAME…</c>.</summary>
internal static class ObjectNames
{
    /// <summary>The kinds and, for each, the one name that is asked for, or null for all of its objects.</summary>
    /// <exception cref="CliException">The forms are mixed, or a kind is unknown.</exception>
    public static IReadOnlyList<(ApiKind Kind, string? Name)> Resolve(ServerKinds kinds, IReadOnlyList<string> given)
    {
        if (given.Any(text => text.Contains('/', StringComparison.Ordinal)))
        {
            return [.. given.Select(text => text.Split('/') is [{ Length: > 0 } kind, { Length: > 0 } name]
                ? (kinds.Find(kind), (string?)name)
                : throw new CliException($"'{text}' is not KIND/NAME; the forms KIND/NAME and KIND NAME are not mixed.", ExitCodes.Usage))];
        }

        IReadOnlyList<ApiKind> found = kinds.FindMany(given[0]);
        return given.Count == 1
            ? [.. found.Select(kind => (kind, (string?)null))]
            : [.. found.SelectMany(kind => given.Skip(1).Select(name => (kind, (string?)name)))];
    }

    /// <summary>Exactly one object.</summary>
    public static (ApiKind Kind, string Name) One(ServerKinds kinds, IReadOnlyList<string> given) =>
        Resolve(kinds, given) is [(ApiKind kind, { } name)] ? (kind, name) : throw new CliException("give one object: KIND NAME or KIND/NAME.", ExitCodes.Usage);
}
