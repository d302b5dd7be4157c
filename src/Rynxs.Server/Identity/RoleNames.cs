using Rynxs.Resources.Identity;

namespace Rynxs.Server.Identity;

/// <summary>Roles as people write them: lowercase, and nothing else.</summary>
public static class RoleNames
{
    private static readonly Dictionary<string, Role> ByName =
        Enum.GetValues<Role>().ToDictionary(role => role.ToString().ToLowerInvariant(), StringComparer.Ordinal);

    /// <summary>All of them, in the order of their rights.</summary>
    public static IReadOnlyCollection<string> All => ByName.Keys;

    /// <summary>The role of a name; null when there is none.</summary>
    public static Role? TryParse(string name) => ByName.TryGetValue(name, out Role role) ? role : null;
}
