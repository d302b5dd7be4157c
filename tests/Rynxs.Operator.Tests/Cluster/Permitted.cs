using Rynxs.Operator.Cluster;

namespace Rynxs.Operator.Tests.Cluster;

/// <summary>Whether the operator's role allows a request that it made.</summary>
internal static class Permitted
{
    /// <summary>Fails for a request such as <c>PATCH /api/v1/namespaces/n/configmaps/c?…</c> that no rule allows.</summary>
    public static void ShouldAllow(string request)
    {
        string[] words = request.Split(' ', 2);
        string[] pathAndQuery = words[1].Split('?', 2);
        string[] parts = pathAndQuery[0].Split('/', StringSplitOptions.RemoveEmptyEntries);
        string group = parts[0] == "api" ? "" : parts[1];
        string[] rest = parts[(parts[0] == "api" ? 2 : 3)..];
        if (rest.Length > 2 && rest[0] == "namespaces")
            rest = rest[2..];
        string resource = rest.Length > 2 ? $"{rest[0]}/{rest[2]}" : rest[0];
        bool watch = pathAndQuery.Length > 1 && pathAndQuery[1].Contains("watch=true", StringComparison.Ordinal);
        string verb = words[0] switch
        {
            "GET" when rest.Length == 1 => watch ? "watch" : "list",
            "GET" => "get",
            "POST" => "create",
            "PUT" => "update",
            "PATCH" => "patch",
            _ => words[0].ToLowerInvariant(),
        };
        OperatorPermissions.Cluster.Concat(OperatorPermissions.Lease)
            .Any(rule => rule.Group == group && rule.Resource == resource && rule.Verbs.Contains(verb)).ShouldBeTrue($"no rule for {verb} {resource}.{group}: {request}");
    }
}
