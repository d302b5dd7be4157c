using System.Diagnostics;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Nodes;

/// <summary>Prepares a Kubernetes node for a tier. Run again it changes nothing; interrupted it leaves whole files.</summary>
/// <param name="tier">For what.</param>
/// <param name="root">The node's root directory; <c>/</c> but for images that are being built, and tests.</param>
/// <param name="isDryRun">Says what would be done, and does nothing.</param>
/// <param name="screen">Told of each step.</param>
internal sealed class NodeSetup(NodeTier tier, string root, bool isDryRun, Screen screen)
{
    private const UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
    private static readonly string[] ProgramDirectories = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"];

    /// <summary>Does it.</summary>
    /// <returns>Whether containerd must read its configuration anew.</returns>
    /// <exception cref="CliException">Something is missing, or a file is not understood; nothing was changed then.</exception>
    public bool Run()
    {
        string[] missing = [.. tier.Requires.Where(program => !ProgramDirectories.Any(directory => File.Exists(At($"{directory}/{program.Program}")))).Select(program => $"{program.Program}: from {program.From}")];
        if (missing.Length > 0 && !isDryRun)
        {
            throw new CliException($"this node has not what {tier.Name} needs", ExitCodes.Failure, missing);
        }

        foreach (string line in missing)
        {
            screen.Line("missing    " + line);
        }

        // Everything is computed before anything is written.
        List<NodeFile> files = [.. tier.Files];
        string? before = null;
        if (tier == NodeTier.Gvisor)
        {
            before = File.Exists(At(ContainerdConfig.Path)) ? File.ReadAllText(At(ContainerdConfig.Path)) : null;
            files.Insert(0, new NodeFile(NodeTier.DropInPath, NodeTier.DropIn(ContainerdConfig.VersionOf(before))));
            files.Add(new NodeFile(ContainerdConfig.Path, ContainerdConfig.WithImport(before, "/" + NodeTier.DropInPath)));
        }

        string[] changed = [.. files.Where(Write).Select(file => file.Path)];
        if (before is not null && changed.Contains(ContainerdConfig.Path, StringComparer.Ordinal))
        {
            Write(new NodeFile(ContainerdConfig.Path + ".before-rynxs", before));
        }

        return changed.Any(path => path.StartsWith("etc/containerd/", StringComparison.Ordinal));
    }

    /// <summary>Labels, taint and RuntimeClass, by the kubectl of this machine.</summary>
    /// <exception cref="CliException">kubectl refuses.</exception>
    public void Register(string node)
    {
        foreach (IReadOnlyList<string> command in tier.Commands(root, node))
        {
            Execute(command);
        }
    }

    /// <summary>What an administrator of the cluster has to do.</summary>
    public void ExplainRegistration()
    {
        screen.Line("Then, with rights on the cluster (NODE is the node's name there, which need not be its host name):");
        foreach (IReadOnlyList<string> command in tier.Commands(root, "NODE"))
        {
            screen.Line("  " + string.Join(' ', command));
        }
    }

    /// <summary>Runs a command, or says that it would.</summary>
    /// <exception cref="CliException">It cannot be started, or fails.</exception>
    public void Execute(IReadOnlyList<string> command)
    {
        screen.Line((isDryRun ? "would run  " : "run        ") + string.Join(' ', command));
        if (isDryRun)
        {
            return;
        }

        try
        {
            using Process? process = Process.Start(new ProcessStartInfo(command[0], command.Skip(1)));
            process?.WaitForExit();
            if (process is not { ExitCode: 0 })
            {
                throw new CliException($"{command[0]} ended with code {process?.ExitCode}", ExitCodes.Failure, string.Join(' ', command));
            }
        }
        catch (System.ComponentModel.Win32Exception absent)
        {
            throw new CliException($"{command[0]} cannot be started: {absent.Message}", ExitCodes.Failure, "Run yourself: " + string.Join(' ', command));
        }
    }

    /// <summary>True when the file was, or would be, changed.</summary>
    private bool Write(NodeFile file)
    {
        string path = At(file.Path);
        if (File.Exists(path) && File.ReadAllText(path) == file.Content)
        {
            screen.Line("unchanged  /" + file.Path);
            return false;
        }

        screen.Line((isDryRun ? "would write" : "wrote     ") + " /" + file.Path);
        if (isDryRun)
        {
            foreach (string line in file.Content.TrimEnd('\n').Split('\n').Take(40))
            {
                screen.Line("           | " + line);
            }

            return true;
        }

        Directory.CreateDirectory(Path.GetDirectoryName(path) ?? root);
        string next = path + ".rynxs-new";
        File.WriteAllText(next, file.Content);
        File.SetUnixFileMode(next, Mode);
        File.Move(next, path, overwrite: true);
        return true;
    }

    private string At(string relative) => Path.Combine(root, relative);
}
