namespace Rynxs.Server.Execution;

/// <summary>A validated request to run code once in a sandbox of its own (docs/api.md, "Execute").</summary>
internal sealed record ExecuteRequest
{
    /// <summary>Kubernetes label value, 1 to 63 characters. An Agent object of that name need not exist.</summary>
    public required string AgentId { get; init; }

    /// <summary>The program, 1 byte to 1 MiB of UTF-8, no NUL.</summary>
    public required string Code { get; init; }

    /// <summary><c>python</c> (default) or <c>bash</c>.</summary>
    public CodeLanguage Language { get; init; } = CodeLanguage.Python;

    /// <summary><c>gvisor</c> or <c>namespaces</c>.</summary>
    public string Runtime { get; init; } = "gvisor";

    /// <summary>1 to 600 s, default 300.</summary>
    public int TimeoutSeconds { get; init; } = 300;

    /// <summary>16 to 2048 MiB, default 512.</summary>
    public int MemoryLimitMb { get; init; } = 512;

    /// <summary>0.01 to 2.0 CPUs, default 0.5.</summary>
    public double CpuLimit { get; init; } = 0.5;

    /// <summary>
    /// The directories that the program may write: <c>/tmp</c>, <c>/workspace/files</c> or below. Empty gives both. No other path of a sandbox can be written, and none of the host's is there.
    /// </summary>
    public IReadOnlyList<string> FilesystemAccess { get; init; } = [];

    /// <summary>Answered at once with 202; the answer is read later.</summary>
    public bool IsAsynchronous { get; init; }

    /// <summary>At most 64 variables; names of the sandbox itself are reserved.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>Given on standard input, at most 1 MiB.</summary>
    public string Stdin { get; init; } = "";

    /// <summary><c>none</c> (default), <c>restricted</c> (what policies and approvals allow) or <c>full</c> (every public host that no policy forbids).</summary>
    public Egress.EgressMode Network { get; init; }

    /// <summary>Compared with the deployment's, when given.</summary>
    public string? ConstitutionalHash { get; init; }
}

/// <summary>Which interpreter runs the code.</summary>
internal enum CodeLanguage
{
    Python,
    Bash,
}
