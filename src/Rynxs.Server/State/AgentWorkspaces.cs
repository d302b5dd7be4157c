namespace Rynxs.Server.State;

/// <summary>
/// Directories of agents: <c>workspaces/NS/NAME</c> is private to the server (0700, so its mailboxes and the mirror of its audit are out of
/// reach), and only <c>files</c> in it, owned by the sandbox's user, is ever mounted.
/// </summary>
internal sealed class AgentWorkspaces(string root)
{
    /// <summary>User and group inside sandboxes.</summary>
    internal const int SandboxUser = 1000;

    private const UnixFileMode FilesMode = StateDirectory.PrivateDirectory
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    /// <summary>Path of an agent's directory. The names must be DNS labels.</summary>
    public string PathOf(string agentNamespace, string name)
    {
        if (!Labels.IsDnsLabel(agentNamespace) || !Labels.IsDnsLabel(name))
        {
            throw new ArgumentException($"'{agentNamespace}/{name}' are not DNS labels.", nameof(name));
        }

        return Path.Combine(root, agentNamespace, name);
    }

    /// <summary>Creates the private directory of an agent.</summary>
    public string EnsureAgentDirectory(string agentNamespace, string name)
    {
        string path = PathOf(agentNamespace, name);
        Directory.CreateDirectory(Path.Combine(root, agentNamespace), StateDirectory.PrivateDirectory);
        Directory.CreateDirectory(path, StateDirectory.PrivateDirectory);
        return path;
    }

    /// <summary>Creates everything of a workspace. True when something was missing.</summary>
    public bool Ensure(string agentNamespace, string name)
    {
        string path = EnsureAgentDirectory(agentNamespace, name);
        string files = Path.Combine(path, "files");
        bool created = !Directory.Exists(files);
        if (created)
        {
            Directory.CreateDirectory(files, FilesMode);
        }

        // A umask may have narrowed the mode; without root the owner stays ours, and the runtime maps it.
        File.SetUnixFileMode(files, FilesMode);
        if (Environment.IsPrivilegedProcess)
        {
            Ownership.Change(files, SandboxUser, SandboxUser);
        }

        foreach (string mailbox in (string[])["inbox.jsonl", "outbox.jsonl"])
        {
            created |= EnsurePrivateFile(Path.Combine(path, mailbox));
        }

        return created;
    }

    private static bool EnsurePrivateFile(string path)
    {
        if (File.Exists(path))
        {
            return false;
        }

        new FileStream(path, new FileStreamOptions
        {
            Mode = FileMode.OpenOrCreate, Access = FileAccess.Write, UnixCreateMode = StateDirectory.PrivateFile,
        }).Dispose();
        return true;
    }
}
