using System.CommandLine;

namespace Rynxs.Cli;

/// <summary>Options that every command has.</summary>
internal static class GlobalOptions
{
    public static Option<string?> Server { get; } = new("--server")
    {
        Description = "Address of the server; else the kubeconfig's, RYNXS_SERVER, or the one that runs on the state directory.",
        HelpName = "URL",
        Recursive = true,
    };

    public static Option<string?> Token { get; } = new("--token")
    {
        Description = "Token to show; else RYNXS_TOKEN, else the state directory's own. The environment hides it from `ps`.",
        HelpName = "TOKEN",
        Recursive = true,
    };

    public static Option<string?> State { get; } = new("--state")
    {
        Description = "State directory; else RYNXS_STATE, else /var/lib/rynxs for root and ~/.local/state/rynxs for others.",
        HelpName = "DIR",
        Recursive = true,
    };

    public static Option<string?> Namespace { get; } = new("--namespace", "-n")
    {
        Description = "Namespace; else the kubeconfig's, else rynxs.",
        HelpName = "NAME",
        Recursive = true,
    };

    public static Option<string?> Kubeconfig { get; } = new("--kubeconfig")
    {
        Description = "Kubeconfig to use; else KUBECONFIG when no server or state directory is named.",
        HelpName = "FILE",
        Recursive = true,
    };

    public static Option<string?> Context { get; } = new("--context")
    {
        Description = "Context of the kubeconfig; else its current one.",
        HelpName = "NAME",
        Recursive = true,
    };

    public static Option<bool> Verbose { get; } = new("--verbose")
    {
        Description = "Shows details of failures.",
        Recursive = true,
    };
}
