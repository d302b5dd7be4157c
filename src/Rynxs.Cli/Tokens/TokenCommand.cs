using System.CommandLine;
using Rynxs.Cli.Client;
using Rynxs.Cli.Tasks;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;

namespace Rynxs.Cli.Tokens;

/// <summary><c>rynxs token create|list|revoke</c>: works on the state directory; a running server notices at once.</summary>
internal static class TokenCommand
{
    public static Command Create(Screen screen) =>
        new("token", "Makes, lists and revokes tokens of the state directory (for whoever may write it).")
        {
            CreateToken(screen),
            List(screen),
            Revoke(screen),
        };

    private static Command CreateToken(Screen screen)
    {
        var name = new Argument<string>("name") { Description = "Name of the principal, such as user:ada." };
        string roles = string.Join(", ", Enum.GetNames<Role>().Select(role => role.ToLowerInvariant()));
        var role = new Option<string[]>("--role") { Description = $"What it may do: {roles}. May be repeated.", HelpName = "ROLE", Required = true };
        var namespaces = new Option<string[]>("--in-namespace") { Description = "Where; everywhere without it. May be repeated.", HelpName = "NAME" };
        var expires = new Option<string?>("--expires") { Description = "Moment (RFC 3339) or span (15m, 12h, 30d); never without it.", HelpName = "TIME" };
        var command = new Command("create", "Makes a token and prints it, this once.") { name, role, namespaces, expires };
        command.SetAction(parsed =>
        {
            string[] places = parsed.GetValue(namespaces) ?? [];
            try
            {
                screen.Line(Store(parsed).Create(
                    parsed.GetRequiredValue(name),
                    parsed.GetRequiredValue(role).Select(text => ParseRole(text, roles)).ToHashSet(),
                    places.Length == 0 ? null : places.ToHashSet(StringComparer.Ordinal),
                    parsed.GetValue(expires) is { } moment ? Moment.Parse("--expires", moment, TimeProvider.System) : null));
            }
            catch (ArgumentException exception)
            {
                throw new CliException(exception.Message.Split(" (Parameter")[0], ExitCodes.Usage);
            }

            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command List(Screen screen)
    {
        var command = new Command("list", "Lists the tokens, without anything that could be used as one.");
        command.SetAction(parsed =>
        {
            var table = new ColumnTable("NAME", "ROLES", "NAMESPACES", "CREATED", "EXPIRES");
            foreach (TokenRecord record in Store(parsed).List())
            {
                table.Add(
                    record.Name,
                    string.Join(",", record.Roles).ToLowerInvariant(),
                    record.Namespaces is null ? "*" : string.Join(",", record.Namespaces),
                    record.Created.ToString("u"),
                    record.Expires?.ToString("u") ?? "never");
            }

            table.WriteTo(screen);
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command Revoke(Screen screen)
    {
        var name = new Argument<string>("name") { Description = "Name of the principal." };
        var command = new Command("revoke", "Makes a token useless.") { name };
        command.SetAction(parsed =>
        {
            if (!Store(parsed).Revoke(parsed.GetRequiredValue(name)))
            {
                throw new CliException($"there is no token named '{parsed.GetRequiredValue(name)}'.", hints: ["See: rynxs token list"]);
            }

            screen.Line($"token {parsed.GetRequiredValue(name)} revoked");
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Role ParseRole(string text, string allowed) =>
        Enum.TryParse(text, ignoreCase: true, out Role role) && Enum.IsDefined(role) && !char.IsAsciiDigit(text[0])
            ? role
            : throw new CliException(
                $"--role: there is no role '{text}'{NearestName.Hint(text, Enum.GetNames<Role>().Select(name => name.ToLowerInvariant()))}.",
                ExitCodes.Usage,
                "Roles: " + allowed);

    private static TokenStore Store(ParseResult parsed)
    {
        string state = ClientSettings.StateDirectoryOf(parsed);
        return Directory.Exists(state)
            ? new TokenStore(state, TimeProvider.System)
            : throw new CliException($"there is no state directory {state}.", hints: ["'rynxs up' makes it; name another one with --state or RYNXS_STATE."]);
    }
}
