using System.CommandLine;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;
using Rynxs.Server.Hosting;
using Rynxs.Server.LedgerRole;

namespace Rynxs.Cli.Stores;

/// <summary><c>rynxs ledger serve</c>: the role <c>ledger</c>.</summary>
internal static class ServeCommand
{
    public static Command Create(Screen screen)
    {
        var store = new Option<string>("--store") { Description = StoreArguments.Forms, HelpName = "LOCATION", Required = true };
        var listen = new Option<string>("--listen") { Description = "Address and port; port 0 for a free one.", HelpName = "ADDRESS:PORT", DefaultValueFactory = _ => "127.0.0.1:8004" };
        var tls = new Option<bool>("--tls") { Description = "TLS with the authority in STATE/tls (made when missing): clients trust its ca.crt. Without it plain HTTP." };
        var tlsNames = new Option<string[]>("--tls-name") { Description = "Further host name or address of the certificate. May be repeated.", HelpName = "NAME" };
        var command = new Command("serve", "Runs the role ledger: others append and read over HTTP with tokens of 'rynxs token create'. Until it is interrupted.") { store, listen, tls, tlsNames };
        command.SetAction((parsed, cancellationToken) => StoreArguments.GuardAsync(async () =>
        {
            LedgerRoleServer server;
            try
            {
                server = await LedgerRoleServer.StartAsync(
                    new LedgerRoleOptions
                    {
                        Store = parsed.GetRequiredValue(store), Listen = parsed.GetRequiredValue(listen), StateDirectory = ClientSettings.StateDirectoryOf(parsed),
                        Tls = parsed.GetValue(tls), TlsNames = parsed.GetValue(tlsNames) ?? [],
                    },
                    cancellationToken);
            }
            catch (ServerStartException exception)
            {
                throw new CliException(exception.Message, exception.ExitCode);
            }

            await using (server)
            {
                screen.Line($"The ledger role listens on {server.Url} (store {parsed.GetRequiredValue(store)}).");
                var stopped = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                await using (cancellationToken.Register(() => stopped.TrySetResult()))
                {
                    await Task.WhenAny(stopped.Task, server.Completion);
                }
            }

            return ExitCodes.Ok;
        }));
        return command;
    }
}
