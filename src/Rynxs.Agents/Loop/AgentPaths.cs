using Rynxs.Resources.Meta;

namespace Rynxs.Agents.Loop;

/// <summary>Where the files of one agent lie. Names were validated as RFC 1123 labels, so they can be part of a path.</summary>
internal sealed record AgentPaths(string Workspace, string Private)
{
    public static AgentPaths Of(string workspacesDirectory, string agentStateDirectory, NamespacedName agent)
    {
        // Refuses anything that is not a label, once more, before it reaches a path.
        _ = Ledger.ChainId.Agent(agent.Namespace, agent.Name);
        return new AgentPaths(
            Path.Combine(workspacesDirectory, agent.Namespace, agent.Name),
            Path.Combine(agentStateDirectory, agent.Namespace, agent.Name));
    }

    public string Inbox => Path.Combine(Workspace, "inbox.jsonl");

    public string Outbox => Path.Combine(Workspace, "outbox.jsonl");

    /// <summary>Mirror of the agent's chain.</summary>
    public string Audit => Path.Combine(Workspace, "audit.jsonl");

    /// <summary>The only part that sandboxes mount.</summary>
    public string Files => Path.Combine(Workspace, "files");

    public string Cursor => Path.Combine(Private, "cursor.json");

    public string Journal => Path.Combine(Private, "journal.json");

    /// <summary>Creates what is missing: private to us, but for the files, which the sandbox's user must reach.</summary>
    public void Create()
    {
        const UnixFileMode ours = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(Workspace, ours);
        Directory.CreateDirectory(Private, ours);
        Directory.CreateDirectory(Files, ours | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        if (!File.Exists(Inbox))
        {
            // There from the start, so that a shell's >> finds it and the watcher sees it.
            Durability.DurableFile.AppendLine(Inbox, []);
        }
    }
}
