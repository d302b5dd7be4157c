namespace Rynxs.Server.Identity;

/// <summary>GET /api/v1/whoami.</summary>
/// <param name="Name">Principal name.</param>
/// <param name="Roles">What it may do.</param>
/// <param name="Namespaces">Where; null for everywhere.</param>
internal sealed record WhoAmIResponse(string Name, IReadOnlyList<string> Roles, IReadOnlyList<string>? Namespaces);
