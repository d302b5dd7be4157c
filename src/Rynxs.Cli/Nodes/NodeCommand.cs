using System.CommandLine;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Nodes;

/// <summary><c>rynxs node setup</c>: a Kubernetes node that can run a tier of sandboxes.</summary>
internal static class NodeCommand
{
    public static Command Create(Screen screen)
    {
        var tier = new Argument<string>("TIER") { Description = "gvisor, or namespaces (the host's own kernel, for code that is trusted)." };
        tier.AcceptOnlyFromAmong(NodeTier.Gvisor.Name, NodeTier.Namespaces.Name);
        var root = new Option<string>("--root") { Description = "The node's root directory.", DefaultValueFactory = _ => "/" };
        var dryRun = new Option<bool>("--dry-run") { Description = "Says what would be done, and does nothing." };
        var node = new Option<string?>("--node") { Description = "The node's name in the cluster: label it, taint it and apply the RuntimeClass with the kubectl of this machine." };
        var restart = new Option<bool>("--restart") { Description = "Restart containerd when its configuration changed. Running Pods go on." };
        var setup = new Command("setup", "Prepares this machine as a Kubernetes node for a tier: runtime, seccomp profile and RuntimeClass. Run again it changes nothing.") { tier, root, dryRun, node, restart };
        setup.SetAction(parsed => Run(
            parsed.GetValue(tier) == NodeTier.Gvisor.Name ? NodeTier.Gvisor : NodeTier.Namespaces,
            parsed.GetValue(root) ?? "/", parsed.GetValue(dryRun), parsed.GetValue(node), parsed.GetValue(restart), screen));
        return new Command("node", "Nodes of a Kubernetes cluster.") { setup };
    }

    private static int Run(NodeTier tier, string root, bool isDryRun, string? node, bool restart, Screen screen)
    {
        if (!Directory.Exists(root))
        {
            throw new CliException($"--root: {root} is not a directory", ExitCodes.Usage);
        }

        if (restart && root != "/")
        {
            throw new CliException("--restart is for this machine's own containerd: leave out --root", ExitCodes.Usage);
        }

        try
        {
            var steps = new NodeSetup(tier, root, isDryRun, screen);
            bool isChanged = steps.Run();
            if (isChanged && restart)
            {
                steps.Execute(["systemctl", "restart", "containerd"]);
            }
            else if (isChanged)
            {
                screen.Line("Then restart containerd: systemctl restart containerd");
            }

            if (node is not null)
            {
                steps.Register(node);
            }
            else
            {
                steps.ExplainRegistration();
            }

            return ExitCodes.Ok;
        }
        catch (UnauthorizedAccessException denied)
        {
            throw new CliException(denied.Message, ExitCodes.Failure, "Run it as root.");
        }
        catch (IOException failed)
        {
            throw new CliException(failed.Message, ExitCodes.Failure);
        }
    }
}
