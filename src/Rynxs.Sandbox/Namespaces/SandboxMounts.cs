using System.Globalization;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Processes;

namespace Rynxs.Sandbox.Namespaces;

/// <summary>
/// Directories and mounts of sandboxes below the run directory. They are made here, by root, because bubblewrap runs as the sandbox's user, who may not walk to a workspace or an image; and sizes are those of file systems
/// of their own, which the kernel holds.
/// </summary>
internal static class SandboxMounts
{
    /// <summary>Begin of the names of mounted images.</summary>
    public const string RootPrefix = "root-";

    private const UnixFileMode Passable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute;
    private static readonly TimeSpan MountDeadline = TimeSpan.FromSeconds(20);

    public static string RootOf(string runDirectory, ImageDescriptor image) => Path.Combine(runDirectory, RootPrefix + image.Digest["sha256:".Length..][..16]);

    /// <summary>Mounts an image read-only, once for all sandboxes that use it.</summary>
    /// <exception cref="SandboxRefusedException">It cannot be mounted.</exception>
    public static async Task MountRootAsync(string target, ImageDescriptor image, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(target, Passable);
        // mount(8) takes a loop device where the kernel cannot mount a file by itself.
        ChildProcess mount = ChildProcess.Start(["mount", "-t", "erofs", "-o", "ro,nosuid,nodev", image.Path, target], 4096);
        int code = await mount.Exited.WaitAsync(MountDeadline, cancellationToken);
        if (code != 0)
        {
            throw new SandboxRefusedException("root_filesystem", $"image {image.Name} cannot be mounted: {RunscCommand.Bounded(mount.Error.Text)}");
        }
    }

    /// <summary>Makes what one sandbox writes to.</summary>
    /// <returns>What its programs see.</returns>
    /// <exception cref="SandboxRefusedException">The kernel refuses.</exception>
    public static SandboxView Make(string directory, string root, SandboxSpec spec)
    {
        Directory.CreateDirectory(directory, Passable);
        string tmp = Memory(Path.Combine(directory, "tmp"), spec.Limits.TmpBytes, "1777");
        string files = Path.Combine(directory, "files");
        if (spec.WorkspaceDirectory is not { } workspace)
        {
            Memory(files, spec.WorkspaceBytes, "0700");
            return new SandboxView(root, tmp, files, spec.WritablePaths is null ? Both(tmp, files) : [.. Named(tmp, files, spec)]);
        }

        if (Libc.lchown(workspace, OciBundle.AgentUid, OciBundle.AgentUid) != 0)
        {
            throw new SandboxRefusedException("workspace", Libc.LastError($"workspace {workspace} cannot be given to the sandbox's user").Message);
        }

        Directory.CreateDirectory(files, Passable);
        const ulong bind = Libc.MountBind | Libc.MountNoSuid | Libc.MountNoDevices;
        Require(Libc.mount(workspace, files, null, Libc.MountBind, null), "bind the workspace");
        Require(Libc.mount(null, files, null, bind | Libc.MountRemount, null), "bind the workspace without devices");
        return new SandboxView(root, tmp, files, Both(tmp, files));
    }

    private static IReadOnlyList<SandboxPlace> Both(string tmp, string files) => [new(tmp, "/tmp", true), new(files, "/workspace/files", true)];

    /// <summary>What is named is made before any program runs; above it nothing can be written, so nothing on the way can be swapped for a link.</summary>
    private static IEnumerable<SandboxPlace> Named(string tmp, string files, SandboxSpec spec)
    {
        foreach ((string path, bool isWritable, _) in WritableTree.Mounts(spec.WritablePaths ?? [], spec.Limits.TmpBytes, spec.WorkspaceBytes))
        {
            string source = path.StartsWith("/tmp", StringComparison.Ordinal) ? tmp + path["/tmp".Length..] : files + path["/workspace/files".Length..];
            Directory.CreateDirectory(source);
            if (isWritable && Libc.lchown(source, OciBundle.AgentUid, OciBundle.AgentUid) != 0)
            {
                throw new SandboxRefusedException("workspace", Libc.LastError($"{path} cannot be given to the sandbox's user").Message);
            }

            yield return new SandboxPlace(source, path, isWritable);
        }
    }

    private static string Memory(string target, long bytes, string mode)
    {
        Directory.CreateDirectory(target, Passable);
        const long fewestFiles = 1024, mostFiles = 1024 * 1024, bytesPerFile = 1024;
        long files = Math.Clamp(bytes / bytesPerFile, fewestFiles, mostFiles);
        string options = string.Create(CultureInfo.InvariantCulture, $"size={bytes},nr_inodes={files},mode={mode},uid={OciBundle.AgentUid},gid={OciBundle.AgentUid}");
        Require(Libc.mount("tmpfs", target, "tmpfs", Libc.MountNoSuid | Libc.MountNoDevices, options), "make a file system in memory");
        return target;
    }

    private static void Require(int result, string what)
    {
        if (result != 0)
        {
            throw new SandboxRefusedException("mounts", Libc.LastError($"the host does not let us {what}").Message);
        }
    }
}
