using System.CommandLine;
using Rynxs.Cli.Client;
using Rynxs.Cli.Tasks;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;
using Rynxs.Server.Tls;

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
        var certificate = new Option<bool>("--certificate")
        {
            Description = "A client certificate with its key, as PEM, instead of a token; it lives a year at most.",
        };
        var kubeconfig = new Option<string?>("--kubeconfig-out")
        {
            Description = "Writes a kubeconfig with the token or certificate (mode 0600) instead of printing it; the server must run.",
            HelpName = "FILE",
        };
        var command = new Command("create", "Makes a token or a client certificate and prints it, this once.") { name, role, namespaces, expires, certificate, kubeconfig };
        command.SetAction(parsed =>
        {
            string[] places = parsed.GetValue(namespaces) ?? [];
            try
            {
                var request = new CredentialRequest(
                    parsed.GetRequiredValue(name),
                    parsed.GetRequiredValue(role).Select(text => ParseRole(text, roles)).ToHashSet(),
                    places.Length == 0 ? null : places.ToHashSet(StringComparer.Ordinal),
                    parsed.GetValue(expires) is { } moment ? Moment.Parse("--expires", moment, TimeProvider.System) : null);
                Hand(ClientSettings.StateDirectoryOf(parsed), Store(parsed), request, parsed.GetValue(certificate), parsed.GetValue(kubeconfig), screen);
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
            var table = new ColumnTable("NAME", "KIND", "ROLES", "NAMESPACES", "CREATED", "EXPIRES");
            foreach (TokenRecord record in Store(parsed).List())
            {
                table.Add(
                    record.Name,
                    record.Certificate ? "certificate" : "token",
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

    private sealed record CredentialRequest(string Name, IReadOnlySet<Role> Roles, IReadOnlySet<string>? Namespaces, DateTimeOffset? Expires);

    /// <summary>Makes the credential and gives it away, once. What can fail without it is looked at before it is made.</summary>
    private static void Hand(string state, TokenStore store, CredentialRequest request, bool certificate, string? kubeconfig, Screen screen)
    {
        Uri? server = null;
        if (kubeconfig is not null)
        {
            server = ClientSettings.RecordedTlsServer(state)
                ?? throw new CliException("no server that speaks TLS is running on the state directory, so a kubeconfig could name none.", hints: ["Start one with: rynxs up"]);
            if (File.Exists(kubeconfig))
            {
                throw new CliException($"'{kubeconfig}' exists; a credential is never written over another file.", ExitCodes.Usage);
            }
        }

        using CertificateAuthority authority = CertificateAuthority.Open(state, TimeProvider.System);
        KubeconfigCredential credential;
        if (certificate)
        {
            (string pem, string key) = store.CreateCertificate(authority, request.Name, request.Roles, request.Namespaces, request.Expires);
            credential = new KubeconfigCredential.Certificate(pem, key);
        }
        else
        {
            credential = new KubeconfigCredential.Token(store.Create(request.Name, request.Roles, request.Namespaces, request.Expires));
        }

        if (server is not null && kubeconfig is not null)
        {
            KubeconfigFile.Write(kubeconfig, server, authority.CertificatePem, credential, request.Namespaces?.Order(StringComparer.Ordinal).FirstOrDefault() ?? "rynxs");
            screen.Line($"wrote {kubeconfig}");
            return;
        }

        screen.Text(credential switch
        {
            KubeconfigCredential.Token token => token.Text + "\n",
            KubeconfigCredential.Certificate pair => pair.CertificatePem + pair.KeyPem,
            _ => throw new System.Diagnostics.UnreachableException(),
        });
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
