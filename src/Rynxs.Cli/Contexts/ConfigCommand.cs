using System.CommandLine;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Contexts;

/// <summary><c>rynxs config …</c>: which server, as whom; the kubeconfigs are those of kubectl.</summary>
internal static class ConfigCommand
{
    public static Command Create(Screen screen) => new("config", "Shows and chooses contexts of the kubeconfig.")
    {
        GetContexts(screen),
        CurrentContext(screen),
        UseContext(screen),
    };

    private static Command GetContexts(Screen screen)
    {
        var command = new Command("get-contexts", "Lists the contexts; * marks the current one.");
        command.SetAction(parsed =>
        {
            Kubeconfig kubeconfig = Load(parsed);
            string? current = parsed.GetValue(GlobalOptions.Context) ?? kubeconfig.CurrentContext;
            var table = new ColumnTable("CURRENT", "NAME", "CLUSTER", "AUTHINFO", "NAMESPACE");
            foreach (KubeconfigContext context in kubeconfig.Contexts.OrderBy(context => context.Name, StringComparer.Ordinal))
            {
                table.Add(context.Name == current ? "*" : "", context.Name, context.Cluster, context.User, context.Namespace ?? "");
            }

            table.WriteTo(screen);
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command CurrentContext(Screen screen)
    {
        var command = new Command("current-context", "Prints the name of the current context.");
        command.SetAction(parsed =>
        {
            screen.Line(Load(parsed).CurrentContext ?? throw new CliException("the kubeconfig names no current context.", hints: ["Choose one with: rynxs config use-context NAME"]));
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command UseContext(Screen screen)
    {
        var name = new Argument<string>("name") { Description = "The context." };
        var command = new Command("use-context", "Makes a context the current one; nothing else in the file is touched.") { name };
        command.SetAction(parsed =>
        {
            Load(parsed).Use(parsed.GetRequiredValue(name));
            screen.Line($"switched to context '{parsed.GetRequiredValue(name)}'");
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Kubeconfig Load(ParseResult parsed)
    {
        Kubeconfig kubeconfig = Kubeconfig.Load(parsed.GetValue(GlobalOptions.Kubeconfig));
        return kubeconfig.Paths.Count > 0
            ? kubeconfig
            : throw new CliException($"there is no kubeconfig at {string.Join(" or ", Kubeconfig.Locations(null))}.", hints: ["'rynxs up' writes one into its state directory; name it with --kubeconfig or KUBECONFIG."]);
    }
}
