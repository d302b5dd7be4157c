using Rynxs.Server.State;

namespace Rynxs.Server.Identity;

/// <summary>
/// The right to change <c>tokens.json</c>, held by one process at a time: the server and every <c>rynxs token</c> read the file, change it and write it back,
/// and without it one of two that do so together would lose its change. An flock on a file beside it; the kernel drops it when its holder dies. The lock file
/// stays: removing it would let a third process lock another one of the same name.
/// </summary>
internal sealed class TokenFileLock : IDisposable
{
    private const int WouldBlock = 11; // EWOULDBLOCK
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan Between = TimeSpan.FromMilliseconds(5);

    private readonly FileStream _file;

    private TokenFileLock(FileStream file) => _file = file;

    /// <summary>Waits for the lock: its holders keep it for some milliseconds.</summary>
    /// <exception cref="IOException">It was not free within ten seconds, or the file cannot be opened.</exception>
    public static TokenFileLock Take(string tokensPath, TimeProvider timeProvider)
    {
        long begun = timeProvider.GetTimestamp();
        using var pause = new ManualResetEventSlim();
        while (true)
        {
            try
            {
                return new TokenFileLock(new FileStream(tokensPath + ".lock", new FileStreamOptions
                {
                    Mode = FileMode.OpenOrCreate,
                    Access = FileAccess.ReadWrite,
                    Share = FileShare.None,
                    UnixCreateMode = StateDirectory.PrivateFile,
                }));
            }
            catch (IOException exception) when (exception.HResult == WouldBlock && timeProvider.GetElapsedTime(begun) < Patience)
            {
                // Nobody sets it: it waits, and no longer than its time.
                pause.Wait(Between);
            }
        }
    }

    public void Dispose() => _file.Dispose();
}
