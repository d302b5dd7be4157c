using Rynxs.Ledger.Events;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Limits;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Pool;

/// <summary>A kind of sandbox that is kept ready. Memory and CPU are bound when it is taken; what else is here is part of the checkpoint.</summary>
public sealed record SandboxTemplate
{
    /// <summary>Short name for logs and <c>doctor</c>.</summary>
    public required string Name { get; init; }

    /// <summary>Limits; a request may have other <see cref="SandboxLimits.Cpus"/>, and more <see cref="SandboxLimits.MemoryBytes"/>.</summary>
    public SandboxLimits Limits { get; init; } = new();

    /// <summary>Size of the private workspace.</summary>
    public long WorkspaceBytes { get; init; } = 256L * 1024 * 1024;

    /// <summary>gVisor platform; null for the runtime's default.</summary>
    public string? Platform { get; init; }

    /// <summary>Whether its sandboxes have a way out, bound when one is taken. Default false.</summary>
    public bool Egress { get; init; }

    /// <summary>Sandboxes kept ready at first, <see cref="Floor"/> to <see cref="Ceiling"/>.</summary>
    public int Size { get; init; } = 2;

    /// <summary>Never fewer, 0 to 1000. An hour without use goes down to it one by one.</summary>
    public int Floor { get; init; } = 1;

    /// <summary>Never more, 1 to 1000. Each request that finds the pool empty goes up by one.</summary>
    public int Ceiling { get; init; } = 8;

    /// <summary>Whether a request can be served from here.</summary>
    internal bool Serves(SandboxSpec spec, string platform, string digest) =>
        spec.WorkspaceDirectory is null && spec.WritablePaths is null && spec.Egress is not null == Egress && spec.WorkspaceBytes == WorkspaceBytes && spec.Image.Digest == digest && (spec.Platform ?? platform) == (Platform ?? platform)
        && spec.Limits.MemoryBytes >= Limits.MemoryBytes && spec.Limits with { MemoryBytes = Limits.MemoryBytes, Cpus = Limits.Cpus } == Limits;

    internal void Check()
    {
        if (Floor is < 0 or > 1000 || Ceiling is < 1 or > 1000 || Size < Floor || Size > Ceiling)
        {
            throw new ArgumentException($"template {Name}: floor (0 to 1000) <= size <= ceiling (1 to 1000) does not hold");
        }
    }
}

/// <summary>The state of a template's sandbox on disk, and what its probes saw.</summary>
/// <param name="Directory">Holds what <c>runsc checkpoint</c> wrote; readable by its owner only.</param>
/// <param name="Image">Root filesystem that it was made with.</param>
/// <param name="SpareProcess">Number inside of the interpreter that waits.</param>
internal sealed record TemplateCheckpoint(string Directory, ImageDescriptor Image, int SpareProcess)
{
    /// <summary>Controls as probed in a sandbox restored from it; empty before that.</summary>
    public IReadOnlyList<SandboxControl> Controls { get; init; } = [];

    /// <summary>Descriptors for a restore; the caller closes them.</summary>
    /// <exception cref="IOException">A file is missing.</exception>
    public int[] Open()
    {
        int[] images = [.. ((string[])["checkpoint.img", "pages_meta.img", "pages.img"]).Select(name => Libc.open(Path.Combine(Directory, name), Libc.O_RDONLY | Libc.O_CLOEXEC, 0))];
        if (images.All(image => image >= 0))
        {
            return images;
        }

        Array.ForEach(images, image => _ = image >= 0 ? Libc.close(image) : 0);
        throw new IOException($"the checkpoint in {Directory} is not complete");
    }
}
