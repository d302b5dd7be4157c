using System.ComponentModel;
using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Processes;

namespace Rynxs.Sandbox.Images;

/// <summary>
/// Builds the built-in root filesystem: a minimal Debian tree by mmdebstrap, without setuid bits and with the user <c>agent</c>, packed
/// as an uncompressed EROFS file. Timestamps and the filesystem's UUID are fixed, so the same packages give the same digest.
/// </summary>
internal static class BaseImageBuilder
{
    private const string Release = "bookworm";
    private const string Packages = "python3,procps,git,curl,jq,ca-certificates,less,file,xz-utils,bzip2,unzip,zip";

    /// <summary>2025-01-01T00:00:00Z: any constant does.</summary>
    private const string Epoch = "1735689600";
    private const string FilesystemUuid = "5f0c7a52-6c1e-4f0b-9d5a-727978737801";

    // gVisor refuses symlinked mount points and the host's resolver and name mean nothing inside, so these are our own.
    private const string Customize = """
        set -eu
        cd "$1"
        echo 'agent:x:1000:1000:agent:/workspace:/bin/bash' >> etc/passwd
        echo 'agent:x:1000:' >> etc/group
        mkdir -p workspace/files proc sys dev tmp
        chown 1000:1000 workspace/files
        rm -f etc/resolv.conf etc/hostname etc/machine-id
        : > etc/resolv.conf
        echo sandbox > etc/hostname
        printf '127.0.0.1 localhost\n127.0.1.1 sandbox\n::1 localhost\n' > etc/hosts
        find . -xdev -perm /6000 ! -type l -exec chmod ug-s {} +
        rm -rf var/cache/* var/lib/apt/lists/* var/log/* boot/* home/* tmp/* var/cache/ldconfig
        find . -xdev -name '*.dpkg-old' -delete
        """;

    private static readonly TimeSpan BuildDeadline = TimeSpan.FromMinutes(20);

    /// <summary>Builds the image below a directory that the caller removes, and returns its path.</summary>
    public static async Task<string> BuildAsync(string workDirectory, IProgress<string>? progress, CancellationToken cancellationToken)
    {
        if (Libc.geteuid() != 0)
        {
            throw new ImageException("build_failed", "Building the root filesystem needs root: its files belong to several users.");
        }

        RequireTool("mmdebstrap", "mmdebstrap");
        RequireTool("mkfs.erofs", "erofs-utils");
        IReadOnlyList<string> sources = AptSources.Write("/etc/apt", Release, workDirectory);
        if (sources.Count == 0)
        {
            throw new ImageException("build_failed", $"The apt configuration of this host has no package source for Debian {Release}.");
        }

        string tree = Path.Combine(workDirectory, "tree");
        string hook = Path.Combine(workDirectory, "customize.sh");
        string image = Path.Combine(workDirectory, "image.erofs");
        await File.WriteAllTextAsync(hook, "#!/bin/sh\n" + Customize + "\n", cancellationToken);
        File.SetUnixFileMode(hook, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        List<string> command =
        [
            "mmdebstrap", "--variant=minbase", "--mode=root", "--include=" + Packages, "--customize-hook=" + hook,
            "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
            .. await ProxyOptionsAsync(cancellationToken), Release, tree, .. sources,
        ];
        progress?.Report("Installing Debian packages for the sandbox root filesystem (about a minute)");
        await RunAsync(command, cancellationToken);
        // Device nodes have no place in the image: the sandbox's kernel brings its own.
        EmptyDirectory(Path.Combine(tree, "dev"));
        progress?.Report("Packing the root filesystem");
        await RunAsync(["mkfs.erofs", "-E", "noinline_data", "-T" + Epoch, "-U", FilesystemUuid, "--quiet", image, tree], cancellationToken);
        return image;
    }

    /// <summary>Before anything is downloaded: a missing tool shows at once, with the package that has it.</summary>
    private static void RequireTool(string tool, string package)
    {
        string[] path = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries);
        if (!path.Any(directory => File.Exists(Path.Combine(directory, tool))))
        {
            throw new ImageException("tool_missing", $"{tool} is not installed (Debian package {package}). Install it, or put a ready image into the store.");
        }
    }

    /// <summary>A proxy that the host's apt uses; mmdebstrap starts from an empty configuration.</summary>
    private static async Task<IReadOnlyList<string>> ProxyOptionsAsync(CancellationToken cancellationToken)
    {
        ChildProcess dump = Start(["apt-config", "dump"]);
        await WaitAsync(dump, cancellationToken);
        return [.. dump.Output.Text.Split('\n')
            .Where(line => (line.StartsWith("Acquire::http", StringComparison.OrdinalIgnoreCase)) && line.Contains("::Proxy", StringComparison.OrdinalIgnoreCase))
            .Select(line => "--aptopt=" + line)];
    }

    private static void EmptyDirectory(string directory)
    {
        foreach (FileSystemInfo entry in new DirectoryInfo(directory).EnumerateFileSystemInfos())
        {
            if (entry is DirectoryInfo { LinkTarget: null } child)
            {
                child.Delete(recursive: true);
            }
            else
            {
                entry.Delete();
            }
        }
    }

    private static async Task RunAsync(IReadOnlyList<string> command, CancellationToken cancellationToken)
    {
        ChildProcess child = Start(command);
        int code = await WaitAsync(child, cancellationToken);
        if (code != 0)
        {
            string[] lines = child.Error.Text.Split('\n', StringSplitOptions.RemoveEmptyEntries);
            string tail = string.Join(" | ", lines.Where(line => line.StartsWith("E:", StringComparison.Ordinal)).DefaultIfEmpty(lines.LastOrDefault() ?? "").TakeLast(4));
            throw new ImageException("build_failed", $"{command[0]} ended with code {code}: {tail}. Is the package source of this host reachable?");
        }
    }

    private static ChildProcess Start(IReadOnlyList<string> command)
    {
        try
        {
            return ChildProcess.Start(command, 1024 * 1024, environment: new Dictionary<string, string>
            {
                ["SOURCE_DATE_EPOCH"] = Epoch,
                ["LC_ALL"] = "C.UTF-8",
                ["DEBIAN_FRONTEND"] = "noninteractive",
            });
        }
        catch (Win32Exception notFound)
        {
            throw new ImageException("tool_missing", $"{command[0]} cannot be started ({notFound.Message}). Install it, or put a ready image into the store.", notFound);
        }
    }

    private static async Task<int> WaitAsync(ChildProcess child, CancellationToken cancellationToken)
    {
        try
        {
            return await child.Exited.WaitAsync(BuildDeadline, cancellationToken);
        }
        catch (Exception stopped) when (stopped is OperationCanceledException or TimeoutException)
        {
            child.KillSession();
            await child.Exited.WaitAsync(CancellationToken.None);
            if (stopped is TimeoutException)
            {
                throw new ImageException("build_failed", $"The build took longer than {BuildDeadline.TotalMinutes} minutes.", stopped);
            }

            throw;
        }
    }
}
