using System.Security.Cryptography;
using System.Text;

namespace Rynxs.Sandbox.GVisor;

/// <summary>Settings of the gVisor runtime.</summary>
public sealed record GVisorOptions
{
    /// <summary>
    /// 12 lowercase hexadecimal digits that name the state directory. Sandboxes, cgroups and sockets of one key are never touched by a
    /// runtime of another. <see cref="StateKeyOf"/> computes it.
    /// </summary>
    public required string StateKey { get; init; }

    /// <summary>
    /// Parent of the run directory, which is <c>RunRoot/StateKey</c>. Short, because the path of a unix socket is limited to 108 bytes.
    /// </summary>
    public string RunRoot { get; init; } = "/run/rynxs";

    /// <summary>The <c>runsc</c> executable: a path, or a name looked up in PATH.</summary>
    public string RunscPath { get; init; } = "runsc";

    /// <summary>Platform for sandboxes that name none: <c>systrap</c> (default) or <c>ptrace</c>.</summary>
    public string DefaultPlatform { get; init; } = "systrap";

    /// <summary>Kinds of sandboxes that are kept ready; none by default. The first that fits a request serves it.</summary>
    public IReadOnlyList<Pool.SandboxTemplate> Templates { get; init; } = [];

    /// <summary>
    /// Command of a long-lived child that starts every runsc and outlives us long enough to remove what we leave (<see cref="Spawning.SandboxSpawner"/>); null starts
    /// them from threads of this process.
    /// </summary>
    public IReadOnlyList<string>? SpawnerCommand { get; init; }

    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Key of a state directory: the first 12 digits of the SHA-256 of its real path (symbolic links resolved).</summary>
    public static string StateKeyOf(string stateDirectory)
    {
        ArgumentException.ThrowIfNullOrEmpty(stateDirectory);
        string real = Native.Libc.RealPath(Path.GetFullPath(stateDirectory));
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(real)))[..12];
    }

    internal string RunDirectory => Path.Combine(RunRoot, StateKey);
}
