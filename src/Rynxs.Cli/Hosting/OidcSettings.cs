using System.CommandLine;
using Rynxs.Server.Identity;

namespace Rynxs.Cli.Hosting;

/// <summary>The options <c>--oidc-…</c> of <c>rynxs up</c>.</summary>
internal sealed class OidcSettings
{
    private readonly Option<string?> _issuer = new("--oidc-issuer") { Description = "OpenID provider whose tokens count: its issuer address.", HelpName = "URL" };
    private readonly Option<string[]> _audiences = new("--oidc-audience") { Description = "For whom its tokens must be meant. May be repeated.", HelpName = "AUDIENCE" };
    private readonly Option<string[]> _grants = new("--oidc-role") { Description = "What members of a group may do. May be repeated.", HelpName = "GROUP=ROLE[@NAMESPACE,…]" };
    private readonly Option<string> _usernameClaim = Text("--oidc-username-claim", "Claim with the user's name.", "CLAIM", "sub");
    private readonly Option<string> _usernamePrefix = Text("--oidc-username-prefix", "Put before the name.", "PREFIX", "oidc:");
    private readonly Option<string> _groupsClaim = Text("--oidc-groups-claim", "Claim with the groups.", "CLAIM", "groups");
    private readonly Option<string> _groupsPrefix = Text("--oidc-groups-prefix", "Put before each group where groups are shown.", "PREFIX", "oidc:");
    private readonly Option<string?> _authority = new("--oidc-ca-file") { Description = "PEM file with the authority of the provider's certificate; else the machine's own.", HelpName = "FILE" };

    public void AddTo(Command command)
    {
        foreach (Option option in (Option[])[_issuer, _audiences, _grants, _usernameClaim, _usernamePrefix, _groupsClaim, _groupsPrefix, _authority])
        {
            command.Add(option);
        }
    }

    /// <summary>The provider; null when none is named.</summary>
    public OidcOptions? Read(ParseResult parsed)
    {
        if (parsed.GetValue(_issuer) is not { } issuer)
        {
            return parsed.GetValue(_audiences) is { Length: > 0 } || parsed.GetValue(_grants) is { Length: > 0 }
                ? throw new CliException("--oidc-audience and --oidc-role need --oidc-issuer.", ExitCodes.Usage)
                : null;
        }

        return new OidcOptions
        {
            Issuer = issuer,
            Audiences = parsed.GetValue(_audiences) ?? [],
            Grants = [.. (parsed.GetValue(_grants) ?? []).Select(text => OidcGrant.TryParse(text, out OidcGrant? grant)
                ? grant
                : throw new CliException(
                    $"--oidc-role: '{text}' is not GROUP=ROLE or GROUP=ROLE@NAMESPACE,….", ExitCodes.Usage, "Roles: " + string.Join(", ", RoleNames.All)))],
            UsernameClaim = parsed.GetRequiredValue(_usernameClaim),
            UsernamePrefix = parsed.GetRequiredValue(_usernamePrefix),
            GroupsClaim = parsed.GetRequiredValue(_groupsClaim),
            GroupsPrefix = parsed.GetRequiredValue(_groupsPrefix),
            AuthorityFile = parsed.GetValue(_authority),
        };
    }

    private static Option<string> Text(string name, string description, string helpName, string fallback) =>
        new(name) { Description = description, HelpName = helpName, DefaultValueFactory = _ => fallback };
}
