using Rynxs.Sandbox;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Limits;
using Rynxs.Sandbox.Pool;

namespace Rynxs.Server.Execution;

/// <summary>What sandboxes of the execute API look like, and which of them are kept ready.</summary>
internal static class ExecutionSandboxes
{
    private const long Mebibyte = 1024 * 1024;
    private const int DefaultMemoryMb = 512;
    private const int PoolGrowth = 4;

    /// <summary>
    /// The pool for the API's default request. It also serves requests with more memory: what a request binds late is memory and CPU, while the sizes of
    /// <c>/tmp</c> and the workspace, which lie in memory, stay those of the default.
    /// </summary>
    public static IReadOnlyList<SandboxTemplate> Templates(int size) => size == 0
        ? []
        :
        [
            new SandboxTemplate
            {
                Name = "execute",
                Limits = Limits(DefaultMemoryMb, cpus: Environment.ProcessorCount),
                WorkspaceBytes = WorkspaceBytes(DefaultMemoryMb),
                Size = size,
                Floor = Math.Min(size, 1),
                Ceiling = Math.Min(size * PoolGrowth, 1000),
            },

            // For requests with a network: a forwarder runs in it, and a gofer beside it for the socket's directory. Kept apart, so that the others cost no more.
            new SandboxTemplate
            {
                Name = "execute-egress",
                Limits = Limits(DefaultMemoryMb, cpus: Environment.ProcessorCount),
                WorkspaceBytes = WorkspaceBytes(DefaultMemoryMb),
                Egress = true,
                Size = 1,
                Floor = 0,
                Ceiling = Math.Min(size * PoolGrowth, 1000),
            },
        ];

    public static SandboxSpec Spec(ExecuteRequest request, string agentNamespace, string chainName, ImageDescriptor image) => new()
    {
        Runtime = request.Runtime,
        Owner = new SandboxOwner(agentNamespace, chainName),
        Image = image,
        WorkspaceBytes = WorkspaceBytes(request.MemoryLimitMb),
        Limits = Limits(request.MemoryLimitMb, request.CpuLimit),
        SingleUse = true,
        WritablePaths = request.FilesystemAccess.Count == 0 ? null : request.FilesystemAccess,
    };

    /// <param name="request">Sizes.</param>
    /// <param name="agentNamespace">Of the owner.</param>
    /// <param name="chainName">Owner.</param>
    /// <param name="image">Root filesystem.</param>
    /// <param name="files">Directory for its workspace; null keeps it in memory.</param>
    public static SandboxSpec SessionSpec(Sessions.SessionRequest request, string agentNamespace, string chainName, ImageDescriptor image, string? files) => new()
    {
        WorkspaceDirectory = files,
        Owner = new SandboxOwner(agentNamespace, chainName),
        Image = image,
        WorkspaceBytes = files is null ? WorkspaceBytes(request.MemoryLimitMb) : SessionFilesBytes,
        Limits = Limits(request.MemoryLimitMb, request.CpuLimit),
    };

    /// <summary>Limit of a session's files on disk.</summary>
    internal const long SessionFilesBytes = 1024 * Mebibyte;

    private static SandboxLimits Limits(long memoryMb, double cpus) => new()
    {
        MemoryBytes = memoryMb * Mebibyte,
        Cpus = cpus,
        TmpBytes = Math.Min(64, memoryMb / 2) * Mebibyte,
    };

    /// <summary>Half of the memory, because it lies there; at most that of the default request.</summary>
    private static long WorkspaceBytes(long memoryMb) => Math.Min(memoryMb, DefaultMemoryMb) * Mebibyte / 2;
}
