using System.Collections.Concurrent;
using System.Security.Cryptography;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Images;

/// <summary>
/// Root filesystems of sandboxes: EROFS files named by their SHA-256, and an index from image names to digests. A file is hashed
/// before its first use in a process, and again whenever its size or time changed: a modified image is refused.
/// </summary>
public sealed class ImageStore(ImageStoreOptions options)
{
    /// <summary>Name of the root filesystem that every installation has.</summary>
    public const string BuiltInName = "rynxs/base:bookworm";

    private const int LockExclusive = 2, LockNoWait = 4;
    private static readonly TimeSpan LockPoll = TimeSpan.FromMilliseconds(200);
    private readonly ConcurrentDictionary<string, (long Length, DateTime Changed)> _verified = new();
    private readonly SemaphoreSlim _verifying = new(1, 1);

    /// <summary>Directory of the store.</summary>
    public string Directory { get; } = Path.GetFullPath(options.Directory);

    /// <summary>Builds an image below a directory and returns its path; tests pack a small tree.</summary>
    internal Func<string, IProgress<string>?, CancellationToken, Task<string>> Builder { get; init; } = BaseImageBuilder.BuildAsync;

    private string IndexPath => Path.Combine(Directory, "index.json");

    /// <summary>The images that are there, by name. Reads the index only.</summary>
    public IReadOnlyList<ImageDescriptor> List() =>
        [.. ImageIndex.Read(IndexPath).Images.Select(image => new ImageDescriptor(image.Key, image.Value.Digest, PathOf(image.Value.Digest)))];

    /// <summary>
    /// Builds the built-in image unless it is there. Safe to call from several processes at once: one builds, the others wait.
    /// </summary>
    /// <exception cref="ImageException">A tool is missing, the packages cannot be had, or the image on disk was modified.</exception>
    public async Task<ImageDescriptor> EnsureBuiltInAsync(IProgress<string>? progress, CancellationToken cancellationToken)
    {
        if (Find(BuiltInName) is { } ready)
        {
            await VerifyAsync(ready, cancellationToken);
            return ready;
        }

        try
        {
            System.IO.Directory.CreateDirectory(Directory);
        }
        catch (Exception refused) when (refused is IOException or UnauthorizedAccessException)
        {
            throw new ImageException("store_corrupt", $"The image store {Directory} cannot be created: {refused.Message}", refused);
        }

        int held = await LockAsync(progress, cancellationToken);
        try
        {
            SweepInterruptedBuilds();
            if (Find(BuiltInName) is { } builtMeanwhile)
            {
                await VerifyAsync(builtMeanwhile, cancellationToken);
                return builtMeanwhile;
            }

            return await BuildAsync(progress, cancellationToken);
        }
        finally
        {
            _ = Libc.close(held);
        }
    }

    /// <summary>The image of that name, or the built-in one in its place with the reason.</summary>
    /// <exception cref="ImageException">Not even the built-in image is there, or the file was modified.</exception>
    public async Task<ImageResolution> ResolveAsync(string name, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(name);
        if (Find(name) is { } found)
        {
            await VerifyAsync(found, cancellationToken);
            return new ImageResolution(found, Substituted: false, "");
        }

        ImageDescriptor builtIn = Find(BuiltInName)
            ?? throw new ImageException("not_built", $"The built-in image {BuiltInName} is not in {Directory} yet.");
        await VerifyAsync(builtIn, cancellationToken);
        return name.Length == 0
            ? new ImageResolution(builtIn, Substituted: false, "")
            : new ImageResolution(builtIn, Substituted: true, $"image is not in the store {Directory}; {BuiltInName} is used in its place");
    }

    /// <summary>Checks that the file still is what its digest says.</summary>
    /// <exception cref="ImageException">It is not.</exception>
    internal async Task VerifyAsync(ImageDescriptor image, CancellationToken cancellationToken)
    {
        await _verifying.WaitAsync(cancellationToken);
        try
        {
            var file = new FileInfo(image.Path);
            if (file.Exists && _verified.TryGetValue(image.Path, out (long, DateTime) seen) && seen == (file.Length, file.LastWriteTimeUtc))
            {
                return;
            }

            if (!file.Exists || await HashAsync(image.Path, cancellationToken) != image.Digest)
            {
                throw new ImageException("modified", $"{image.Path} is missing or is not what its digest {image.Digest} says. Remove it and its line in index.json to build it again.");
            }

            _verified[image.Path] = (file.Length, file.LastWriteTimeUtc);
        }
        finally
        {
            _verifying.Release();
        }
    }

    private async Task<ImageDescriptor> BuildAsync(IProgress<string>? progress, CancellationToken cancellationToken)
    {
        string work = Path.Combine(Directory, "build-" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6)));
        System.IO.Directory.CreateDirectory(work);
        try
        {
            string image = await Builder(work, progress, cancellationToken);
            string digest = await HashAsync(image, cancellationToken);
            long bytes = new FileInfo(image).Length;
            File.SetUnixFileMode(image, UnixFileMode.UserRead | UnixFileMode.GroupRead | UnixFileMode.OtherRead);
            // The file is in place before the index names it: a crash between the two leaves an unnamed file, never a dangling name.
            System.IO.Directory.CreateDirectory(Path.Combine(Directory, "sha256"));
            File.Move(image, PathOf(digest), overwrite: true);
            ImageIndex index = ImageIndex.Read(IndexPath);
            index.Images[BuiltInName] = new ImageIndexEntry(digest, bytes, options.TimeProvider.GetUtcNow());
            index.Write(IndexPath);
            progress?.Report($"Root filesystem {BuiltInName} is ready ({bytes / (1024 * 1024)} MiB, {digest[..19]})");
            return new ImageDescriptor(BuiltInName, digest, PathOf(digest));
        }
        finally
        {
            RemoveBuild(work);
        }
    }

    private ImageDescriptor? Find(string name) =>
        ImageIndex.Read(IndexPath).Images.TryGetValue(name, out ImageIndexEntry? entry)
            ? new ImageDescriptor(name, entry.Digest, PathOf(entry.Digest))
            : null;

    private string PathOf(string digest) => Path.Combine(Directory, "sha256", digest["sha256:".Length..] + ".erofs");

    /// <summary>The kernel drops the lock when its holder dies, so an interrupted build never blocks the next.</summary>
    private async Task<int> LockAsync(IProgress<string>? progress, CancellationToken cancellationToken)
    {
        int file = Libc.open(Path.Combine(Directory, "lock"), Libc.O_RDWR | Libc.O_CREAT | Libc.O_CLOEXEC, 0x180 /* 0600 */);
        if (file < 0)
        {
            throw new ImageException("store_corrupt", Libc.LastError($"The image store {Directory} cannot be written").Message);
        }

        bool told = false;
        while (Libc.flock(file, LockExclusive | LockNoWait) != 0)
        {
            if (!told)
            {
                progress?.Report("Another process is building the root filesystem; waiting for it");
                told = true;
            }

            try
            {
                await Task.Delay(LockPoll, options.TimeProvider, cancellationToken);
            }
            catch (OperationCanceledException)
            {
                _ = Libc.close(file);
                throw;
            }
        }

        return file;
    }

    /// <summary>Only the holder of the lock builds, so every build directory seen here belongs to a process that died.</summary>
    private void SweepInterruptedBuilds()
    {
        foreach (string left in System.IO.Directory.EnumerateDirectories(Directory, "build-*"))
        {
            RemoveBuild(left);
        }
    }

    /// <summary>
    /// A build that was cut short may leave mounts, and processes that still write for a moment. What cannot be removed now is removed before the
    /// next build; it must not hide why this one failed.
    /// </summary>
    private static void RemoveBuild(string directory)
    {
        foreach (string mount in HostMounts.Below(directory).Reverse())
        {
            _ = Libc.umount2(mount, HostMounts.Detach);
        }

        if (HostMounts.Below(directory).Count > 0)
        {
            return; // deleting through a mount would delete the host's own files
        }

        try
        {
            System.IO.Directory.Delete(directory, recursive: true);
        }
        catch (Exception busy) when (busy is IOException or UnauthorizedAccessException)
        {
            // Left for the next build's sweep, see above.
        }
    }

    private static async Task<string> HashAsync(string path, CancellationToken cancellationToken)
    {
        await using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 20, FileOptions.Asynchronous | FileOptions.SequentialScan);
        return "sha256:" + Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancellationToken));
    }
}
