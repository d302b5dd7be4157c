using Rynxs.Sandbox.Native;
using Rynxs.Sandbox.Spawning;

namespace Rynxs.Sandbox.GVisor;

/// <summary>One owner per run directory, held by the kernel for as long as the owner lives.</summary>
internal static class RunDirectoryLock
{
    private const int LockExclusive = 2, LockNoWait = 4, Poll = 20;
    private static readonly TimeSpan SpawnerDeadline = TimeSpan.FromSeconds(20);

    /// <summary>
    /// How long the lock must be held by somebody before that is an owner: the spawner of a dead one holds it for the moment in which it removes the
    /// directory, whoever looks at it for the blink of the look, and a child that is being started until it executes its program.
    /// </summary>
    private static readonly TimeSpan OwnerPatience = TimeSpan.FromSeconds(2);

    /// <summary>Makes the directory ours and returns the descriptor that holds it. Waits for the spawner of an owner that died: it cleans up just then.</summary>
    /// <exception cref="SandboxRefusedException">Another process owns it.</exception>
    public static int Take(GVisorOptions options, string runscRoot)
    {
        long begin = options.TimeProvider.GetTimestamp();
        long? heldSince = null;
        while (true)
        {
            Directory.CreateDirectory(options.RunDirectory);
            int file = Libc.open(PathOf(options), Libc.O_RDWR | Libc.O_CREAT | Libc.O_CLOEXEC, 0x180 /* 0600 */);
            bool isOurs = file >= 0 && Libc.flock(file, LockExclusive | LockNoWait) == 0;
            bool spawnerLives = IsLocked(SandboxSpawner.LockPath(options));
            if (isOurs && !spawnerLives && File.Exists(PathOf(options)))
            {
                Directory.CreateDirectory(runscRoot, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
                return file;
            }

            if (file >= 0)
            {
                _ = Libc.close(file);
            }

            heldSince = IsHeldByAnother(options) ? heldSince ?? options.TimeProvider.GetTimestamp() : null;
            bool isOwned = heldSince is { } since && options.TimeProvider.GetElapsedTime(since) > OwnerPatience;
            if (isOwned || options.TimeProvider.GetElapsedTime(begin) > SpawnerDeadline)
            {
                RemoveIfEmpty(options.RunDirectory);
                throw new SandboxRefusedException("runtime", $"The run directory {options.RunDirectory} is used by another process of the same state.");
            }

            // Waiting for a child of a dead process, once at a start: there is no event for it.
            Libc.PollFd none = default;
            unsafe
            {
                _ = Libc.poll(&none, 0, Poll);
            }
        }
    }

    public static bool IsHeldByAnother(GVisorOptions options) => IsLocked(PathOf(options));

    /// <summary>Who is refused leaves no directory behind that only the refusal made.</summary>
    private static void RemoveIfEmpty(string directory)
    {
        try
        {
            Directory.Delete(directory);
        }
        catch (IOException)
        {
            // The owner's lock is in it.
        }
    }

    private static string PathOf(GVisorOptions options) => Path.Combine(options.RunDirectory, Sweep.LockName);

    /// <summary>Looking creates nothing.</summary>
    private static bool IsLocked(string path)
    {
        int file = Libc.open(path, Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        if (file < 0)
        {
            return false;
        }

        bool held = Libc.flock(file, LockExclusive | LockNoWait) != 0;
        _ = Libc.close(file);
        return held;
    }
}
