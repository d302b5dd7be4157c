using System.Diagnostics;

namespace Rynxs.Testing;

/// <summary>A real file system of a known size: a mounted tmpfs. Needs root; tests are skipped without.</summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private SmallDisk(string path) => Path = path;

    public string Path { get; }

    /// <param name="path">Where; made when missing.</param>
    /// <param name="size">As tmpfs takes it, such as <c>1m</c>.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    public static async Task<SmallDisk> MountAsync(string path, string size, CancellationToken cancellationToken)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "mounting a tmpfs needs root");
        Directory.CreateDirectory(path);
        (int exit, string output) = await ProcessRun.RunAsync(
            "/bin/mount", ["-t", "tmpfs", "-o", $"size={size},mode=0700", "rynxs-test", path], cancellationToken);
        Assert.SkipUnless(exit == 0, "a tmpfs cannot be mounted here: " + output.Trim());
        return new SmallDisk(path);
    }

    public Task MakeReadOnlyAsync(CancellationToken cancellationToken) => RemountAsync("ro", cancellationToken);

    public async Task RemountAsync(string options, CancellationToken cancellationToken) =>
        (await ProcessRun.RunAsync("/bin/mount", ["-o", "remount," + options, Path], cancellationToken)).Exit.ShouldBe(0);

    public async ValueTask DisposeAsync() => await ProcessRun.RunAsync("/bin/umount", ["-l", Path], CancellationToken.None);
}

/// <summary>Runs a program to its end.</summary>
internal static class ProcessRun
{
    public static async Task<(int Exit, string Output)> RunAsync(string program, string[] arguments, CancellationToken cancellationToken)
    {
        using var process = new Process
        {
            StartInfo = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true },
        };
        process.Start();
        Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        return (process.ExitCode, await output + await error);
    }
}
